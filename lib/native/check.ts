import { types } from 'node:util'
import { type ErrorCode, FfjordError } from './errors'

/** Small checks of what callers pass; every message names the option and ends with what to give. */

export function fail(code: ErrorCode, message: string): never {
  throw new FfjordError(code, message)
}

/** What a value may take in a message, and the entries of a list or an object that are shown. */
const mostShown = 60
const mostEntries = 8

/** Any value in a few words. It runs no code of the caller's, reads a bounded part of the value, and never throws. */
export function show(value: unknown): string {
  try {
    return shown(value, 2)
  } catch {
    return 'a value that cannot be shown'
  }
}

/**
 * Whether an array still has its buffer. Its length is no answer: once a resizable array went by as well, what Node 20
 * compiles goes on counting the numbers that a transferred one had.
 */
export function isAttached(array: NodeJS.TypedArray): boolean {
  try {
    elementAt.call(array as Uint8Array, 0)
    return true
  } catch {
    return false
  }
}

function shown(value: unknown, depth: number): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'string') return `'${cut(value)}'`
  if (typeof value === 'bigint') return cut(`${value}n`)
  if (typeof value !== 'object' || value === null) return cut(String(value))
  if (types.isProxy(value)) return 'a proxy'
  if (types.isTypedArray(value))
    return `a ${nameOfView.call(value)}${isAttached(value) ? '' : ' that was transferred or resized'}`
  if (ArrayBuffer.isView(value)) return 'a DataView'
  const list = Array.isArray(value)
  const kind = list ? undefined : className(value)
  if (kind !== undefined) return cut(/^[aeiou]/i.test(kind) ? `an ${kind}` : `a ${kind}`)
  if (depth === 0) return list ? '[…]' : '{…}'
  const keys = list
    ? Array.from({ length: Math.min(value.length, mostEntries) }, (_, i) => i)
    : Object.keys(value)
  const entries = keys.slice(0, mostEntries).map((key) => {
    const own = Object.getOwnPropertyDescriptor(value, key)
    const entry = own && !('value' in own) ? 'a getter' : shown(own?.value, depth - 1)
    return list ? entry : `${cut(String(key))}: ${entry}`
  })
  if ((list ? value.length : keys.length) > mostEntries) entries.push('…')
  const text = entries.join(', ')
  return list ? `[${cut(text)}]` : text === '' ? '{}' : `{ ${cut(text)} }`
}

function cut(text: string): string {
  return text.length > mostShown ? `${text.slice(0, mostShown - 3)}...` : text
}

/** Of typed arrays of any kind and realm. */
const typedArray = Object.getPrototypeOf(Uint8Array.prototype) as Uint8Array
const elementAt = typedArray.at
const nameOfView = Object.getOwnPropertyDescriptor(typedArray, Symbol.toStringTag)!.get as (
  this: unknown
) => string

/** The class of an object, undefined for plain ones. */
function className(value: object): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return undefined
  const made: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value
  const name: unknown = typeof made === 'function' && Object.getOwnPropertyDescriptor(made, 'name')?.value
  return typeof name === 'string' && name !== '' ? name : 'object'
}

/** Array.isArray, but for a proxy that was revoked, which it throws on. */
export function isArray(value: unknown): value is readonly unknown[] {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !isArray(value) &&
    !ArrayBuffer.isView(value) &&
    !isRevoked(value) &&
    !isBuiltIn(value)
  )
}

/** What JavaScript makes for another purpose, and would read as options that are all left out. */
function isBuiltIn(value: object): boolean {
  return (
    types.isDate(value) ||
    types.isRegExp(value) ||
    types.isMap(value) ||
    types.isSet(value) ||
    types.isPromise(value) ||
    types.isNativeError(value) ||
    types.isAnyArrayBuffer(value) ||
    types.isBoxedPrimitive(value)
  )
}

/** A proxy that can do no more. */
export function isRevoked(value: object): boolean {
  try {
    Array.isArray(value)
    return false
  } catch {
    return true
  }
}

/**
 * The options in `value`, an object that has no other keys than `known`, read once: getters and proxies cannot change
 * them later. Options that it inherits count, too.
 */
export function object(value: unknown, name: string, known: readonly string[]): Record<string, unknown> {
  if (!isObject(value))
    fail('INVALID_OPTION', `${name} is ${show(value)}; give an object { ${known.join(', ')} }`)
  for (const key in value) {
    const foreign = !Object.hasOwn(value, key) && key in Object.prototype
    if (known.includes(key) || foreign || value[key] === undefined) continue
    const near = nearest(key, known)
    const remedy = near ? `did you mean '${near}'?` : `known: ${known.join(', ') || 'none'}`
    fail('UNKNOWN_OPTION', `${name} has no option ${show(key)}; ${remedy}`)
  }
  const options: Record<string, unknown> = {}
  for (const key of known) {
    const option = value[key]
    if (option !== undefined) options[key] = option
  }
  return options
}

