import { boolean, fail, integer, list, number, object } from '../native/check'

/** How rows become batches. */
export interface BatchOptions {
  /** Rows a batch. Default: 128. */
  size?: number
  /** Draw rows in an order that `seed` and the epoch decide; data that never ends comes as it comes. Default: true. */
  shuffle?: boolean
  /** Default: 0. */
  seed?: number
  /** Leave out the last batch of an epoch where it is smaller than `size`. Default: false. */
  drop?: boolean
}

/** Where a data set stands: counters alone, so a restored one goes on with the same rows. */
export interface DatasetState {
  epoch: number
  /** Rows taken in this epoch. */
  row: number
}

export function normalizeBatchOptions(options: BatchOptions = {}): Required<BatchOptions> {
  const given = object(options, 'batch options', ['size', 'shuffle', 'seed', 'drop'])
  return {
    size: integer(given.size ?? 128, 'size', 1, 2 ** 31 - 1),
    shuffle: boolean(given.shuffle ?? true, 'shuffle'),
    seed: integer(given.seed ?? 0, 'seed'),
    drop: boolean(given.drop ?? false, 'drop')
  }
}

export function checkState(state: unknown): DatasetState {
  const given = object(state, 'data set state', ['epoch', 'row'])
  return { epoch: integer(given.epoch, 'state.epoch'), row: integer(given.row, 'state.row') }
}

export function checkShares(value: readonly number[]): readonly number[] {
  const shares = list(value, 'shares', 'an array like [0.8, 0.1, 0.1]').map((share, i) =>
    number(share, `shares[${i}]`, { least: 0, open: true })
  )
  const sum = shares.reduce((total, share) => total + share, 0)
  if (Math.abs(sum - 1) > 1e-9) fail('INVALID_OPTION', `shares add up to ${sum}; they must add up to 1`)
  return shares
}

export function checkSplit(options: { seed?: number } | undefined): { seed?: number } {
  const { seed } = object(options ?? {}, 'split options', ['seed'])
  return seed === undefined ? {} : { seed: integer(seed, 'seed') }
}
