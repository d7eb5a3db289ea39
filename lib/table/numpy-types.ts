import { type CellType, type NumberStorage, type TimeUnit, written } from '../data/cell-type'
import { halfToFloat } from '../file/half'
import type { PythonValue } from './python-literal'
import type { CellBatch, NumberArray } from './source'
import { exactNumbers } from './stored'
import { missingCells } from './text-dialect'

/** NumPy's types of cells. */

export interface Coding {
  /** Bytes of a cell. */
  width: number
  type: CellType
  /** Cells that follow each other in bytes of their own, which it may change. */
  decode: (bytes: Uint8Array<ArrayBuffer>) => ArrayLike<unknown>
}

export interface Field {
  name: string
  /** In a record. */
  offset: number
  coding: Coding
}

/** A kind of cells that is not read, and what to do about it. */
export class UnreadKind extends Error {}

/** The type that a text like '<f8' stands for. @throws UnreadKind */
export function codingOf(kind: string): Coding {
  const [, order, letter = '', digits, unit] = /^([<>|=])([a-zA-Z])(\d*)(?:\[(.+)\])?$/.exec(kind) ?? []
  const size = Number(digits)
  const swapped = order === '>'
  const coding = (width: number, type: CellType, decode: Coding['decode']): Coding => ({
    width,
    type,
    decode: swapped ? (bytes) => decode(turned(bytes, width)) : decode
  })
  const storage = storages[`${letter}${size}`]
  if (storage) return coding(size, { kind: 'number', storage }, arrays[storage])
  if (letter === 'b' && size === 1) return coding(1, { kind: 'boolean' }, (bytes) => bytes)
  if (letter === 'M' && unit) return { ...times(swapped, unit, true), width: 8 }
  if (letter === 'm' && unit) return { ...times(swapped, unit, false), width: 8 }
  if (letter === 'U' && size > 0)
    return { width: 4 * size, type: { kind: 'text' }, decode: (bytes) => letters(bytes, size, swapped) }
  if ((letter === 'S' || letter === 'a') && size > 0)
    return { width: size, type: { kind: 'text' }, decode: (bytes) => texts(bytes, size) }
  throw new UnreadKind(
    refusals[letter] ?? `its cells are of kind ${kind}; save them as numbers: a.astype('float64')`
  )
}

const refusals: Readonly<Record<string, string>> = {
  c: 'it holds complex numbers; save their parts as columns: numpy.concatenate([a.real, a.imag], axis=1)',
  f: "it holds numbers of more than 64 bits; save them as a.astype('float64')",
  O: "it holds Python objects, which only Python reads; save them as numbers: a.astype('float64')"
}

const storages: Readonly<Record<string, NumberStorage>> = {
  f2: 'float16',
  f4: 'float32',
  f8: 'float64',
  i1: 'int8',
  i2: 'int16',
  i4: 'int32',
  i8: 'int64',
  u1: 'uint8',
  u2: 'uint16',
  u4: 'uint32',
  u8: 'uint64'
}

const arrays: Readonly<Record<NumberStorage, Coding['decode']>> = {
  float16: ({ buffer }) => Float32Array.from(new Uint16Array(buffer), halfToFloat),
  float32: ({ buffer }) => new Float32Array(buffer),
  float64: ({ buffer }) => new Float64Array(buffer),
  int8: ({ buffer }) => new Int8Array(buffer),
  int16: ({ buffer }) => new Int16Array(buffer),
  int32: ({ buffer }) => new Int32Array(buffer),
  int64: ({ buffer }) => new BigInt64Array(buffer),
  uint8: (bytes) => bytes,
  uint16: ({ buffer }) => new Uint16Array(buffer),
  uint32: ({ buffer }) => new Uint32Array(buffer),
  uint64: ({ buffer }) => new BigUint64Array(buffer)
}

/** Every cell's bytes the other way round, in place. */
function turned(bytes: Uint8Array<ArrayBuffer>, width: number): Uint8Array<ArrayBuffer> {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (width === 2) view.swap16()
  if (width === 4) view.swap32()
  if (width === 8) view.swap64()
  return bytes
}

const stamps: Readonly<Record<string, TimeUnit>> = {
  s: 'second',
  ms: 'millisecond',
  us: 'microsecond',
  ns: 'nanosecond'
}
const seconds: Readonly<Record<string, bigint>> = { s: 1n, m: 60n, h: 3600n, D: 86400n, W: 604800n }
/** Not a time. */
const NOTHING = -(2n ** 63n)

