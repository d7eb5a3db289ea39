import { types } from 'node:util'
import { replaceFile } from '../file/whole-file'
import { fail } from '../native/check'
import { typeOfValues } from './parquet-types'
import type { OutputColumn, TableWriter } from './table-writer'

/** NumPy's .npy: a matrix, one column a column, kept in memory until it is whole; of the columns' own type where they share one. */
export class NumpyWriter implements TableWriter {
  readonly #parts: (readonly OutputColumn[])[] = []
  /** The shape of one sample, where it is no plain list of columns. */
  shape: readonly number[] | undefined

  constructor(readonly path: string) {}

  async write(columns: readonly OutputColumn[]): Promise<void> {
    for (const { name, values } of columns)
      if (!ArrayBuffer.isView(values) && Array.prototype.some.call(values, isNoNumber))
        fail(
          'UNSUPPORTED_FILE',
          `${this.path} cannot hold the text of column '${name}'; write .csv or .parquet`
        )
    this.#parts.push(columns)
  }

  async close(): Promise<void> {
    const width = this.#parts[0]?.length ?? 0
    const rows = this.#parts.reduce((sum, columns) => sum + (columns[0]?.values.length ?? 0), 0)
    const { kind, Values } = kindOf(this.#parts.flat())
    const data = new Values(rows * width)
    const wide = types.isBigInt64Array(data) || types.isBigUint64Array(data)
    let first = 0
    for (const columns of this.#parts) {
      const count = columns[0]!.values.length
      columns.forEach(({ values }, c) => {
        for (let row = 0; row < count; row++) {
          const value = values[row] ?? Number.NaN
          data[(first + row) * width + c] = wide ? BigInt(value as number) : Number(value)
        }
      })
      first += count
    }
    const shape = this.shape ? [rows, ...this.shape] : width === 1 ? [rows] : [rows, width]
    replaceFile(this.path, npy(data, kind, shape))
  }

  async abandon(): Promise<void> {}
}

function isNoNumber(cell: unknown): boolean {
  return cell !== null && !['number', 'bigint', 'boolean'].includes(typeof cell)
}

type Values =
  | Float32ArrayConstructor
  | Float64ArrayConstructor
  | Int8ArrayConstructor
  | Uint8ArrayConstructor
  | Int16ArrayConstructor
  | Uint16ArrayConstructor
  | Int32ArrayConstructor
  | Uint32ArrayConstructor
  | BigInt64ArrayConstructor
  | BigUint64ArrayConstructor

const kinds: Readonly<Record<string, [kind: string, Values: Values]>> = {
  boolean: ['|b1', Uint8Array],
  float16: ['<f4', Float32Array],
  float32: ['<f4', Float32Array],
  int8: ['|i1', Int8Array],
  uint8: ['|u1', Uint8Array],
  int16: ['<i2', Int16Array],
  uint16: ['<u2', Uint16Array],
  int32: ['<i4', Int32Array],
  uint32: ['<u4', Uint32Array],
  int64: ['<i8', BigInt64Array],
  uint64: ['<u8', BigUint64Array]
}

/** The type that all columns share; float64 where they do not, or where whole numbers lack cells. */
function kindOf(columns: readonly OutputColumn[]): { kind: string; Values: Values } {
  const names = new Set(
    columns.map(({ values, cells }) => {
      if (!ArrayBuffer.isView(values) && Array.prototype.some.call(values, (cell) => cell === null)) return ''
      const type = !cells || cells.kind === 'written' ? typeOfValues(values) : cells
      return type.kind === 'number' ? type.storage : type.kind
    })
  )
  const [only = ''] = names
  const [kind, Values] = (names.size === 1 ? kinds[only] : undefined) ?? ['<f8', Float64Array]
  return { kind, Values }
}

function npy(data: ArrayBufferView, kind: string, shape: readonly number[]): Uint8Array {
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const dictionary = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${axes}), }`
  const padded = dictionary.padEnd(Math.ceil((dictionary.length + 11) / 64) * 64 - 11, ' ')
  const head = Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.alloc(2),
    Buffer.from(`${padded}\n`)
  ])
  head.writeUInt16LE(padded.length + 1, 8)
  return Buffer.concat([head, Buffer.from(data.buffer, data.byteOffset, data.byteLength)])
}
