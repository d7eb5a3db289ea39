import { AtomCell } from '../data/atom'
import { hasCell, placesOf, type Step } from '../data/cells'
import { gatherRows } from '../data/gather'
import { philox, streams } from '../data/random'
import { binding } from '../native/binding'
import type { NativeArray } from '../native/interface'

/**
 * The density of rows of which some values stand for cells [x, x + step): the mean of a density over the cell. Its estimate from K points
 * x + step · u_k, log 1/K Σ p(x + step · u_k), is in the mean a lower bound of the logarithm, and the tighter the larger K (Burda, Grosse and
 * Salakhutdinov 2016). For an atom (atom.ts) the points are drawn from the law q of its noise, and log 1/K Σ p(x_k) / q(x_k) estimates the
 * logarithm of its probability. Points come from a row's own values and a seed, so that equal rows have one estimate, wherever they stand.
 */

/** Rows as the file has them. */
export interface CellRows {
  /** (n, D) */
  values: NativeArray
  /** The step of each of the D elements, 0 where a value stands for itself. */
  steps: readonly Step[]
  /** (n, anything): what else makes rows different. */
  context?: NativeArray
}

/** log p of points (m, D), each of the row at its entry of `rows`, whose key (m, 2) its noise follows from. */
export type PointDensity = (
  points: Float64Array,
  rows: Uint32Array,
  keys: Uint32Array
) => Promise<ArrayLike<number>>

export interface CellLogProb {
  /** One a row, nats. */
  logProb: Float64Array
  /** Its standard error over the draws. */
  spread: Float64Array
  draws: Uint32Array
  /** Points that were asked for: equal rows share theirs. */
  points: number
}

export interface DrawOptions {
  seed: number
  /** Most of a row. */
  draws: number
}

/** Draws go on until a row's spread is below it, nats. */
export const SPREAD = 0.01

/** Most draws of a row, unless a caller says otherwise. */
export const MOST_DRAWS = 1024

const FIRST_DRAWS = 32
/** Sets of points that are independent of each other, by which the spread is found. */
const SETS = 8
const POINTS_AT_ONCE = 16_384