/** datetime64 and timedelta64, counts of a unit such as 'us', '25s' or 'D'. */
function times(swapped: boolean, written: string, sinceStart: boolean): Pick<Coding, 'type' | 'decode'> {
  const [, many, unit = ''] = /^(\d*)([a-zA-Z]+)$/.exec(written) ?? []
  const each = BigInt(many || 1)
  const decoded = (type: CellType, count: (stored: bigint) => bigint) => ({
    type,
    decode: (bytes: Uint8Array<ArrayBuffer>) => {
      const stored = new BigInt64Array((swapped ? turned(bytes, 8) : bytes).buffer)
      return exactNumbers(Array.from(stored, (one) => (one === NOTHING ? null : count(one * each))))
    }
  })
  const kind = sinceStart ? 'timestamp' : 'duration'
  const fine = stamps[unit]
  if (fine) return decoded({ kind, unit: fine }, (count) => count)
  if (sinceStart && unit === 'D') return decoded({ kind: 'date' }, (count) => count)
  if (sinceStart && unit === 'W') return decoded({ kind: 'date' }, (count) => 7n * count)
  if (sinceStart && (unit === 'M' || unit === 'Y'))
    return decoded({ kind: 'date' }, (count) => firstDay(Number(unit === 'Y' ? 12n * count : count)))
  const whole = seconds[unit]
  if (whole) return decoded({ kind, unit: 'second' }, (count) => count * whole)
  throw new UnreadKind(
    `it holds times in ${written}; save them as ${sinceStart ? "a.astype('datetime64[ns]')" : "a.astype('timedelta64[ns]')"}`
  )
}

/** The first day of a month that is counted since January 1970, in days since 1970. */
function firstDay(month: number): bigint {
  return BigInt(Date.UTC(1970, month, 1) / 86_400_000)
}

function texts(bytes: Uint8Array, width: number): string[] {
  return Array.from({ length: bytes.length / width }, (_, i) =>
    Buffer.from(bytes.subarray(i * width, (i + 1) * width))
      .toString('utf8')
      .replace(/\0+$/, '')
  )
}

function letters(bytes: Uint8Array<ArrayBuffer>, size: number, swapped: boolean): string[] {
  const codes = new Uint32Array((swapped ? turned(bytes, 4) : bytes).buffer)
  return Array.from({ length: codes.length / size }, (_, i) => {
    const some = codes.subarray(i * size, (i + 1) * size)
    let end = size
    while (end > 0 && some[end - 1] === 0) end--
    return String.fromCodePoint(...some.subarray(0, end))
  })
}

/** The coding of an array that has one for all cells: where they are text, numbers too are written in it. */
export function ofArray({ width, type, decode }: Coding): Coding {
  if (type.kind !== 'text') return { width, type, decode }
  const isMissing = (text: unknown) => typeof text !== 'string' || missingCells.includes(text.trim())
  return {
    width,
    type: written,
    decode: (bytes) => Array.from(decode(bytes), (text) => (isMissing(text) ? null : text))
  }
}

/** The cells of rows (count, columns) that follow each other. */
export function arrayBatch(cells: ArrayLike<unknown>, count: number): CellBatch {
  if (ArrayBuffer.isView(cells)) return { count, matrix: cells as unknown as NumberArray }
  const columns = cells.length / count
  const column = (c: number) => Array.from({ length: count }, (_, i) => cells[i * columns + c])
  return { count, columns: Array.from({ length: columns }, (_, c) => column(c)) }
}

/** The cells of one field of records of `width` bytes each. */
export function fieldCells(
  records: Uint8Array,
  width: number,
  { offset, coding }: Omit<Field, 'name'>
): ArrayLike<unknown> {
  const count = records.length / width
  const own = new Uint8Array(count * coding.width)
  for (let i = 0; i < count; i++) {
    const at = i * width + offset
    own.set(records.subarray(at, at + coding.width), i * coding.width)
  }
  return coding.decode(own)
}

/** Columns of a record, named; those of records within it after both names, 'place.x'. @throws Error */
export function fieldsOf(described: PythonValue[]): { fields: Field[]; width: number } {
  const fields: Field[] = []
  let width = 0
  for (const one of described) {
    if (!Array.isArray(one) || one.length < 2 || one.length > 3)
      throw new Error('a field has no name and kind')
    const [given, kind, axes = []] = one
    // A field may have a title before its name.
    const name = Array.isArray(given) ? given[1] : given
    if (typeof name !== 'string' || !Array.isArray(axes)) throw new Error('a field has no name')
    const count = axes.reduce<number>((product, axis) => product * Number(axis), 1)
    if (!(Number.isSafeInteger(count) && count >= 1 && count <= MOST_CELLS))
      throw new Error(`field '${name}' has ${count} cells`)
    const inner = Array.isArray(kind) ? fieldsOf(kind) : undefined
    // Bytes without a name fill a gap.
    const gap = typeof kind === 'string' && name === '' ? /^\|V(\d+)$/.exec(kind)?.[1] : undefined
    if (gap !== undefined) width += Number(gap)
    for (let i = 0; i < count && gap === undefined; i++) {
      const place = axes.length > 0 ? `${name}[${i}]` : name
      if (inner) {
        for (const { name: part, offset, coding } of inner.fields)
          fields.push({ name: `${place}.${part}`, offset: width + offset, coding })
        width += inner.width
      } else {
        const coding = codingOf(String(kind))
        fields.push({ name: place, offset: width, coding })
        width += coding.width
      }
    }
  }
  return { fields, width }
}

/** A field that is an array has no more cells. */
const MOST_CELLS = 1_000_000
