import type { Data, DataType, Field, Vector } from 'apache-arrow'
import type { CellType, NumberStorage, TimeUnit } from '../data/cell-type'
import { halfToFloat } from '../file/half'
import { decimalText, exactNumbers, uuidText, wholeNumber } from './stored'

type Library = typeof import('apache-arrow')
type Kinds = Library['DataType']
type Cells = ArrayLike<unknown>

/** How a column of an Arrow file is read: by its own type, out of its buffers. */
export interface ColumnReading {
  type: CellType
  /** The cells of a part of the column. */
  cells: (part: Data) => Cells
}

export function fieldReading(library: Library, { type, metadata }: Field): ColumnReading {
  if (metadata.get('ARROW:extension:name') !== 'arrow.uuid') return columnReading(library, type)
  const text = (cell: unknown) => (cell === null ? null : uuidText(cell as Uint8Array))
  return { type: { kind: 'text', form: 'uuid' }, cells: (part) => objects(library, part).map(text) }
}

function columnReading(library: Library, type: DataType): ColumnReading {
  const known = knownReading(library, type)
  if (known) return known
  return {
    type: { kind: 'other', name: nameOf(library.DataType, type) },
    cells: (part) => objects(library, part)
  }
}

function knownReading(library: Library, type: DataType): ColumnReading | undefined {
  const { DataType: kinds } = library
  if (kinds.isInt(type)) {
    const storage = `${type.isSigned ? '' : 'u'}int${type.bitWidth}` as NumberStorage
    return { type: { kind: 'number', storage }, cells: (part) => values(part) }
  }
  if (kinds.isFloat(type)) {
    const storage = (['float16', 'float32', 'float64'] as const)[type.precision]!
    return {
      type: { kind: 'number', storage },
      cells: (part) =>
        storage === 'float16' ? numbers(part, (half) => halfToFloat(Number(half))) : values(part)
    }
  }
  if (kinds.isBool(type)) return { type: { kind: 'boolean' }, cells: (part) => each(part, bits(part)) }
  if (isText(kinds, type)) return { type: { kind: 'text' }, cells: (part) => objects(library, part) }
  if (kinds.isDecimal(type)) {
    const { precision, scale } = type
    return {
      type: { kind: 'decimal', precision, scale },
      cells: (part) => each(part, decimals(part, type.bitWidth / 8, scale))
    }
  }
  if (kinds.isDate(type))
    return {
      type: { kind: 'date' },
      cells: (part) => (type.unit === 0 ? values(part) : numbers(part, (ms) => Math.floor(Number(ms) / DAY)))
    }
  if (kinds.isTime(type))
    return { type: { kind: 'time', unit: units[type.unit]! }, cells: (part) => exactNumbers(values(part)) }
  if (kinds.isTimestamp(type)) {
    const zone = type.timezone ?? undefined
    return {
      type: { kind: 'timestamp', unit: units[type.unit]!, ...(zone !== undefined && { zone }) },
      cells: (part) => exactNumbers(values(part))
    }
  }
  if (kinds.isDuration(type))
    return {
      type: { kind: 'duration', unit: units[type.unit]! },
      cells: (part) => exactNumbers(values(part))
    }
  if (!kinds.isDictionary(type)) return undefined
  const levels = columnReading(library, type.dictionary)
  return { type: levels.type, cells: (part) => leveled(part, levels) }
}

const DAY = 86_400_000 // ms
const units: readonly TimeUnit[] = ['second', 'millisecond', 'microsecond', 'nanosecond']

/** Libraries of before version 21 know no views. */
function isText(kinds: Kinds, type: DataType): boolean {
  return kinds.isUtf8(type) || kinds.isLargeUtf8(type) || (kinds.isUtf8View?.(type) ?? false)
}

function nameOf(kinds: Kinds, type: DataType): string {
  if (kinds.isNull(type)) return 'nothing'
  if (kinds.isList(type) || kinds.isFixedSizeList(type) || (kinds.isLargeList?.(type) ?? false))
    return 'a list'
  if (kinds.isMap(type)) return 'a map'
  if (kinds.isStruct(type)) return 'a structure'
  if (kinds.isUnion(type)) return 'a union'
  return kinds.isInterval(type) ? 'an interval' : 'bytes'
}

/** Numbers as they are stored, where none is null. */
function values(part: Data): Cells {
  const stored = part.values as Float64Array
  return part.nullCount === 0 ? stored.subarray(0, part.length) : each(part, (i) => stored[i])
}

function numbers(part: Data, number: (stored: number | bigint) => number): Cells {
  const stored = part.values as ArrayLike<number | bigint>
  const at = (i: number) => number(stored[i]!)
  return part.nullCount === 0 ? Float64Array.from({ length: part.length }, (_, i) => at(i)) : each(part, at)
}

function each(part: Data, cell: (row: number) => unknown): unknown[] {
  return Array.from({ length: part.length }, (_, i) => (part.getValid(i) ? cell(i) : null))
}

function bits(part: Data): (row: number) => boolean {
  const bytes = part.values as Uint8Array
  return (row) => ((bytes[(part.offset + row) >> 3]! >> ((part.offset + row) % 8)) & 1) === 1
}

function decimals(part: Data, width: number, scale: number): (row: number) => string {
  const { buffer, byteOffset } = part.values as Uint32Array
  const bytes = new Uint8Array(buffer, byteOffset)
  return (row) =>
    decimalText(wholeNumber(bytes.subarray(row * width, (row + 1) * width), 'little endian'), scale)
}

/** The cells that a dictionary's indices stand for. */
function leveled(part: Data, { cells }: ColumnReading): unknown[] {
  const levels = (part.dictionary as Vector).data.flatMap((some) => Array.from(cells(some)))
  const indices = part.values as ArrayLike<number | bigint>
  return each(part, (i) => levels[Number(indices[i])] ?? null)
}

/** Cells that the library makes, as plain objects of the language. */
function objects({ Vector }: Library, part: Data): unknown[] {
  return Array.from(new Vector([part]), plain)
}

function plain(cell: unknown): unknown {
  if (typeof cell !== 'object' || cell === null || ArrayBuffer.isView(cell)) return cell
  const { toJSON } = cell as { toJSON?: () => unknown }
  if (typeof toJSON === 'function') return plain(toJSON.call(cell))
  if (Array.isArray(cell)) return cell.map(plain)
  return Object.fromEntries(Object.entries(cell).map(([name, value]) => [name, plain(value)]))
}
