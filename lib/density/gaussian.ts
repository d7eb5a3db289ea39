import { cholesky, covarianceInPieces, invertLower } from '../data/cholesky'
import { type Batch, isReal, rowsOf, toRows } from '../native/batch'
import { fail, texts } from '../native/check'
import { atOnce } from '../native/pieces'

/** N(mean, L Lᵀ): what a flow has to beat. */
export class Gaussian {
  readonly dimension: number
  /** L⁻¹ (D, D), lower triangular. */
  readonly whitening: Float64Array
  readonly #logNormaliser: number
  /** L⁻¹, two rows beside each other: of rows i and i + 1, i even, the columns 0 … i + 1, and 0 where there is none. */
  readonly #pairs: Float64Array
  /** x − mean of four rows, (D, 4), and a row of zeros where D is odd. */
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
    this.#pairs = pairsOfRows(this.whitening, this.dimension)
    this.#centred = new Float64Array(4 * (this.dimension + (this.dimension % 2)))
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
   * log p of the rows `first` … `first + 3` of (n, D) into `four`; behind the last row it is repeated. Eight sums at a time, as one alone
   * waits for each of its additions, and as every number that is loaded then serves two or four of them.
   * @internal
   */
  logProbOfFour(rows: ArrayLike<number>, first: number, four: Float64Array): void {
    const { dimension: n, mean } = this
    const [centred, pairs] = [this.#centred, this.#pairs]
    for (let r = 0; r < 4; r++) {
      const start = Math.min((first + r) * n, rows.length - n)
      for (let j = 0; j < n; j++) centred[4 * j + r] = rows[start + j]! - mean[j]!
    }
    let [a, b, c, d] = [0, 0, 0, 0]
    for (let i = 0, at = 0; i < n; i += 2) {
      let [p, q, r, s] = [0, 0, 0, 0]
      let [t, u, v, w] = [0, 0, 0, 0]
      for (let j = 0; j < i + 2; j++, at += 2) {
        const one = pairs[at]!
        const other = pairs[at + 1]!
        const x = centred[4 * j]!
        const y = centred[4 * j + 1]!
        const z = centred[4 * j + 2]!
        const o = centred[4 * j + 3]!
        p += one * x
        t += other * x
        q += one * y
        u += other * y
        r += one * z
        v += other * z
        s += one * o
        w += other * o
      }
      a = a + p * p + t * t
      b = b + q * q + u * u
      c = c + r * r + v * v
      d = d + s * s + w * w
    }
    four[0] = this.#logNormaliser - 0.5 * a
    four[1] = this.#logNormaliser - 0.5 * b
    four[2] = this.#logNormaliser - 0.5 * c
    four[3] = this.#logNormaliser - 0.5 * d
  }
}

function pairsOfRows(lower: Float64Array, n: number): Float64Array {
  const pairs: number[] = []
  for (let i = 0; i < n; i += 2)
    for (let j = 0; j < i + 2; j++)
      pairs.push(j <= i ? lower[i * n + j]! : 0, i + 1 < n && j < n ? lower[(i + 1) * n + j]! : 0)
  return Float64Array.from(pairs)
}

/** The Gaussian of largest likelihood: mean and full covariance of the rows. @throws FfjordError where it has none */
export function fitGaussian(x: Batch, names?: readonly string[]): Gaussian {
  if (names !== undefined) texts(names, 'names', 'the names of the columns')
  const { data, dimension } = rowsOf(x)
  return atOnce(fitGaussianInPieces(data, dimension, names))
}

/** The same of rows (n, D), with a pause between some rows and the next. */
export function* fitGaussianInPieces(
  data: ArrayLike<number>,
  dimension: number,
  names?: readonly string[]
): Generator<undefined, Gaussian> {
  const { mean, covariance } = yield* covarianceInPieces(data, dimension)
  const result = cholesky(covariance, dimension)
  if ('failed' in result) {
    const name = names?.[result.failed] ?? `number ${result.failed + 1}`
    return fail(
      'INVALID_INPUT',
      `column ${name} is constant, or a linear combination of the columns before it, so that a density would be infinite; leave it out`
    )
  }
  return new Gaussian(mean, result.factor)
}
