import type { Quantity } from './quantity'

/**
 * How well samples match data, a column or a pair of columns at a time, in [0, 1]: 0 for equal laws. Rows are cut in halves A and B. The
 * distance is that of A's data to B's samples and the other way round, in the mean, and what two halves of one law have stands beside it:
 * with that, rows as few as these cannot tell data and samples apart.
 */
export interface Match {
  distance: number
  /** The distance between the halves of the data. */
  halves: number
}

/** Cells a column has in the distance of a pair, at most. */
const CELLS = 8

/** Matches of columns: several sections of a report ask for them, and each takes four sorts. */
const found = new WeakMap<Quantity, Match>()

/**
 * Columns of numbers have the distance of Kolmogorov and Smirnov, the largest between the shares below a value; categories the total
 * variation, half the sum of the distances of their shares.
 */
export function matchOf(quantity: Quantity): Match {
  const known = found.get(quantity)
  if (known) return known
  const { data, samples, levels } = quantity
  const half = (values: Float64Array, which: number) => {
    const rows = new Float64Array(Math.floor((values.length + 1 - which) / 2))
    for (let i = 0; i < rows.length; i++) rows[i] = values[2 * i + which]!
    return levels ? rows : rows.sort()
  }
  const [a, b, c, d] = [half(data, 0), half(data, 1), half(samples, 0), half(samples, 1)]
  const distance = levels
    ? (one: Float64Array, other: Float64Array) => totalVariation(one, other, levels.length)
    : kolmogorovSmirnov
  const match = { distance: (distance(a, d) + distance(b, c)) / 2, halves: distance(a, b) }
  found.set(quantity, match)
  return match
}

/** Total variation between the shares of cells, which eight quantiles of either column's data, or its levels, cut. */
export function pairMatch(a: Cut, b: Cut): Match {
  const data = sharesOfHalves(a.data, b.data)
  const samples = sharesOfHalves(a.samples, b.samples)
  const cross = distanceOfShares(data[0], samples[1]) + distanceOfShares(data[1], samples[0])
  return { distance: cross / 2, halves: distanceOfShares(data[0], data[1]) }
}

/** The share of each cell of a pair among the even rows, and among the odd ones. */
function sharesOfHalves(one: Uint8Array, other: Uint8Array): [Float64Array, Float64Array] {
  const counts = [new Float64Array(CELLS * CELLS), new Float64Array(CELLS * CELLS)] as const
  for (let row = 0; row < one.length; row++) counts[row & 1]![one[row]! * CELLS + other[row]!]!++
  const rows = [Math.ceil(one.length / 2), Math.floor(one.length / 2)] as const
  return [counts[0].map((count) => count / rows[0]), counts[1].map((count) => count / rows[1])]
}

function distanceOfShares(a: Float64Array, b: Float64Array): number {
  return a.reduce((sum, share, cell) => sum + Math.abs(share - b[cell]!), 0) / 2
}

/** The cell of every value of a column. */
export interface Cut {
  data: Uint8Array
  samples: Uint8Array
}

export function cutOf({ data, samples, levels }: Quantity): Cut {
  if (levels) {
    // The last cell holds all levels that have none of their own.
    const counts = new Float64Array(levels.length)
    for (const place of data) counts[place]!++
    const order = [...levels.keys()].sort((a, b) => counts[b]! - counts[a]!)
    const cell = new Uint8Array(levels.length).fill(CELLS - 1)
    order.slice(0, CELLS - 1).forEach((place, i) => {
      cell[place] = i
    })
    const cut = (values: Float64Array) => Uint8Array.from(values, (place) => cell[place]!)
    return { data: cut(data), samples: cut(samples) }
  }
  const sorted = data.slice().sort()
  const ends = [
    ...new Set(
      Array.from({ length: CELLS - 1 }, (_, i) => sorted[Math.floor(((i + 1) / CELLS) * sorted.length)]!)
    )
  ]
  const cut = (values: Float64Array) =>
    Uint8Array.from(values, (value) => {
      let cell = 0
      while (cell < ends.length && value >= ends[cell]!) cell++
      return cell
    })
  return { data: cut(data), samples: cut(samples) }
}

/** Of two sorted lists. */
export function kolmogorovSmirnov(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [i, j, most] = [0, 0, 0]
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i]!, b[j]!)
    while (i < a.length && a[i]! <= value) i++
    while (j < b.length && b[j]! <= value) j++
    most = Math.max(most, Math.abs(i / a.length - j / b.length))
  }
  return most
}

/** Of two lists of places below `size`. */
export function totalVariation(a: ArrayLike<number>, b: ArrayLike<number>, size: number): number {
  const shares = (places: ArrayLike<number>) => {
    const counts = new Float64Array(size)
    for (let i = 0; i < places.length; i++) counts[places[i]!]!++
    return counts.map((count) => count / places.length)
  }
  return distanceOfShares(shares(a), shares(b))
}
