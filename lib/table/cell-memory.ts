import { getHeapStatistics } from 'node:v8'
import { fail } from '../native/check'

/**
 * Room for cells that are no plain numbers, which live in lists on the heap of the language. A file of some bytes can
 * stand for millions of them, and a list that the heap has no room for ends the process, whatever thread asked for it.
 */
export class CellMemory {
  readonly #room = getHeapStatistics().heap_size_limit / 2
  #used = 0

  constructor(readonly path: string) {}

  /** Refuses a column of which so many cells cannot be decoded at once. @throws FfjordError OUT_OF_MEMORY */
  expect(cells: number): void {
    this.#check(this.#used + BYTES_DECODING * cells)
  }

  /** A decoded column: a list of nothing but numbers as an array of them; what remains a list is counted. */
  keep(column: ArrayLike<unknown>): ArrayLike<unknown> {
    if (!Array.isArray(column)) return column
    if (column.every((cell) => typeof cell === 'number')) return Float64Array.from(column as number[])
    this.#used += BYTES_KEPT * column.length
    this.#check(this.#used)
    return column
  }

  /** Columns that were kept are no longer needed. */
  clear(): void {
    this.#used = 0
  }

  #check(bytes: number): void {
    if (bytes <= this.#room) return
    const MiB = (size: number) => Math.ceil(size / 2 ** 20)
    fail(
      'OUT_OF_MEMORY',
      `${this.path} has parts that take ${MiB(bytes)} MiB at once, and this process has ${MiB(this.#room)} for them; ` +
        'write it in smaller row groups or record batches, or raise node --max-old-space-size'
    )
  }
}

/** Bytes a cell takes while it is decoded: values, levels and the list that they are put together in, which grows by half. */
const BYTES_DECODING = 64

/** Bytes a cell takes once it is kept: its place in a list, and a small object. */
const BYTES_KEPT = 24
