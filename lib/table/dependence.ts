import { covariance } from '../data/cholesky'

/** Columns that follow from others: together they lie on a surface, where no density is finite. */

/** Share of a column's variance that the others leave open, below which it follows from them. */
const LEFT_OPEN = 1e-6

/**
 * The same where all of it may be rounding: a total of amounts in cents follows from them up to as much as rounding leaves,
 * (1 + Σ cᵢ²) step² / 12, with some room for chance.
 */
const [LEFT_OPEN_ROUNDED, ROOM] = [1e-3, 1.5]

/** Coefficients of standardised columns below it are rounding. */
const SMALL = 1e-2

/** The work grows with the cube of the columns. */
const MOST_COLUMNS = 256

/** A column by its index, and those that it follows from. */
export interface Dependence {
  column: number
  on: number[]
}

/**
 * Columns that are linear combinations of those before them.
 * @param columns (rows) numbers each
 * @param steps what the numbers of each are multiples of, 0 where nobody knows
 */
export function linearDependences(
  columns: readonly Float64Array[],
  steps: readonly number[] = []
): Dependence[] {
  const width = columns.length
  const rows = columns[0]?.length ?? 0
  if (width < 2 || width > MOST_COLUMNS || rows < 5 * width) return []
  const { correlation, scales } = correlations(columns)
  const rounding = columns.map((_, c) => ((steps[c] ?? 0) / scales[c]!) ** 2 / 12)
  // A Cholesky factor, row by row, of the columns that depend on none before them.
  const free: number[] = []
  const factor: Float64Array[] = []
  const found: Dependence[] = []
  for (let column = 0; column < width; column++) {
    const row = new Float64Array(free.length + 1)
    let open = 1
    free.forEach((other, i) => {
      let rest = correlation[column * width + other]!
      for (let k = 0; k < i; k++) rest -= row[k]! * factor[i]![k]!
      row[i] = rest / factor[i]![i]!
      open -= row[i]! ** 2
    })
    const coefficients = new Float64Array(free.length)
    for (let i = free.length - 1; i >= 0; i--) {
      let rest = row[i]!
      for (let k = i + 1; k < free.length; k++) rest -= factor[k]![i]! * coefficients[k]!
      coefficients[i] = rest / factor[i]![i]!
    }
    const rounded = free.reduce(
      (sum, other, i) => sum + coefficients[i]! ** 2 * rounding[other]!,
      rounding[column]!
    )
    if (open > Math.max(LEFT_OPEN, Math.min(ROOM * rounded, LEFT_OPEN_ROUNDED))) {
      row[free.length] = Math.sqrt(open)
      free.push(column)
      factor.push(row)
      continue
    }
    found.push({ column, on: free.filter((_, i) => Math.abs(coefficients[i]!) > SMALL) })
  }
  return found
}

/**
 * Columns of which one value follows from that of another by a curve of few turns. Sorted by the one, the other then
 * moves little from row to row, as Chatterjee's coefficient measures (2021, A new coefficient of correlation).
 * @param columns (rows) numbers each, of which few repeat
 */
export function curves(columns: readonly Float64Array[]): Dependence[] {
  const ranks = columns.map(ranksOf)
  const found: Dependence[] = []
  for (let column = 1; column < columns.length; column++) {
    const on = ranks.slice(0, column).findIndex((other) => follows(other, ranks[column]!))
    if (on >= 0) found.push({ column, on: [on] })
  }
  return found
}

function follows(a: Ranks, b: Ranks): boolean {
  const rows = a.order.length
  // Where rows are few, a tight cloud looks like a curve, unless it only rises or only falls.
  const most = rows < 1000 ? 1.01 * rows : 6 * rows
  return travel(a, b, most) <= most || travel(b, a, most) <= most
}

/** How far the ranks of `b` move in all from row to row in the order of `a`; what lies beyond `most` is not counted. */
function travel({ order }: Ranks, { rank }: Ranks, most: number): number {
  let sum = 0
  for (let i = 1; i < order.length && sum <= most; i++)
    sum += Math.abs(rank[order[i]!]! - rank[order[i - 1]!]!)
  return sum
}

interface Ranks {
  /** Rows by rising values, and the place of each row among them. */
  order: Uint32Array
  rank: Uint32Array
}

function ranksOf(values: Float64Array): Ranks {
  const order = new Uint32Array(values.length)
  for (let row = 0; row < order.length; row++) order[row] = row
  order.sort((a, b) => values[a]! - values[b]!)
  const rank = new Uint32Array(values.length)
  order.forEach((row, place) => {
    rank[row] = place
  })
  return { order, rank }
}

function correlations(columns: readonly Float64Array[]): { correlation: Float64Array; scales: number[] } {
  const width = columns.length
  const rows = columns[0]!.length
  const standard = new Float64Array(rows * width)
  const scales = columns.map((values, c) => {
    const mean = values.reduce((sum, value) => sum + value, 0) / rows
    const scale = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / rows) || 1
    values.forEach((value, row) => {
      standard[row * width + c] = (value - mean) / scale
    })
    return scale
  })
  return { correlation: covariance(standard, width).covariance, scales }
}
