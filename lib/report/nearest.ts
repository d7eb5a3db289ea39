import type { Quantity } from './quantity'

/**
 * How far rows are from the closest training row, by Gower's distance (1971): the mean over columns of the distance in ranks among the training
 * rows, from 0 to 1, and of 0 or 1 for equal or other levels. Samples that lie closer than rows that training never saw are copies.
 */
export interface Nearest {
  samples: Float64Array
  heldOut: Float64Array
  /** Training rows that were looked at. */
  rows: number
}

/** Distances of single columns that are computed at most: about a second. */
const MOST_WORK = 4e8
const MOST_TRAINING_ROWS = 20_000
const MOST_ROWS = 1000

/** `train` has training rows as its data and samples as its samples, `test` held-out rows as its samples. */
export function nearestRows(train: readonly Quantity[], test: readonly Quantity[]): Nearest {
  const rows = Math.min(train[0]!.data.length, MOST_TRAINING_ROWS)
  const most = Math.max(50, Math.min(MOST_ROWS, Math.floor(MOST_WORK / (2 * rows * train.length))))
  const known = train.map((one) => placed(one, one.data.subarray(0, rows)))
  const distances = (columns: readonly Quantity[]) => {
    const placedColumns = columns.map((one, i) =>
      placed(train[i]!, one.samples.subarray(0, Math.min(most, one.samples.length)))
    )
    const sums = new Float32Array(rows)
    return Float64Array.from(placedColumns[0]!, (_, row) => {
      sums.fill(0)
      placedColumns.forEach((column, i) => {
        const [value, others] = [column[row]!, known[i]!]
        if (train[i]!.levels) for (let j = 0; j < rows; j++) sums[j]! += others[j] === value ? 0 : 1
        else for (let j = 0; j < rows; j++) sums[j]! += Math.abs(others[j]! - value)
      })
      let least = Infinity
      for (let j = 0; j < rows; j++) if (sums[j]! < least) least = sums[j]!
      return least / train.length
    })
  }
  return { samples: distances(train), heldOut: distances(test), rows }
}

/** Levels as they are, numbers by the share of the training rows below them, equal ones by half. */
function placed({ data, levels }: Quantity, values: Float64Array): Float32Array {
  if (levels) return Float32Array.from(values)
  const sorted = data.slice().sort()
  return Float32Array.from(
    values,
    (value) => (below(sorted, value) + below(sorted, value, true)) / (2 * sorted.length)
  )
}

/** How many entries lie below `value`, or at it. */
function below(sorted: Float64Array, value: number, including = false): number {
  let [low, high] = [0, sorted.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if (including ? sorted[middle]! <= value : sorted[middle]! < value) low = middle + 1
    else high = middle
  }
  return low
}
