import type { CellType } from '../data/cell-type'
import { dateParser, typeOfPattern } from '../data/date-text'
import { unwritable } from '../file/file-errors'
import { discard, finish, unfinishedName } from '../file/whole-file'
import { FfjordError } from '../native/errors'
import { type ParquetColumn, parquetColumn, typeOfValues } from './parquet-types'
import type { OutputColumn, TableWriter } from './table-writer'

type Library = typeof import('hyparquet-writer', { with: { 'resolution-mode': 'import' }})

/** Parquet by hyparquet-writer, a row group a batch. */
export class ParquetWriter implements TableWriter {
  readonly #temporary: string
  #file: InstanceType<Library['ParquetWriter']> | undefined
  #columns: ParquetColumn[] = []
  /** What is not as it was, a sentence a column. */
  told: string[] = []

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
      this.#columns = columns.map(({ name, values, whole, cells }) => {
        if (cells?.kind === 'written' && cells.pattern !== undefined) return datesOfText(name, cells.pattern)
        const type = cells && cells.kind !== 'written' ? cells : whole ? int64 : typeOfValues(values)
        return parquetColumn(name, type)
      })
      this.told = columns.flatMap(({ name }, c) => {
        const { lost } = this.#columns[c]!
        return lost === undefined ? [] : [`column '${name}' of ${this.path}: ${lost}`]
      })
      const schema = [
        { name: 'root', num_children: columns.length },
        ...this.#columns.flatMap((column) => column.schema)
      ]
      this.#file = new library.ParquetWriter({ writer: library.fileWriter(this.#temporary), schema })
    }
    await this.#file.write({
      columnData: columns.map(({ name, values }, c) => {
        const { cell, statistics = true } = this.#columns[c]!
        return { name, data: cellsOf(values, cell), statistics }
      })
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

const int64: CellType = { kind: 'number', storage: 'int64' }

/** Text that a pattern writes, as the dates or times that it means. */
function datesOfText(name: string, pattern: string): ParquetColumn {
  const type = typeOfPattern(pattern)
  const parse = dateParser(pattern, type.kind === 'date' ? 'second' : type.unit)
  const column = parquetColumn(name, type)
  return { ...column, cell: (text) => column.cell(parse(String(text))) }
}

/** Missing numbers become null. */
function cellsOf(values: ArrayLike<unknown>, cell: (value: unknown) => unknown): unknown[] {
  return Array.from(values, (value) =>
    value === null || value === undefined || Number.isNaN(value) ? null : cell(value)
  )
}
