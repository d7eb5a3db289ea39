import { cholesky, covariance, invertLower } from '../data/cholesky'
import { type Batch, isReal, rowsOf, toRows } from '../native/batch'
import { fail, texts } from '../native/check'

/** N(mean, L Lᵀ): what a flow has to beat. */
export class Gaussian {
  readonly dimension: number
  /** L⁻¹ (D, D), lower triangular. */
  readonly whitening: Float64Array
  readonly #logNormaliser: number
  /** x − mean of four rows, (D, 4). */
  readonly #centred: Float64Array

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
    this.#centred = new Float64Array(4 * this.dimension)
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
    const all = new Float64Array(count)
    const four = new Float64Array(4)
    for (let row = 0; row < count; row += 4) {
      this.logProbOfFour(data, row, four)
      all.set(four.subarray(0, count - row), row)
    }
    return all
  }

  /**
   * log p of the rows `first` … `first + 3` of (n, D) into `four`; behind the last row it is repeated. Four sums at a time, as one
   * alone waits for each of its additions.
   * @internal
   */
  logProbOfFour(rows: ArrayLike<number>, first: number, four: Float64Array): void {
    const { dimension: n, mean, whitening } = this
    const centred = this.#centred
    for (let r = 0; r < 4; r++) {
      const start = Math.min((first + r) * n, rows.length - n)
      for (let j = 0; j < n; j++) centred[4 * j + r] = rows[start + j]! - mean[j]!
    }
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let i = 0; i < n; i++) {
      let [p, q, r, s] = [0, 0, 0, 0]
      for (let j = 0; j <= i; j++) {
        const weight = whitening[i * n + j]!
        p += weight * centred[4 * j]!
        q += weight * centred[4 * j + 1]!
        r += weight * centred[4 * j + 2]!
        s += weight * centred[4 * j + 3]!
      }
      a += p * p
      b += q * q
      c += r * r
      d += s * s
    }
    four[0] = this.#logNormaliser - 0.5 * a
    four[1] = this.#logNormaliser - 0.5 * b
    four[2] = this.#logNormaliser - 0.5 * c
    four[3] = this.#logNormaliser - 0.5 * d
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
