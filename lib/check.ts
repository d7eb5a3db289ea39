import { type ErrorCode, FfjordError } from './errors'

/** Small checks of what callers pass; every message names the option and ends with what to give. */

export function fail(code: ErrorCode, message: string): never {
  throw new FfjordError(code, message)
}

export function show(value: unknown): string {
  if (typeof value === 'function') return 'a function'
  if (typeof value === 'bigint') return `${value}n`
  if (ArrayBuffer.isView(value)) return `a ${value.constructor.name}`
  const text = typeof value === 'object' ? (JSON.stringify(value) ?? String(value)) : String(value)
  const cut = text.length > 60 ? `${text.slice(0, 57)}...` : text
  return typeof value === 'string' ? `'${cut}'` : cut
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !ArrayBuffer.isView(value)
}

/** `value` as an object that has no other keys than `known`. */
export function object(value: unknown, name: string, known: readonly string[]): Record<string, unknown> {
  if (!isObject(value))
    fail('INVALID_OPTION', `${name} is ${show(value)}; give an object { ${known.join(', ')} }`)
  for (const key of Object.keys(value)) {
    if (known.includes(key) || value[key] === undefined) continue
    const near = nearest(key, known)
    const remedy = near ? `did you mean '${near}'?` : `known: ${known.join(', ') || 'none'}`
    fail('UNKNOWN_OPTION', `${name} has no option '${key}'; ${remedy}`)
  }
  return value
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
  const lower = word.toLowerCase()
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best && best.distance <= Math.max(2, word.length / 3) ? best.candidate : undefined
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
