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

/**
 * Columns of numbers have the distance of Kolmogorov and Smirnov, the largest between the shares below a value; categories the total
 * variation, half the sum of the distances of their shares.
 */
export function matchOf({ data, samples, levels }: Quantity): Match {
  const distance = levels
    ? (a: Float64Array, b: Float64Array) => totalVariation(a, b, levels.length)
    : (a: Float64Array, b: Float64Array) => kolmogorovSmirnov(a.sort(), b.sort())
  return crossed(data, samples, distance)
}

/** Total variation between the shares of cells, which eight quantiles of either column's data, or its levels, cut. */
export function pairMatch(a: Cut, b: Cut): Match {
  const cells = (one: Uint8Array, other: Uint8Array) =>
    Float64Array.from(one, (cell, row) => cell * CELLS + other[row]!)
  return crossed(cells(a.data, b.data), cells(a.samples, b.samples), (x, y) =>
    totalVariation(x, y, CELLS * CELLS)
  )
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

function crossed(
  data: Float64Array,
  samples: Float64Array,
  distance: (a: Float64Array, b: Float64Array) => number
): Match {
  const half = (values: Float64Array, which: number) => values.filter((_, row) => row % 2 === which)
  const cross = distance(half(data, 0), half(samples, 1)) + distance(half(data, 1), half(samples, 0))
  return { distance: cross / 2, halves: distance(half(data, 0), half(data, 1)) }
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
  const difference = new Float64Array(size)
  for (let i = 0; i < a.length; i++) difference[a[i]!]! += 1 / a.length
  for (let i = 0; i < b.length; i++) difference[b[i]!]! -= 1 / b.length
  return difference.reduce((sum, one) => sum + Math.abs(one), 0) / 2
}
