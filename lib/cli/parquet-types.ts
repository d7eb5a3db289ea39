import { types } from 'node:util'
import type { CellType, NumberStorage, TextForm, TimeUnit } from '../data/cell-type'
import { fail } from '../native/check'

/** How cells of a type stand in a Parquet file. */
export interface ParquetColumn {
  /** Elements of the file's schema: the column's own and those below it. */
  schema: readonly ParquetElement[]
  /** Cells as the library takes them; nulls go by. */
  cell: (cell: unknown) => unknown
  /** Not where the library orders what it writes otherwise than the type does. */
  statistics?: boolean
  /** What of the type Parquet does not keep, in words. */
  lost?: string
}

export type ParquetElement = import('hyparquet', { with: { 'resolution-mode': 'import' }}).SchemaElement

const same = (cell: unknown) => cell
const number = (cell: unknown) => Number(cell)
const whole = (cell: unknown) => BigInt(cell as number)

export function parquetColumn(name: string, type: CellType): ParquetColumn {
  const element = (rest: Omit<ParquetElement, 'name'>): ParquetElement[] => [
    { name, repetition_type: 'OPTIONAL', ...rest }
  ]
  switch (type.kind) {
    case 'number':
      return numbers(type.storage, element)
    case 'boolean':
      return { schema: element({ type: 'BOOLEAN' }), cell: Boolean }
    case 'date':
      return {
        schema: element({ type: 'INT32', converted_type: 'DATE', logical_type: { type: 'DATE' } }),
        cell: number
      }
    case 'time':
    case 'timestamp':
      return times(type, element)
    case 'duration':
      return {
        schema: element({ type: 'INT64' }),
        cell: whole,
        lost: `Parquet has no durations: they are whole numbers of ${type.unit}s`
      }
    case 'decimal':
      return decimals(type, element)
    case 'other':
      if (type.parquet?.length === 0)
        fail(
          'UNSUPPORTED_FILE',
          `column '${name}' holds ${type.name} with parts that are not written to Parquet; write .csv`
        )
      if (type.parquet) return { schema: type.parquet as unknown as ParquetElement[], cell: same }
      if (type.name === 'bytes') return { schema: element({ type: 'BYTE_ARRAY' }), cell: same }
      return {
        schema: element({ type: 'BYTE_ARRAY', converted_type: 'JSON' }),
        cell: plainObject,
        lost: `cells with ${type.name} are JSON`
      }
    case 'text':
      return texts(type.form, element)
    default:
      return texts(undefined, element)
  }
}

function texts(form: TextForm | undefined, element: Element): ParquetColumn {
  if (form === undefined)
    return { schema: element({ type: 'BYTE_ARRAY', converted_type: 'UTF8' }), cell: String }
  if (form === 'uuid')
    return {
      schema: element({ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 16, logical_type: { type: 'UUID' } }),
      cell: String
    }
  // The library would write text of a converted type 'JSON' as a string of JSON.
  const logical_type = { type: form === 'json' ? 'JSON' : 'ENUM' } as const
  return {
    schema: element({ type: 'BYTE_ARRAY', logical_type }),
    cell: (text) => new TextEncoder().encode(String(text))
  }
}

type Element = (rest: Omit<ParquetElement, 'name'>) => ParquetElement[]

function numbers(storage: NumberStorage, element: Element): ParquetColumn {
  if (storage === 'float64') return { schema: element({ type: 'DOUBLE' }), cell: number }
  if (storage === 'float32') return { schema: element({ type: 'FLOAT' }), cell: number }
  if (storage === 'float16')
    return {
      schema: element({ type: 'FIXED_LEN_BYTE_ARRAY', type_length: 2, logical_type: { type: 'FLOAT16' } }),
      cell: number
    }
  const [, sign, digits] = /^(u?)int(\d+)$/.exec(storage)!
  const bitWidth = Number(digits)
  const isSigned = sign === ''
  const kind = { converted_type: `${isSigned ? '' : 'U'}INT_${bitWidth}` as 'INT_8' }
  const plain = isSigned && bitWidth >= 32 ? {} : kind
  if (bitWidth < 64) return { schema: element({ type: 'INT32', ...plain }), cell: number }
  if (isSigned) return { schema: element({ type: 'INT64' }), cell: whole }
  return { schema: element({ type: 'INT64', ...plain }), cell: whole }
}

