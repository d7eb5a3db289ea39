import type { CellType, ParquetElement, TextForm, TimeUnit } from '../data/cell-type'
import { halfToFloat } from '../file/half'
import { decimalText, exactNumbers, mapped, uuidText, wholeNumber } from './stored'

type SchemaTree = ReturnType<
  typeof import('hyparquet', { with: { 'resolution-mode': 'import' }})['parquetSchema']
>
type Element = SchemaTree['element']
type Cells = ArrayLike<unknown>

/** How a column of a Parquet file is read: by its own type, out of what the file stores. */
export interface ColumnReading {
  type: CellType
  /** Text is left to the library, and so are columns of several parts; of all others it gives what is stored. */
  asStored: boolean
  /** What stands for the cells, out of what the library gives. */
  cells: (given: Cells) => Cells
}

export function columnReading({ element, children }: SchemaTree): ColumnReading {
  if (children.length > 0 || element.repetition_type === 'REPEATED')
    return {
      type: { kind: 'other', name: nameOf(element), parquet: elementsOf({ element, children }) },
      asStored: false,
      cells: withNulls
    }
  const { converted_type: converted, logical_type: logical } = element
  const isEnum = converted === 'ENUM' || logical?.type === 'ENUM'
  if (isEnum || converted === 'UTF8' || logical?.type === 'STRING')
    return { type: textOfForm(isEnum ? 'enum' : undefined), asStored: false, cells: withNulls }
  const [type, cells] = meaningOf(element)
  return { type, asStored: true, cells }
}

function textOfForm(form: TextForm | undefined): CellType {
  return { kind: 'text', ...(form && { form }) }
}

/** The element without what it says of the meaning of its numbers and bytes, which a library would act upon. */
export function storedElement({ converted_type, logical_type, ...element }: Element): Element {
  return element
}

/** The column's elements and those below it, as which its cells can be written again; none where leaves lose digits when read. */
function elementsOf({ element, children }: Pick<SchemaTree, 'element' | 'children'>): ParquetElement[] {
  const { converted_type: converted, logical_type: logical } = element
  const meaning = converted ?? logical?.type
  if (children.length === 0 && meaning !== undefined && !['UTF8', 'STRING'].includes(meaning)) return []
  if (element.type === 'INT96') return []
  const below = children.map(elementsOf)
  return below.some((one) => one.length === 0) ? [] : [{ ...element }, ...below.flat()]
}

function nameOf({ converted_type: converted, logical_type: logical }: Element): string {
  if (converted === 'MAP' || converted === 'MAP_KEY_VALUE' || logical?.type === 'MAP') return 'a map'
  return converted === 'LIST' || logical?.type === 'LIST' ? 'a list' : 'a structure'
}

