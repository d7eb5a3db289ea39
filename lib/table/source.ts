import type { CellType } from '../data/cell-type'
import { fail } from '../native/check'
import type { WrittenDigits } from './numbers'

/** Files as tables: what a format has to say of itself. `formats.ts` lists the formats. */

export type NumberArray =
  | Float32Array
  | Float64Array
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array

/**
 * Rows that follow each other: numbers (count, columns) row by row, or the cells of each column. Of text tables that are read
 * verbatim, `written` holds every cell as it stands in the file, and matrices of others say how their numbers are written.
 */
export type CellBatch =
  | { count: number; matrix: NumberArray; digits?: WrittenDigits }
  | {
      count: number
      columns: readonly ArrayLike<unknown>[]
      written?: readonly (readonly string[])[]
    }

/** A place in a text at which a reading may begin, behind which no header comes. */
export interface TextPlace {
  /** The first row behind it. */
  row: number
  line: number
  /** Bytes of UTF-8 before it. */
  byte: number
}

/** Some of the rows of a file, plain data that another thread can be sent. */
export interface RowRange {
  first: number
  /** The first row behind them. */
  end: number
  /** Of a text: a place at or before the first of them. */
  from?: TextPlace
}

/** What is wanted of a reading. */
export interface HowToRead {
  /**
   * Gives the cells of text tables as they are written, in pieces of numbers alone, too: '00' is another level than '0'.
   */
  asText?: boolean
  /** Only these rows; default: all. What lies before and behind them is read as little as the format allows. */
  range?: RowRange | undefined
}

/** A file of rows. Reading starts at the first row every time. */
export interface TableSource {
  readonly path: string
  /** Names of the columns; x1, x2 … where the file has none. */
  readonly names: readonly string[]
  /** Whether the names stand in the file. */
  readonly named: boolean
  /** What the cells of each column mean. */
  readonly types: readonly CellType[]
  /** The shape of one row, where it is no plain list of columns. */
  readonly shape?: readonly number[]
  /** How many, where the format says so beforehand. */
  readonly rows?: number
  /** Rows that the last reading left out of its batches, since they have more or fewer cells than the first one. */
  readonly ragged?: number
  /** What was guessed of the file, each a sentence with the option that says otherwise. */
  readonly guesses?: readonly string[]
  batches(how?: HowToRead): AsyncIterable<CellBatch>
  /** Of a text, the last place before a row that the last reading of the whole file came by. */
  placeBefore?(row: number): TextPlace | undefined
  /** 'line 7' or 'row 7', for messages; `row` counts from 0. */
  place(row: number): string
}

/** Rows of a batch: enough to keep loops tight, few enough to stay small beside the data. */
export function batchRows(columns: number): number {
  return Math.max(1, Math.ceil(2 ** 19 / Math.max(1, columns)))
}

/** Of rows that follow `first` ones those that belong to a range; undefined where none do. */
export function within(batch: CellBatch, first: number, range: RowRange | undefined): CellBatch | undefined {
  if (!range) return batch
  const start = Math.max(range.first - first, 0)
  const end = Math.min(range.end - first, batch.count)
  if (start >= end) return undefined
  if (start === 0 && end === batch.count) return batch
  const count = end - start
  if ('matrix' in batch) {
    const width = batch.matrix.length / batch.count
    const { digits } = batch
    return {
      count,
      matrix: batch.matrix.subarray(start * width, end * width),
      ...(digits && { digits })
    }
  }
  const { columns, written } = batch
  return {
    count,
    columns: columns.map((cells) => cellsWithin(cells, start, end)),
    ...(written && { written: written.map((cells) => cells.slice(start, end)) })
  }
}

/** Some cells of a column, without a copy where they are numbers. */
export function cellsWithin(cells: ArrayLike<unknown>, start: number, end: number): ArrayLike<unknown> {
  return Array.isArray(cells) ? cells.slice(start, end) : (cells as Float64Array).subarray(start, end)
}

/** Most columns of a table: each is a number of a sample, and has a name. */
export const MOST_COLUMNS = 1_000_000

export function checkColumns(path: string, columns: number): void {
  if (columns >= 1 && columns <= MOST_COLUMNS) return
  fail(
    'INVALID_FILE',
    `${path} has ${columns} columns, and a table has 1 to ${MOST_COLUMNS}; give one with a row a sample`
  )
}

/** The first name that was there before. */
export function firstRepeated(names: readonly string[]): string | undefined {
  const seen = new Set<string>()
  return names.find((name) => seen.size === seen.add(name).size)
}

export function plainRow(row: number): string {
  return `row ${row + 1}`
}
