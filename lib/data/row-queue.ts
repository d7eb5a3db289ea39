import { types } from 'node:util'
import type { RealArray } from '../native/batch'

/** Rows of numbers that were read and not yet used, in the pieces that they came in, of the precision that they had. */
export class RowQueue {
  readonly #pieces: RealArray[] = []
  /** Numbers of the first piece that were used. */
  #used = 0
  #length = 0

  /** `width` numbers a row. */
  constructor(readonly width: number) {}

  get rows(): number {
    return this.#length / this.width
  }

  /** Whole rows, copied: who gave them may use their array again. */
  push(piece: RealArray): void {
    if (piece.length === 0) return
    this.#pieces.push(piece.slice())
    this.#length += piece.length
  }

  clear(): void {
    this.drop(this.rows)
  }

  /** Removes up to `rows` rows from the front; how many. */
  drop(rows: number): number {
    const dropped = Math.min(rows, this.rows)
    let left = dropped * this.width
    this.#length -= left
    while (left > 0) {
      const size = this.#pieces[0]!.length - this.#used
      if (left < size) {
        this.#used += left
        break
      }
      left -= size
      this.#pieces.shift()
      this.#used = 0
    }
    return dropped
  }

  /** Elements [first, last) of each of the first `rows` rows: (rows, last − first), in float64 where a piece is. */
  columns(rows: number, first: number, last: number): RealArray {
    const { width } = this
    const size = last - first
    const float64 = this.#pieces.some((piece) => types.isFloat64Array(piece))
    const values = float64 ? new Float64Array(rows * size) : new Float32Array(rows * size)
    let row = 0
    let start = this.#used
    for (const piece of this.#pieces) {
      const end = Math.min(piece.length, start + (rows - row) * width)
      if (size === width) {
        values.set(piece.subarray(start, end), row * width)
        row += (end - start) / width
      } else {
        for (let at = start; at < end; at += width, row++)
          for (let i = first; i < last; i++) values[row * size + i - first] = piece[at + i]!
      }
      if (row === rows) break
      start = 0
    }
    return values
  }
}
