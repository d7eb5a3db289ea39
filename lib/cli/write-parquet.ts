import { types } from 'node:util'
import { unwritable } from '../file/file-errors'
import { discard, finish, unfinishedName } from '../file/whole-file'
import { FfjordError } from '../native/errors'
import type { OutputColumn, TableWriter } from './table-writer'

type Library = typeof import('hyparquet-writer', { with: { 'resolution-mode': 'import' }})
type BasicType = 'BOOLEAN' | 'DOUBLE' | 'FLOAT' | 'INT32' | 'INT64' | 'STRING' | 'TIMESTAMP' | 'JSON'

/** Parquet by hyparquet-writer, a row group a batch. A column's type is that of its first batch. */
export class ParquetWriter implements TableWriter {
  readonly #temporary: string
  #file: InstanceType<Library['ParquetWriter']> | undefined
  #types: BasicType[] = []

  constructor(readonly path: string) {
    this.#temporary = unfinishedName(path)
  }

  async write(columns: readonly OutputColumn[]): Promise<void> {
    try {
      await this.#write(columns)
    } catch (error) {
      throw this.#explained(error)
    }
  }

  async #write(columns: readonly OutputColumn[]): Promise<void> {
    if (!this.#file) {
      const library = await import('hyparquet-writer')
      this.#types = columns.map(({ values, whole }) => (whole ? 'INT64' : typeOf(values)))
      const schema = library.schemaFromColumnData({
        columnData: columns.map(({ name }, c) => ({ name, data: [], type: this.#types[c]!, nullable: true }))
      })
      this.#file = new library.ParquetWriter({ writer: library.fileWriter(this.#temporary), schema })
    }
    await this.#file.write({
      columnData: columns.map(({ name, values }, c) => ({
        name,
        data: cells(values, this.#types[c]!),
        type: this.#types[c]!,
        nullable: true
      }))
    })
  }

  async close(): Promise<void> {
    try {
      await this.#file?.finish()
    } catch (error) {
      throw this.#explained(error)
    }
    finish(this.#temporary, this.path)
  }

  #explained(error: unknown): Error {
    if ('syscall' in (error as Error)) return unwritable(this.path, error)
    const { message } = error as Error
    return new FfjordError(
      'UNSUPPORTED_FILE',
      `${this.path} cannot hold these columns (${message}); write .csv`,
      { cause: error }
    )
  }

  async abandon(): Promise<void> {
    discard(this.#temporary)
  }
}

function typeOf(values: ArrayLike<unknown>): BasicType {
  if (types.isFloat32Array(values)) return 'FLOAT'
  if (types.isFloat64Array(values)) return 'DOUBLE'
  if (types.isBigInt64Array(values) || types.isBigUint64Array(values)) return 'INT64'
  if (ArrayBuffer.isView(values)) return types.isUint32Array(values) ? 'INT64' : 'INT32'
  const found = Array.from(values).filter((value) => value !== null && value !== undefined)
  const all = (test: (value: unknown) => boolean) => found.length > 0 && found.every(test)
  if (all((value) => typeof value === 'number')) return 'DOUBLE'
  if (all((value) => typeof value === 'bigint')) return 'INT64'
  if (all((value) => typeof value === 'boolean')) return 'BOOLEAN'
  if (all((value) => types.isDate(value))) return 'TIMESTAMP'
  return all((value) => typeof value === 'object') ? 'JSON' : 'STRING'
}

/** Missing numbers become null; text of other kinds is spelled out. */
function cells(values: ArrayLike<unknown>, type: BasicType): unknown[] {
  return Array.from(values, (value) => {
    if (value === null || value === undefined || Number.isNaN(value)) return null
    if (type === 'STRING') return String(value)
    return type === 'INT64' ? BigInt(value as number) : value
  })
}
