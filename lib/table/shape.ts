import type { Distribution } from './distribution'

/** Where the law of a column is none that a plain flow follows. */

/** Least share of the rows that stand on an atom. */
const LEAST_SHARE = 0.02
/** How many times as often as a usual value an atom occurs. */
const OFTEN = 10

/** Values that occur far more often than others do: point masses beside a density. */
export function atomsOf(distribution: Distribution): { value: number; share: number }[] {
  const { values, counts, rows } = distribution
  const frequent: number[] = []
  counts.forEach((count, i) => {
    if (count >= Math.max(3, LEAST_SHARE * rows)) frequent.push(i)
  })
  frequent.sort((a, b) => counts[b]! - counts[a]!).splice(3)
  if (frequent.length === 0) return []
  const usual = distribution.usualCount(new Set(frequent.map((i) => values[i]!)))
  return frequent
    .filter((i) => counts[i]! >= OFTEN * usual)
    .map((i) => ({ value: values[i]!, share: counts[i]! / rows }))
}

/** How far, in robust deviations, rows may lie from the middle. A log-normal of σ = 1 has 75 of them in 100,000 rows. */
const FAR = 200

/** The value farthest out, where it is so far that the others, multiples of `step`, shrink to a point beside it. */
export function heavyTail(
  distribution: Distribution,
  step = 0
): { value: number; deviations: number } | undefined {
  const middle = distribution.quantile(0.5)
  // Half of the rows lie within so much of the middle.
  const spread = Math.max(step, (distribution.quantile(0.75) - distribution.quantile(0.25)) / 2)
  const { least, largest } = distribution
  const value = largest - middle > middle - least ? largest : least
  const deviations = Math.abs(value - middle) / spread
  return spread > 0 && deviations > FAR ? { value, deviations } : undefined
}

const FEW_CELLS = 8

/** Rows from which the mass beside an end can be told. */
const LEAST_ROWS = 500

/**
 * Ends 0, 1 and 100 of the values, null for none, where the density stops on a sudden: many values lie close to an end and
 * none beyond. A multiple of `step` stands for the cell above it. Of a box both ends are sudden, which a flow follows; there one of them must be crowded as well.
 */
export function apparentEnds(
  distribution: Distribution,
  step = 0
): [number | null, number | null] | undefined {
  const { rows, least, largest, values } = distribution
  if (rows < LEAST_ROWS || least < 0) return undefined
  const distances = (from: number, sign: 1 | -1) => ({
    at: (share: number) => sign * (distribution.quantile(sign > 0 ? share : 1 - share) - from) + step,
    within: (distance: number) =>
      sign > 0 ? distribution.shareBelow(from + distance) : 1 - distribution.shareBelow(from - distance)
  })
  const sudden = (from: number, sign: 1 | -1) => {
    const { at, within } = distances(from, sign)
    // A quarter of the way to the first tenth holds a fortieth of the rows where the density is even.
    return within(at(0.1) / 4) >= 0.0125
  }
  const crowded = (from: number, sign: 1 | -1) => {
    const { at, within } = distances(from, sign)
    return within(at(0.9) / 10) >= 0.125
  }
  // Multiples of a step reach into the cell above the largest, and of few all are ends.
  if (step > 0 && values.length < FEW_CELLS) return undefined
  const top = step > 0 ? undefined : [1, 100].find((end) => largest <= end && largest > 0.99 * end)
  const lower = sudden(0, 1)
  const upper = top !== undefined && sudden(top, -1)
  const box = sudden(least, 1) && sudden(largest, -1)
  const ends: [number | null, number | null] = [lower ? 0 : null, upper ? top : null]
  if (!lower && !upper) return undefined
  if (box && !(lower && crowded(0, 1)) && !(upper && crowded(top!, -1))) return undefined
  return ends
}