const unitNames = {
  second: 'MILLIS',
  millisecond: 'MILLIS',
  microsecond: 'MICROS',
  nanosecond: 'NANOS'
} as const satisfies Record<TimeUnit, string>

const NO_SECONDS = 'Parquet has no seconds: they are milliseconds'

function times(type: CellType & { kind: 'time' | 'timestamp' }, element: Element): ParquetColumn {
  const unit = unitNames[type.unit]
  const factor = type.unit === 'second' ? 1000n : 1n
  if (type.kind === 'time') {
    const short = unit === 'MILLIS'
    const logical_type = { type: 'TIME', isAdjustedToUTC: false, unit } as const
    return {
      schema: element({ type: short ? 'INT32' : 'INT64', logical_type }),
      cell: (cell) => (short ? Number(whole(cell) * factor) : whole(cell)),
      ...(type.unit === 'second' && { lost: NO_SECONDS })
    }
  }
  const { zone } = type
  const logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: zone !== undefined, unit } as const
  const isNamed = zone !== undefined && !/^(UTC|GMT|Z|[+-]00:?00)$/i.test(zone)
  const lost = [
    ...(type.unit === 'second' ? [NO_SECONDS] : []),
    ...(isNamed ? [`Parquet has no zones: the moments are in UTC, and ${zone} is not written`] : [])
  ].join('; ')
  return {
    schema: element({ type: 'INT64', logical_type }),
    cell: (cell) => whole(cell) * factor,
    ...(lost && { lost })
  }
}

function decimals({ precision, scale }: CellType & { kind: 'decimal' }, element: Element): ParquetColumn {
  const kind = { converted_type: 'DECIMAL', precision, scale } as const
  const cell = (text: unknown) => BigInt(String(text).replace('.', ''))
  if (precision <= 9) return { schema: element({ type: 'INT32', ...kind }), cell }
  if (precision <= 18) return { schema: element({ type: 'INT64', ...kind }), cell }
  // Bytes that hold 10 to the precision, and a sign.
  const type_length = Math.ceil((precision * Math.log2(10) + 1) / 8)
  // The library writes and orders the bytes of a statistic as if they were text.
  return { schema: element({ type: 'FIXED_LEN_BYTE_ARRAY', type_length, ...kind }), cell, statistics: false }
}

function plainObject(cell: unknown): unknown {
  return types.isTypedArray(cell) ? Array.from(cell as ArrayLike<unknown>) : cell
}

/** The type of values that no file describes. */
export function typeOfValues(values: ArrayLike<unknown>): CellType {
  if (types.isFloat32Array(values)) return { kind: 'number', storage: 'float32' }
  if (types.isFloat64Array(values)) return { kind: 'number', storage: 'float64' }
  if (types.isBigInt64Array(values)) return { kind: 'number', storage: 'int64' }
  if (types.isBigUint64Array(values)) return { kind: 'number', storage: 'uint64' }
  if (ArrayBuffer.isView(values))
    return { kind: 'number', storage: types.isUint32Array(values) ? 'int64' : 'int32' }
  const found = Array.from(values).filter((value) => value !== null && value !== undefined)
  const all = (test: (value: unknown) => boolean) => found.length > 0 && found.every(test)
  if (all((value) => typeof value === 'number')) return { kind: 'number', storage: 'float64' }
  if (all((value) => typeof value === 'bigint')) return { kind: 'number', storage: 'int64' }
  return all((value) => typeof value === 'boolean') ? { kind: 'boolean' } : { kind: 'text' }
}
