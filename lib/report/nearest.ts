import { inTurns, pause } from '../native/pieces'
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
export async function nearestRows(
  train: readonly Quantity[],
  test: readonly Quantity[],
  signal?: AbortSignal
): Promise<Nearest> {
  const rows = Math.min(train[0]!.data.length, MOST_TRAINING_ROWS)
  const most = Math.max(50, Math.min(MOST_ROWS, Math.floor(MOST_WORK / (2 * rows * train.length))))
  const known: Float32Array[] = []
  const samples: Float32Array[] = []
  const heldOut: Float32Array[] = []
  for (const [i, { data, levels, samples: drawn }] of train.entries()) {
    const place = levels ? (values: Float64Array) => Float32Array.from(values) : placing(data.slice().sort())
    known.push(place(data.subarray(0, rows)))
    samples.push(place(drawn.subarray(0, most)))
    heldOut.push(place(test[i]!.samples.subarray(0, most)))
    await pause(signal)
  }
  const numbers = train.map(({ levels }) => levels === undefined)
  return {
    samples: await inTurns(leastDistances(samples, known, numbers), signal),
    heldOut: await inTurns(leastDistances(heldOut, known, numbers), signal),
    rows
  }
}

/** Of every row the distance to the closest of those that are known. */
function* leastDistances(
  columns: readonly Float32Array[],
  known: readonly Float32Array[],
  numbers: readonly boolean[]
): Generator<undefined, Float64Array> {
  const least = new Float64Array(columns[0]!.length)
  const sums = new Float32Array(known[0]!.length)
  for (let row = 0; row < least.length; row++) {
    sums.fill(0)
    columns.forEach((column, i) => {
      addDistances(sums, known[i]!, column[row]!, numbers[i]!)
    })
    least[row] = leastOf(sums) / columns.length
    yield
  }
  return least
}

function addDistances(sums: Float32Array, others: Float32Array, value: number, numbers: boolean): void {
  if (numbers) for (let j = 0; j < sums.length; j++) sums[j]! += Math.abs(others[j]! - value)
  else for (let j = 0; j < sums.length; j++) sums[j]! += others[j] === value ? 0 : 1
}

function leastOf(values: Float32Array): number {
  let least = Infinity
  for (let j = 0; j < values.length; j++) if (values[j]! < least) least = values[j]!
  return least
}

/** Numbers become the share of the training rows below them, equal ones by half. */
function placing(sorted: Float64Array): (values: Float64Array) => Float32Array {
  return (values) =>
    Float32Array.from(
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
