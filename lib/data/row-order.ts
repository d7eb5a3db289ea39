import { fail } from '../native/check'
import { type BatchOptions, checkShares, checkState, type DatasetState } from './dataset-options'
import { permutation, streams } from './random'

/** Rows [first, last) of an epoch's order. */
interface Slice {
  epoch: number
  first: number
  last: number
}

/** Where a data set in memory stands, and which rows come next, through ends of epochs. */
export class RowOrder {
  readonly #rows: number
  #epoch = 0
  #row = 0
  /** The order that was last asked for. */
  #order: { seed: number; epoch: number; indices: Uint32Array } | undefined

  constructor(rows: number) {
    this.#rows = rows
  }

  state(): DatasetState {
    return { epoch: this.#epoch, row: this.#row }
  }

  restore(state: DatasetState): void {
    const { epoch, row } = checkState(state)
    if (row > this.#rows)
      fail(
        'INVALID_OPTION',
        `the state stands at row ${row} of ${this.#rows}; it belongs to another data set`
      )
    this.#epoch = epoch
    this.#row = row
  }

  /** The indices of the next batches' rows, one after the other, how many each batch has, and its epoch. */
  peek(
    batches: number,
    options: Required<BatchOptions>
  ): { indices: Uint32Array; sizes: Uint32Array; epochs: Uint32Array } {
    const indices: number[] = []
    const sizes: number[] = []
    const epochs: number[] = []
    let { epoch, row } = this.state()
    for (let b = 0; b < batches; b++) {
      const next = this.#batchAt(epoch, row, options)
      epoch = next.epoch
      const order = options.shuffle ? this.#orderOf(options.seed, epoch) : undefined
      for (let i = next.first; i < next.last; i++) indices.push(order?.[i] ?? i)
      sizes.push(next.last - next.first)
      epochs.push(epoch)
      row = next.last
    }
    return {
      indices: Uint32Array.from(indices),
      sizes: Uint32Array.from(sizes),
      epochs: Uint32Array.from(epochs)
    }
  }

  /** Batches of indices from the present place to the end of the epoch, moving on. */
  *walk(options: Required<BatchOptions>): Generator<{ indices: Uint32Array; epoch: number }> {
    const { epoch } = this.state()
    while (this.#epoch === epoch) {
      const { indices } = this.peek(1, options)
      const skipsToNextEpoch = this.#epochAhead(options) !== epoch
      if (indices.length === 0 || skipsToNextEpoch) {
        this.restore({ epoch: epoch + 1, row: 0 })
        return
      }
      this.advance(1, options)
      yield { indices, epoch }
    }
  }

  advance(batches: number, options: Required<BatchOptions>): void {
    for (let b = 0; b < batches; b++) {
      const { epoch, last } = this.#batchAt(this.#epoch, this.#row, options)
      this.#epoch = epoch
      this.#row = last
    }
  }

  /** The epoch that the next batch belongs to. */
  #epochAhead(options: Required<BatchOptions>): number {
    return this.#batchAt(this.#epoch, this.#row, options).epoch
  }

  /** The next epoch's first rows where this one has no batch left. */
  #batchAt(epoch: number, row: number, { size, drop }: Required<BatchOptions>): Slice {
    const whole = drop && this.#rows >= size
    const left = this.#rows - row
    if (left === 0 || (whole && left < size))
      return { epoch: epoch + 1, first: 0, last: Math.min(size, this.#rows) }
    return { epoch, first: row, last: row + Math.min(size, left) }
  }

  #orderOf(seed: number, epoch: number): Uint32Array {
    if (this.#order?.seed !== seed || this.#order.epoch !== epoch)
      this.#order = { seed, epoch, indices: permutation(this.#rows, seed, epoch) }
    return this.#order.indices
  }
}

/** The rows of each share: contiguous, or in an order that `seed` decides. */
export function shareRows(rows: number, shares: readonly number[], seed: number | undefined): Uint32Array[] {
  const order = seed === undefined ? undefined : permutation(rows, seed, 0, streams.split)
  let sum = 0
  let first = 0
  const checked = checkShares(shares)
  return checked.map((share, part) => {
    sum += share
    const last = part === checked.length - 1 ? rows : Math.round(sum * rows)
    if (last === first)
      fail('EMPTY_BATCH', `share ${part} (${share}) of ${rows} rows is empty; give a larger share`)
    const indices = Uint32Array.from({ length: last - first }, (_, i) => order?.[first + i] ?? first + i)
    first = last
    return indices
  })
}
