/**
 * What the cells of a column mean, as its file says: the file's own type, not how a library stores it. Any cell of any
 * type may be null. The comments say what stands for a cell among the `columns` of a batch of rows.
 */
export type CellType =
  /** Numbers, or an array of them; of int64 and uint64 bigint (BigInt64Array, BigUint64Array), with every digit. */
  | { kind: 'number'; storage: NumberStorage }
  /** true and false; in an array of numbers 1 and 0. */
  | { kind: 'boolean' }
  /** Whole days since 1970-01-01: numbers. */
  | { kind: 'date' }
  /** Whole units since midnight: numbers or bigint. */
  | { kind: 'time'; unit: TimeUnit }
  /**
   * Whole units since 1970-01-01T00:00: numbers where they are exact, or bigint. With a zone ('UTC', 'Europe/Berlin',
   * '+02:00') they count in UTC, and the zone is that of the reader; without one they are a clock on the wall.
   */
  | { kind: 'timestamp'; unit: TimeUnit; zone?: string }
  /** Whole units: numbers or bigint. */
  | { kind: 'duration'; unit: TimeUnit }
  /** Text of as many digits after the point as `scale`: '-12.60'. */
  | { kind: 'decimal'; precision: number; scale: number }
  /** Text; of dictionaries, the text that the indices stand for. `form` is what a file with types calls it besides. */
  | { kind: 'text'; form?: TextForm }
  /**
   * The file does not say: text as it stands there, or numbers, and what they mean follows from all of them: dates and
   * times, where a pattern says how they are written, or numbers of at most `digits` digits after the point, each of as many
   * where the number is `fixed`: 21.50; or whole numbers of `width` digits, zeros in front counted: 007.
   */
  | { kind: 'written'; pattern?: string; digits?: number; fixed?: boolean; width?: number }
  /**
   * Bytes, lists, structures: never a number of a sample. `name` is for messages ('a list', 'bytes'); `parquet` are the
   * elements of a Parquet file's schema, the column's own and all below it, as which its cells can be written again.
   */
  | { kind: 'other'; name: string; parquet?: readonly ParquetElement[] }

/** An element of a Parquet schema, as its libraries have it. */
export type ParquetElement = Readonly<Record<string, unknown>> & { readonly name: string }

export type NumberStorage =
  | 'float16'
  | 'float32'
  | 'float64'
  | 'int8'
  | 'int16'
  | 'int32'
  | 'int64'
  | 'uint8'
  | 'uint16'
  | 'uint32'
  | 'uint64'

export type TextForm = 'uuid' | 'json' | 'enum'

export type TimeUnit = 'second' | 'millisecond' | 'microsecond' | 'nanosecond'

/** The type of columns of whose cells a file says nothing. */
export const written: CellType = { kind: 'written' }

/** One type for all of some columns, as a matrix has it. */
export function alike(columns: number, type: CellType): CellType[] {
  return Array.from({ length: columns }, () => type)
}

const storages: Readonly<Record<NumberStorage, true>> = {
  float16: true,
  float32: true,
  float64: true,
  int8: true,
  int16: true,
  int32: true,
  int64: true,
  uint8: true,
  uint16: true,
  uint32: true,
  uint64: true
}

const forms: readonly unknown[] = [undefined, 'uuid', 'json', 'enum'] satisfies (TextForm | undefined)[]
const units: readonly unknown[] = ['second', 'millisecond', 'microsecond', 'nanosecond'] satisfies TimeUnit[]

/** Whether `value`, which a model file may hold, is a type of cells. */
export function isCellType(value: Readonly<Record<string, unknown>>): boolean {
  const { kind, storage, unit, zone, precision, scale, pattern, name, digits, fixed, width, form } = value
  const textOrNone = (one: unknown) => one === undefined || typeof one === 'string'
  switch (kind) {
    case 'number':
      return typeof storage === 'string' && Object.hasOwn(storages, storage)
    case 'time':
    case 'duration':
      return units.includes(unit)
    case 'timestamp':
      return units.includes(unit) && textOrNone(zone)
    case 'decimal':
      return isCount(precision) && isCount(scale) && scale <= 100 && precision <= 100
    case 'written':
      return (
        textOrNone(pattern) &&
        (digits === undefined || (isCount(digits) && digits <= 100)) &&
        (fixed === undefined || typeof fixed === 'boolean') &&
        (width === undefined || (isCount(width) && width <= 100))
      )
    case 'other':
      return typeof name === 'string'
    case 'text':
      return forms.includes(form)
    default:
      return kind === 'boolean' || kind === 'date'
  }
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
