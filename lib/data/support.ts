import { Interval } from './interval'

/** The map of a `support` block on the host, for statistics of transformed rows. */

export interface Intervals {
  lower: readonly (number | null)[]
  upper: readonly (number | null)[]
}

/** Rows (n, D) on the line, and log|det| of each. */
export function onLine(
  rows: ArrayLike<number>,
  { lower, upper }: Intervals
): { rows: Float64Array; logDeterminant: Float64Array } {
  const width = lower.length
  const mapped = new Float64Array(rows.length)
  const logDeterminant = new Float64Array(rows.length / width)
  const intervals = lower.map(
    (end, i) => new Interval({ lower: end ?? undefined, upper: upper[i] ?? undefined })
  )
  for (let i = 0; i < rows.length; i++) {
    const interval = intervals[i % width]!
    mapped[i] = interval.toLine(rows[i]!)
    logDeterminant[Math.floor(i / width)]! -= interval.logSlope(rows[i]!)
  }
  return { rows: mapped, logDeterminant }
}