/** The entries of a list, read once. */
export function list(value: unknown, name: string, what: string): unknown[] {
  if (!isArray(value)) fail('INVALID_OPTION', `${name} is ${show(value)}; give ${what}`)
  return Array.from(value)
}

export function text(value: unknown, name: string, what: string): string {
  if (typeof value === 'string') return value
  return fail('INVALID_OPTION', `${name} is ${show(value)}; give ${what}`)
}

export function filePath(value: unknown): string {
  return text(value, 'path', "a file's path")
}

export function texts(value: unknown, name: string, what: string): string[] {
  return list(value, name, what).map((one, i) => text(one, `${name}[${i}]`, 'a string'))
}

/** A function that can be called: a class cannot. */
export function isCallable(value: unknown): value is (...given: unknown[]) => unknown {
  return typeof value === 'function' && !/^class\b/.test(Function.prototype.toString.call(value))
}

/** A signal of this realm or another. */
export function signal(value: unknown): AbortSignal | undefined {
  const given = value as Partial<AbortSignal> | null | undefined
  if (given === undefined) return undefined
  if (
    isObject(given) &&
    typeof given.aborted === 'boolean' &&
    typeof given.addEventListener === 'function' &&
    typeof given.removeEventListener === 'function'
  )
    return given as unknown as AbortSignal
  return fail(
    'INVALID_OPTION',
    `signal is ${show(given)}; give the signal of an AbortController, or AbortSignal.timeout(ms)`
  )
}

/** Plain data: a copy of lists and objects that reads everything once. */
export function plain(value: unknown, name: string): unknown {
  const copies = new Map<object, unknown>()
  const copy = (one: unknown, depth: number): unknown => {
    if (!isArray(one) && !isObject(one)) return one
    const known = copies.get(one)
    if (known !== undefined) return known
    if (depth > 16) fail('INVALID_OPTION', `${name} is nested over 16 levels deep; give what the types say`)
    const made: unknown[] | Record<string, unknown> = isArray(one) ? [] : {}
    copies.set(one, made)
    const entries = isArray(one) ? Array.from(one).entries() : Object.entries(one)
    for (const [key, entry] of entries)
      Object.defineProperty(made, key, {
        value: copy(entry, depth + 1),
        enumerable: true,
        configurable: true,
        writable: true
      })
    return made
  }
  return copy(value, 0)
}

export function choice<T extends string>(value: unknown, name: string, known: readonly T[]): T {
  if (known.includes(value as T)) return value as T
  const near = typeof value === 'string' ? nearest(value, known) : undefined
  const remedy = near ? `; did you mean '${near}'?` : ''
  return fail('INVALID_OPTION', `${name} is ${show(value)}; known: ${known.join(', ')}${remedy}`)
}

/** A finite number within [least, most], or above `least` where `open`. */
export function number(
  value: unknown,
  name: string,
  { least = -Infinity, most = Infinity, open = false }: { least?: number; most?: number; open?: boolean } = {}
): number {
  const fits =
    typeof value === 'number' &&
    Number.isFinite(value) &&
    value <= most &&
    (open ? value > least : value >= least)
  if (fits) return value
  const upper = most < Infinity ? ` and at most ${most}` : ''
  const range =
    least === -Infinity ? 'a finite number' : `a number ${open ? 'above' : 'of at least'} ${least}${upper}`
  return fail('INVALID_OPTION', `${name} is ${show(value)}; give ${range}`)
}

export function integer(value: unknown, name: string, least = 0, most = Number.MAX_SAFE_INTEGER): number {
  if (Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most)
    return value as number
  const upper = most < Number.MAX_SAFE_INTEGER ? ` and at most ${most}` : ''
  return fail('INVALID_OPTION', `${name} is ${show(value)}; give an integer of at least ${least}${upper}`)
}

export function boolean(value: unknown, name: string): boolean {
  if (typeof value === 'boolean') return value
  return fail('INVALID_OPTION', `${name} is ${show(value)}; give true or false`)
}

/** The known word that a slip of the keyboard may have meant. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 100) return undefined
  const lower = word.toLowerCase()
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  const slips = Math.min(word.length - 1, Math.max(1, Math.floor(word.length / 3)))
  return best && best.distance <= slips ? best.candidate : undefined
}

/** Letters put in, left out, mistaken, or exchanged with their neighbour. */
function editDistance(a: string, b: string): number {
  let last: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1))
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      if (exchanged) next[j] = Math.min(next[j]!, last[j - 2]! + 1)
    }
    last = row
    row = next
  }
  return row[b.length]!
}
