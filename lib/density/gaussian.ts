import { cholesky, covariance, invertLower } from '../data/cholesky'
import { type Batch, isReal, rowsOf, toRows } from '../native/batch'
import { fail, texts } from '../native/check'

/** N(mean, L Lᵀ): what a flow has to beat. */
export class Gaussian {
  readonly dimension: number
  /** L⁻¹ (D, D), lower triangular. */
  readonly whitening: Float64Array
  readonly #logNormaliser: number

  constructor(
    readonly mean: Float64Array,
    /** L (D, D), lower triangular. */
    readonly factor: Float64Array
  ) {
    if (!isReal(mean) || !isReal(factor) || mean.length === 0 || factor.length !== mean.length ** 2)
      fail(
        'INVALID_INPUT',
        'a Gaussian takes a mean (D) and a factor (D, D); use fitGaussian for one of rows'
      )
    this.dimension = mean.length
    this.whitening = invertLower(factor, this.dimension)
    let logDeterminant = 0
    for (let i = 0; i < this.dimension; i++) logDeterminant += Math.log(factor[i * this.dimension + i]!)
    this.#logNormaliser = -0.5 * this.dimension * Math.log(2 * Math.PI) - logDeterminant
  }

  /** The law of the first `size` numbers of a row. */
  marginal(size: number): Gaussian {
    const { dimension: n, mean, factor } = this
    const leading = Float64Array.from(
      { length: size * size },
      (_, at) => factor[Math.floor(at / size) * n + (at % size)]!
    )
    return new Gaussian(mean.slice(0, size), leading)
  }

  /** log p of each row, nats. */
  logProb(x: Batch): Float64Array {
    const { data, count } = toRows(x, [this.dimension], 'x')
    return Float64Array.from({ length: count }, (_, row) => this.logProbAt(data, row))
  }

  /** log p of row number `row` of (n, D). */
  logProbAt(rows: ArrayLike<number>, row: number): number {
    const { dimension: n, mean, whitening } = this
    const start = row * n
    let square = 0
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (let j = 0; j <= i; j++) sum += whitening[i * n + j]! * (rows[start + j]! - mean[j]!)
      square += sum * sum
    }
    return this.#logNormaliser - 0.5 * square
  }
}

/** The Gaussian of largest likelihood: mean and full covariance of the rows. @throws FfjordError where it has none */
export function fitGaussian(x: Batch, names?: readonly string[]): Gaussian {
  if (names !== undefined) texts(names, 'names', 'the names of the columns')
  const { data, dimension } = rowsOf(x)
  const { mean, covariance: matrix } = covariance(data, dimension)
  const result = cholesky(matrix, dimension)
  if ('failed' in result) {
    const name = names?.[result.failed] ?? `number ${result.failed + 1}`
    return fail(
      'INVALID_INPUT',
      `column ${name} is constant, or a linear combination of the columns before it, so that a density would be infinite; leave it out`
    )
  }
  return new Gaussian(mean, result.factor)
}
