/** How columns depend on each other, of whatever kind they are. */

/** A column as its dependence is measured: standardised ranks of numbers, or levels. */
type Ranked = { ranks: Float64Array } | { places: ArrayLike<number>; levels: number }

/** Values of a column: numbers, or places of so many levels. */
export function ranked(values: Float64Array, levels?: number): Ranked {
  return levels === undefined ? { ranks: standardRanks(values) } : { places: values, levels }
}

/**
 * The strength of a dependence, 0 for none, 1 where one follows from the other: Spearman's rank correlation between numbers, with its sign; the
 * correlation ratio of ranks (the root of the share of their variance that levels explain) between numbers and a category; Cramér's V
 * between categories.
 */
export function association(a: Ranked, b: Ranked): number {
  if ('ranks' in a && 'ranks' in b) return dot(a.ranks, b.ranks)
  if ('ranks' in a) return 'ranks' in b ? 0 : correlationRatio(a.ranks, b.places, b.levels)
  if ('ranks' in b) return correlationRatio(b.ranks, a.places, a.levels)
  return cramersV(a.places, a.levels, b.places, b.levels)
}

/** Ranks, those of equal values shared, with mean 0 and sum of squares 1; all 0 of a constant. */
export function standardRanks(values: Float64Array): Float64Array {
  const count = values.length
  const order = Uint32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!)
  const ranks = new Float64Array(count)
  for (let from = 0, to = 0; from < count; from = to) {
    while (to < count && values[order[to]!] === values[order[from]!]) to++
    for (let i = from; i < to; i++) ranks[order[i]!] = (from + to - 1) / 2 - (count - 1) / 2
  }
  const norm = Math.sqrt(ranks.reduce((sum, rank) => sum + rank * rank, 0)) || 1
  return ranks.map((rank) => rank / norm)
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!
  return sum
}

/** The ranks' squares sum to 1, so that the share between levels is Σ (sum of a level)² / its count. */
function correlationRatio(ranks: Float64Array, places: ArrayLike<number>, levels: number): number {
  const [sums, counts] = [new Float64Array(levels), new Float64Array(levels)]
  ranks.forEach((rank, row) => {
    sums[places[row]!]! += rank
    counts[places[row]!]!++
  })
  return Math.sqrt(sums.reduce((all, sum, level) => all + (counts[level]! && sum ** 2 / counts[level]!), 0))
}

function cramersV(a: ArrayLike<number>, levelsA: number, b: ArrayLike<number>, levelsB: number): number {
  const count = a.length
  const joint = new Float64Array(levelsA * levelsB)
  const [ofA, ofB] = [new Float64Array(levelsA), new Float64Array(levelsB)]
  for (let row = 0; row < count; row++) {
    joint[a[row]! * levelsB + b[row]!]!++
    ofA[a[row]!]!++
    ofB[b[row]!]!++
  }
  let chi = 0
  joint.forEach((seen, cell) => {
    const expected = (ofA[Math.floor(cell / levelsB)]! * ofB[cell % levelsB]!) / count
    if (expected > 0) chi += (seen - expected) ** 2 / expected
  })
  const present = (counts: Float64Array) => counts.filter((one) => one > 0).length
  const freedom = Math.min(present(ofA), present(ofB)) - 1
  return freedom > 0 ? Math.sqrt(chi / (count * freedom)) : 0
}
