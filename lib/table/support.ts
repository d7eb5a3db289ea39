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
  for (let i = 0; i < rows.length; i++) {
    const [a, b] = [lower[i % width]!, upper[i % width]!]
    const row = Math.floor(i / width)
    const x = rows[i]!
    const [fromLower, fromUpper] = [a === null ? 0 : Math.log(x - a), b === null ? 0 : Math.log(b - x)]
    mapped[i] = a === null && b === null ? x : fromLower - fromUpper
    if (a !== null) logDeterminant[row]! -= fromLower
    if (b !== null) logDeterminant[row]! -= fromUpper
    if (a !== null && b !== null) logDeterminant[row]! += Math.log(b - a)
  }
  return { rows: mapped, logDeterminant }
}
