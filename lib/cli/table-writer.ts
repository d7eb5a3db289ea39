import type { CellType } from '../data/cell-type'

/** Files of columns that this command line writes, a batch of rows at a time. */
export interface TableWriter {
  write(columns: readonly OutputColumn[]): Promise<void>
  /** The file appears, whole. */
  close(): Promise<void>
  /** Nothing stays behind. */
  abandon(): Promise<void>
  /** What of the columns the format does not hold, each a sentence. */
  readonly told?: readonly string[]
}

export interface OutputColumn {
  name: string
  values: ArrayLike<unknown>
  /** What the values are cells of; default: what they are themselves. */
  cells?: CellType
  /** Numbers that are all whole, in whatever batch. */
  whole?: boolean
}
