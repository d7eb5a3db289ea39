import { types } from 'node:util'
import { replaceFile } from '../file/whole-file'
import { fail } from '../native/check'
import type { OutputColumn, TableWriter } from './table-writer'

/** NumPy's .npy: a matrix of float32 or float64, one column a column, kept in memory until it is whole. */
export class NumpyWriter implements TableWriter {
  readonly #parts: (readonly OutputColumn[])[] = []
  /** The shape of one sample, where it is no plain list of columns. */
  shape: readonly number[] | undefined

  constructor(readonly path: string) {}

  async write(columns: readonly OutputColumn[]): Promise<void> {
    for (const { name, values } of columns)
      if (!ArrayBuffer.isView(values))
        fail(
          'UNSUPPORTED_FILE',
          `${this.path} cannot hold the text of column '${name}'; write .csv or .parquet`
        )
    this.#parts.push(columns)
  }

  async close(): Promise<void> {
    const width = this.#parts[0]?.length ?? 0
    const rows = this.#parts.reduce((sum, columns) => sum + (columns[0]?.values.length ?? 0), 0)
    const single = this.#parts.every((columns) => columns.every(({ values }) => types.isFloat32Array(values)))
    const data = new (single ? Float32Array : Float64Array)(rows * width)
    let first = 0
    for (const columns of this.#parts) {
      const count = columns[0]!.values.length
      columns.forEach(({ values }, c) => {
        for (let row = 0; row < count; row++) data[(first + row) * width + c] = Number(values[row])
      })
      first += count
    }
    const shape = this.shape ? [rows, ...this.shape] : width === 1 ? [rows] : [rows, width]
    replaceFile(this.path, npy(data, shape))
  }

  async abandon(): Promise<void> {}
}

function npy(data: Float32Array | Float64Array, shape: readonly number[]): Uint8Array {
  const kind = types.isFloat32Array(data) ? '<f4' : '<f8'
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
