import { atOnce } from '../native/pieces'

/** Symmetric positive definite matrices (n, n), row-major, in plain loops. */

/**
 * L lower triangular with L Lᵀ = A. Undefined where A is not positive definite: `pivot` of what is left of a diagonal
 * entry has to stay above `tolerance` times the entry.
 */
export function cholesky(
  matrix: ArrayLike<number>,
  n: number,
  tolerance = 1e-13
): { factor: Float64Array } | { failed: number } {
  const factor = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = matrix[i * n + j]!
      for (let k = 0; k < j; k++) rest -= factor[i * n + k]! * factor[j * n + k]!
      if (i > j) {
        factor[i * n + j] = rest / factor[j * n + j]!
        continue
      }
      if (!(rest > tolerance * matrix[i * n + i]!)) return { failed: i }
      factor[i * n + i] = Math.sqrt(rest)
    }
  }
  return { factor }
}

/** L⁻¹ of a lower triangular L. */
export function invertLower(factor: ArrayLike<number>, n: number): Float64Array {
  const inverse = new Float64Array(n * n)
  for (let column = 0; column < n; column++) {
    inverse[column * n + column] = 1 / factor[column * n + column]!
    for (let i = column + 1; i < n; i++) {
      let sum = 0
      for (let k = column; k < i; k++) sum -= factor[i * n + k]! * inverse[k * n + column]!
      inverse[i * n + column] = sum / factor[i * n + i]!
    }
  }
  return inverse
}

export interface Moments {
  mean: Float64Array
  covariance: Float64Array
  /** The sum of the weights. */
  total: number
}

/** Mean (n) and covariance (n, n), divided by the sum of the weights, of rows (m, n); weights default to 1. */
export function covariance(rows: ArrayLike<number>, n: number, weights?: ArrayLike<number>): Moments {
  return atOnce(covarianceInPieces(rows, n, weights))
}

/** Multiply-adds of a piece: some ms. */
const PIECE = 4e6

/** The same, with a pause between some rows and the next. */
export function* covarianceInPieces(
  rows: ArrayLike<number>,
  n: number,
  weights?: ArrayLike<number>
): Generator<undefined, Moments> {
  const count = rows.length / n
  const { mean, total } = weightedMean(rows, n, weights)
  yield
  const even = n + (n % 2)
  const sums = new Float64Array(even * even)
  const size = Math.ceil(PIECE / n ** 2)
  for (let first = 0; first < count; first += size) {
    addSquares(sums, rows, mean, weights, first, Math.min(count, first + size))
    yield
  }
  const matrix = new Float64Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) matrix[j * n + i] = matrix[i * n + j] = sums[i * even + j]! / total
  return { mean, covariance: matrix, total }
}

function weightedMean(
  rows: ArrayLike<number>,
  n: number,
  weights: ArrayLike<number> | undefined
): { mean: Float64Array; total: number } {
  const mean = new Float64Array(n)
  let total = 0
  for (let r = 0, at = 0; at < rows.length; r++, at += n) {
    const weight = weights ? weights[r]! : 1
    if (weight === 0) continue
    total += weight
    for (let i = 0; i < n; i++) mean[i]! += weight * rows[at + i]!
  }
  for (let i = 0; i < n; i++) mean[i]! /= total
  return { mean, total }
}

/**
 * Adds w (x − mean)(x − mean)ᵀ of the rows first … last − 1 to the lower triangle of `sums`, whose rows are as long as n is, or n + 1 where it
 * is odd. Four rows of x and two of the sums at a time: every number that is loaded then serves several products. Each sum takes row after
 * row, as if one did.
 */
function addSquares(
  sums: Float64Array,
  rows: ArrayLike<number>,
  mean: Float64Array,
  weights: ArrayLike<number> | undefined,
  first: number,
  last: number
): void {
  const n = mean.length
  const even = n + (n % 2)
  const centred = new Float64Array(4 * even)
  const weight = new Float64Array(4)
  let row = first
  while (row < last) {
    weight.fill(0)
    for (let taken = 0; taken < 4 && row < last; row++) {
      const own = weights ? weights[row]! : 1
      if (own === 0) continue
      for (let i = 0; i < n; i++) centred[4 * i + taken] = rows[row * n + i]! - mean[i]!
      weight[taken++] = own
    }
    const [u, v, w, z] = [weight[0]!, weight[1]!, weight[2]!, weight[3]!]
    for (let i = 0; i < even; i += 2) {
      const at = 4 * i
      const [a, b, c, d] = [
        u * centred[at]!,
        v * centred[at + 1]!,
        w * centred[at + 2]!,
        z * centred[at + 3]!
      ]
      const e = u * centred[at + 4]!
      const f = v * centred[at + 5]!
      const g = w * centred[at + 6]!
      const h = z * centred[at + 7]!
      for (let j = 0, k = 0, to = i * even; j < i + 2; j++, k += 4, to++) {
        const o = centred[k]!
        const p = centred[k + 1]!
        const q = centred[k + 2]!
        const r = centred[k + 3]!
        sums[to] = sums[to]! + a * o + b * p + c * q + d * r
        sums[to + even] = sums[to + even]! + e * o + f * p + g * q + h * r
      }
    }
  }
}

/** Mean and deviation of every column. */
export function columnMoments(rows: ArrayLike<number>, width: number): { mean: number[]; scale: number[] } {
  const count = rows.length / width
  // Distances are taken from the first row, so that a constant column has a deviation of 0 whatever its size.
  const mean = Float64Array.from({ length: width }, (_, c) => rows[c]!)
  const sums = new Float64Array(width)
  const squares = new Float64Array(width)
  for (let i = 0, c = 0; i < rows.length; i++, c = c + 1 === width ? 0 : c + 1)
    sums[c]! += rows[i]! - rows[c]!
  for (let c = 0; c < width; c++) mean[c]! += sums[c]! / count
  for (let i = 0, c = 0; i < rows.length; i++, c = c + 1 === width ? 0 : c + 1)
    squares[c]! += (rows[i]! - mean[c]!) ** 2 / count
  return { mean: [...mean], scale: [...squares].map(Math.sqrt) }
}