export async function cellLogProb(
  { values, steps, context }: CellRows,
  density: PointDensity,
  { seed, draws: most }: DrawOptions
): Promise<CellLogProb> {
  const width = steps.length
  const count = values.length / width
  const places = placesOf(steps)
  const { chosen, original } = distinct(values, count, context)
  const keys = binding().rowKeys(values, count)
  const sets = Math.min(SETS, most)
  /** The largest log p so far of each distinct row and set, and the sum of exp(log p − largest). */
  const largest = new Float64Array(chosen.length * sets).fill(-Infinity)
  const sums = new Float64Array(chosen.length * sets)
  const found = {
    logProb: new Float64Array(chosen.length),
    spread: new Float64Array(chosen.length).fill(Number.NaN),
    draws: new Uint32Array(chosen.length)
  }
  const inCells = (one: number) =>
    places.some((place) => hasCell(steps[place]!, values[chosen[one]! * width + place]!))
  const distinctRows = Array.from(chosen.keys())
  await scorePoints(distinctRows.filter((one) => !inCells(one)))
  let open = distinctRows.filter(inCells)
  for (let done = 0, next = Math.min(FIRST_DRAWS, most); open.length > 0 && done < most; ) {
    const perSet = [Math.floor(done / sets), Math.floor(next / sets)] as const
    const perRow = (perSet[1] - perSet[0]) * sets
    const rowsAtOnce = Math.max(1, Math.floor(POINTS_AT_ONCE / perRow))
    for (let first = 0; first < open.length; first += rowsAtOnce)
      await draw(open.slice(first, first + rowsAtOnce), perSet)
    for (const one of open) estimate(one, perSet[1])
    open = open.filter((one) => !(found.spread[one]! < SPREAD))
    done = perSet[1] * sets
    next = Math.min(2 * done, most)
    if (Math.floor(next / sets) * sets === done) break
  }
  return {
    logProb: Float64Array.from(original, (one) => found.logProb[one]!),
    spread: Float64Array.from(original, (one) => found.spread[one]!),
    draws: Uint32Array.from(original, (one) => found.draws[one]!),
    points: found.draws.reduce((sum, one) => sum + one, 0)
  }

  /** Rows of which every value stands for itself. */
  async function scorePoints(some: readonly number[]): Promise<void> {
    for (let first = 0; first < some.length; first += POINTS_AT_ONCE) {
      const part = some.slice(first, first + POINTS_AT_ONCE)
      const rows = Uint32Array.from(part, (one) => chosen[one]!)
      const points = Float64Array.from(gatherRows(values, width, rows))
      const logProb = await density(points, rows, gatherRows(keys, 2, rows))
      part.forEach((one, i) => {
        found.logProb[one] = logProb[i]!
        found.spread[one] = 0
        found.draws[one] = 1
      })
    }
  }

  /** Points number [from, to) of every set of some distinct rows. */
  async function draw(some: readonly number[], [from, to]: readonly [number, number]): Promise<void> {
    const perRow = (to - from) * sets
    const points = new Float64Array(some.length * perRow * width)
    const rows = new Uint32Array(some.length * perRow)
    const weights = new Float64Array(some.length * perRow)
    some.forEach((one, i) => {
      const row = chosen[one]!
      rows.fill(row, i * perRow, (i + 1) * perRow)
      const cell = values.subarray(row * width, (row + 1) * width)
      for (let at = i * perRow * width, end = (i + 1) * perRow * width; at < end; at += width)
        points.set(cell, at)
      places.forEach((place, j) => {
        const stride = Math.sqrt(prime(j))
        const [step, value] = [steps[place]!, cell[place]!]
        if (!hasCell(step, value)) return
        const starts = shifts(keys, row, j, seed)
        for (let set = 0, at = i * perRow; set < sets; set++)
          for (let point = from; point < to; point++, at++) {
            const u = (starts[set]! + point * stride) % 1
            const x = step instanceof AtomCell ? step.value(u) : within(value, step, u)
            if (step instanceof AtomCell) weights[at]! += step.logWeight(x)
            points[at * width + place] = x
          }
      })
    })
    const logProb = await density(points, rows, gatherRows(keys, 2, rows))
    some.forEach((one, i) => {
      for (let k = 0; k < perRow; k++) {
        const at = one * sets + Math.floor(k / (to - from))
        const value = logProb[i * perRow + k]! + weights[i * perRow + k]!
        if (value > largest[at]!) {
          sums[at] = sums[at]! * Math.exp(largest[at]! - value) + 1
          largest[at] = value
        } else if (value > -Infinity) sums[at]! += Math.exp(value - largest[at]!)
      }
    })
  }

  function estimate(one: number, points: number): void {
    const mine = Array.from({ length: sets }, (_, set) => one * sets + set)
    const top = Math.max(...mine.map((at) => largest[at]!))
    const means = mine.map((at) =>
      largest[at]! > -Infinity ? (sums[at]! / points) * Math.exp(largest[at]! - top) : 0
    )
    const mean = means.reduce((sum, one) => sum + one, 0) / sets
    const variance = means.reduce((sum, one) => sum + (one - mean) ** 2, 0) / (sets - 1) / sets
    found.logProb[one] = mean > 0 ? top + Math.log(mean) : -Infinity
    // The delta method gives the deviation of a logarithm.
    found.spread[one] = mean > 0 ? Math.sqrt(variance) / mean : 0
    found.draws[one] = points * sets
  }
}

/** The rows that differ, and which of them each row is. */
function distinct(values: NativeArray, count: number, context: NativeArray | undefined) {
  const seen = new Map<string, number>()
  const chosen: number[] = []
  const text = (array: NativeArray | undefined, row: number) => {
    if (!array) return ''
    const bytes = array.byteLength / count
    return Buffer.from(array.buffer, array.byteOffset + row * bytes, bytes).toString('latin1')
  }
  const original = Uint32Array.from({ length: count }, (_, row) => {
    const name = text(values, row) + text(context, row)
    let one = seen.get(name)
    if (one === undefined) {
      one = chosen.push(row) - 1
      seen.set(name, one)
    }
    return one
  })
  return { chosen, original }
}

/**
 * The places where the points of every set begin along an element: from there they go on by the square root of a prime, modulo 1 (Richtmyer), which fills
 * the cell more evenly than independent draws. A point of such a set is uniform in the cell, as a single draw is.
 */
function shifts(keys: Uint32Array, row: number, element: number, seed: number): number[] {
  const [word, call] = [keys[2 * row]!, keys[2 * row + 1]!]
  return [0, 1]
    .flatMap((half) => philox([word, 2 * element + half, streams.cells, call], seed))
    .map((bits) => (bits + 0.5) / 2 ** 32)
}

/** A point strictly between x and x + step, also after rounding to float32 where that tells the two apart: either may be the end of a column's interval. */
function within(x: number, step: number, u: number): number {
  const value = x + step * u
  const [low, rounded, high] = [Math.fround(x), Math.fround(value), Math.fround(x + step)]
  const onEnd = value <= x || value >= x + step || (low < high && (rounded <= low || rounded >= high))
  return onEnd ? x + 0.5 * step : value
}

const primes = [2]

function prime(index: number): number {
  for (let n = primes.at(-1)! + 1; primes.length <= index; n++)
    if (primes.every((one) => n % one !== 0)) primes.push(n)
  return primes[index]!
}
