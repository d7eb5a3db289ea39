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

/** Mean (n) and covariance (n, n), divided by the sum of the weights, of rows (m, n); weights default to 1. */
export function covariance(
  rows: ArrayLike<number>,
  n: number,
  weights?: ArrayLike<number>
): { mean: Float64Array; covariance: Float64Array; total: number } {
  const count = rows.length / n
  const mean = new Float64Array(n)
  let total = 0
  for (let r = 0; r < count; r++) {
    const weight = weights ? weights[r]! : 1
    total += weight
    for (let i = 0; i < n; i++) mean[i]! += weight * rows[r * n + i]!
  }
  for (let i = 0; i < n; i++) mean[i]! /= total
  const sums = new Float64Array(n * n)
  const centred = new Float64Array(n)
  for (let r = 0; r < count; r++) {
    const weight = weights ? weights[r]! : 1
    if (weight === 0) continue
    for (let i = 0; i < n; i++) centred[i] = rows[r * n + i]! - mean[i]!
    for (let i = 0; i < n; i++) {
      const scaled = weight * centred[i]!
      for (let j = 0; j <= i; j++) sums[i * n + j]! += scaled * centred[j]!
    }
  }
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) sums[j * n + i] = sums[i * n + j] = sums[i * n + j]! / total
  return { mean, covariance: sums, total }
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