function meaningOf(element: Element): [CellType, (stored: Cells) => Cells] {
  const { type, converted_type: converted, logical_type: logical } = element
  switch (logical?.type) {
    case 'FLOAT16':
      return [
        { kind: 'number', storage: 'float16' },
        (stored) => numbersOf(stored, (bytes: Uint8Array) => halfToFloat(bytes[0]! | (bytes[1]! << 8)))
      ]
    case 'UUID':
      return [textOfForm('uuid'), (stored) => mapped(stored as ArrayLike<Uint8Array>, uuidText)]
    case 'NULL':
      return [{ kind: 'other', name: 'nothing' }, withNulls]
    case 'DATE':
      return [{ kind: 'date' }, withNulls]
    case 'TIME':
      return [{ kind: 'time', unit: units[logical.unit] }, exactNumbers]
    case 'TIMESTAMP':
      return [timestamp(units[logical.unit], logical.isAdjustedToUTC), exactNumbers]
    case 'DECIMAL':
      return decimal(element, logical)
    case 'INTEGER':
      return integer(logical.bitWidth, logical.isSigned)
    case 'JSON':
      return [textOfForm('json'), textOf]
    default:
  }
  switch (converted) {
    case 'DATE':
      return [{ kind: 'date' }, withNulls]
    case 'TIME_MILLIS':
      return [{ kind: 'time', unit: 'millisecond' }, exactNumbers]
    case 'TIME_MICROS':
      return [{ kind: 'time', unit: 'microsecond' }, exactNumbers]
    case 'TIMESTAMP_MILLIS':
      return [timestamp('millisecond', true), exactNumbers]
    case 'TIMESTAMP_MICROS':
      return [timestamp('microsecond', true), exactNumbers]
    case 'DECIMAL':
      return decimal(element, element)
    case 'JSON':
      return [textOfForm('json'), textOf]
    default:
  }
  const [, sign, bits] = /^(U?)INT_(\d+)$/.exec(converted ?? '') ?? []
  if (bits !== undefined) return integer(Number(bits), sign === '')
  if (type === 'BOOLEAN') return [{ kind: 'boolean' }, withNulls]
  if (type === 'INT32') return integer(32, true)
  if (type === 'INT64') return integer(64, true)
  if (type === 'FLOAT') return [{ kind: 'number', storage: 'float32' }, withNulls]
  if (type === 'DOUBLE') return [{ kind: 'number', storage: 'float64' }, withNulls]
  // Writers of before 2018 store times so, of which nobody says whether they count in UTC.
  if (type === 'INT96') return [timestamp('nanosecond', false), exactNumbers]
  return [{ kind: 'other', name: 'bytes', parquet: [{ ...element }] }, withNulls]
}

const units = {
  MILLIS: 'millisecond',
  MICROS: 'microsecond',
  NANOS: 'nanosecond'
} as const

function timestamp(unit: TimeUnit, inUtc: boolean): CellType {
  return { kind: 'timestamp', unit, ...(inUtc && { zone: 'UTC' }) }
}

function decimal(
  { type }: Element,
  { precision = 38, scale = 0 }: { precision?: number; scale?: number }
): [CellType, (stored: Cells) => Cells] {
  const unscaled = (cell: unknown) =>
    type === 'INT32' || type === 'INT64'
      ? BigInt(cell as number | bigint)
      : wholeNumber(cell as Uint8Array, 'big endian')
  return [
    { kind: 'decimal', precision, scale },
    (stored) => mapped(stored, (cell) => decimalText(unscaled(cell), scale))
  ]
}

function integer(bits: number, signed: boolean): [CellType, (stored: Cells) => Cells] {
  const storage = `${signed ? '' : 'u'}int${bits}` as 'int8' | 'uint64'
  const type: CellType = { kind: 'number', storage }
  if (signed || bits < 32) return [type, withNulls]
  // They are stored as signed ones of as many bits.
  if (bits === 32) return [type, (stored) => numbersOf(stored, (cell: number) => cell >>> 0)]
  return [
    type,
    (stored) =>
      stored instanceof BigInt64Array
        ? new BigUint64Array(stored.buffer, stored.byteOffset, stored.length)
        : mapped(stored, (cell) => BigInt.asUintN(64, cell as bigint))
  ]
}

function numbersOf<T>(stored: Cells, number: (cell: T) => number): Cells {
  const cells = stored as ArrayLike<T | null | undefined>
  const whole = ArrayBuffer.isView(stored) || Array.prototype.every.call(stored, (cell) => cell != null)
  return whole ? Float64Array.from(cells as ArrayLike<T>, number) : mapped(cells, number)
}

function textOf(stored: Cells): Cells {
  return mapped(stored, (cell) =>
    typeof cell === 'string' ? cell : Buffer.from(cell as Uint8Array).toString()
  )
}

/** The library gives undefined for cells that are null. */
function withNulls(cells: Cells): Cells {
  return ArrayBuffer.isView(cells) ? cells : Array.from(cells, (cell) => cell ?? null)
}
