import { cholesky, covariance } from '../data/cholesky'
import { RowRandom } from '../data/random'
import { checkOptions } from '../flow/call-options'
import { type Batch, isReal, rowsOf, toRows } from '../native/batch'
import { fail, integer, isArray, isObject, number } from '../native/check'
import { fitGaussian, Gaussian } from './gaussian'

export interface MixtureOptions {
  /** Default: 10. */
  components?: number
  /** Rounds of expectation and maximisation at most. Default: 100. */
  rounds?: number
  /** Stops where the mean log-density of the rows gains less, nats. Default: 1e-3. */
  tolerance?: number
  /** Added to the covariances, as a share of that of all rows: keeps a component from falling onto one row. Default: 1e-4. */
  shrinkage?: number
  /** The first centres are drawn from it. Default: 0. */
  seed?: number
}

/** What it can do decides, so that one of another copy of this package is as good. */
function isGaussian(value: unknown): value is Gaussian {
  return isObject(value) && typeof value.logProbOfFour === 'function' && Number.isInteger(value.dimension)
}

/** A share of a row below which it does not move a component: most rows then belong to few, and sums are short. */
const LEAST_SHARE = 1e-9

/** Σ_k w_k N(mean_k, L_k L_kᵀ) */
export class GaussianMixture {
  readonly dimension: number

  constructor(
    readonly weights: Float64Array,
    readonly components: readonly Gaussian[]
  ) {
    const given: readonly unknown[] = isArray(components) ? components : []
    const first = given.every(isGaussian) ? (given[0] as Gaussian | undefined) : undefined
    if (!first || !isReal(weights) || weights.length !== components.length)
      fail(
        'INVALID_INPUT',
        'a GaussianMixture takes as many weights as Gaussians; use fitMixture for one of rows'
      )
    this.dimension = first.dimension
  }

  /** The law of the first `size` numbers of a row. */
  marginal(size: number): GaussianMixture {
    return new GaussianMixture(
      this.weights,
      this.components.map((component) => component.marginal(size))
    )
  }

  /** log p of each row, nats. */
  logProb(x: Batch): Float64Array {
    const { data, count } = toRows(x, [this.dimension], 'x')
    const all = new Float64Array(count)
    this.eachJoint(data, count, (row, _, total) => {
      all[row] = total
    })
    return all
  }

  /**
   * Calls `take` for each row of (count, D) with log (w_k N_k(x)) of each component k, and the logarithm of their sum.
   * @internal
   */
  eachJoint(
    rows: ArrayLike<number>,
    count: number,
    take: (row: number, joint: Float64Array, total: number) => void
  ): void {
    const size = this.components.length
    const logWeights = Float64Array.from(this.weights, Math.log)
    const four = Array.from({ length: size }, () => new Float64Array(4))
    const joint = new Float64Array(size)
    for (let first = 0; first < count; first += 4) {
      for (let k = 0; k < size; k++) this.components[k]!.logProbOfFour(rows, first, four[k]!)
      for (let r = 0; r < 4 && first + r < count; r++) {
        let most = -Infinity
        for (let k = 0; k < size; k++) {
          joint[k] = logWeights[k]! + four[k]![r]!
          most = Math.max(most, joint[k]!)
        }
        let sum = 0
        for (let k = 0; k < size; k++) sum += Math.exp(joint[k]! - most)
        take(first + r, joint, most + Math.log(sum))
      }
    }
  }
}

/**
 * A mixture of full-covariance Gaussians by expectation maximisation (Dempster, Laird and Rubin 1977), from centres
 * that k-means++ (Arthur and Vassilvitskii 2007) draws in whitened coordinates.
 */
export function fitMixture(x: Batch, options: MixtureOptions = {}): GaussianMixture {
  const given = checkOptions(options, 'fitMixture', [
    'components',
    'rounds',
    'tolerance',
    'shrinkage',
    'seed'
  ])
  const components = integer(given.components ?? 10, 'components', 1, 1000)
  const rounds = integer(given.rounds ?? 100, 'rounds', 1)
  const tolerance = number(given.tolerance ?? 1e-3, 'tolerance', { least: 0 })
  const shrinkage = number(given.shrinkage ?? 1e-4, 'shrinkage', { least: 0 })
  const seed = integer(given.seed ?? 0, 'seed')
  const { data, dimension, count } = rowsOf(x)
  const whole = fitGaussian({ data, shape: [count, dimension] })
  const prior = priorOf(whole, shrinkage)

  let responsibilities = firstResponsibilities(data, dimension, whole, Math.min(components, count), seed)
  let mixture = maximise(data, dimension, responsibilities, prior)
  let last = -Infinity
  for (let round = 0; round < rounds; round++) {
    const expected = expect(data, count, mixture)
    responsibilities = expected.responsibilities
    mixture = maximise(data, dimension, responsibilities, prior)
    if (expected.mean - last < tolerance) break
    last = expected.mean
  }
  return mixture
}

/** `shrinkage` times the covariance of all rows. */
function priorOf({ factor, dimension: n }: Gaussian, shrinkage: number): Float64Array {
  const prior = new Float64Array(n * n)
  for (let i = 0; i < n; i++)
    for (let j = 0; j < n; j++)
      for (let k = 0; k <= Math.min(i, j); k++)
        prior[i * n + j]! += shrinkage * factor[i * n + k]! * factor[j * n + k]!
  return prior
}

/** Every row belongs to the nearest of the first centres. */
function firstResponsibilities(
  data: ArrayLike<number>,
  n: number,
  { mean, whitening }: Gaussian,
  components: number,
  seed: number
): Float64Array[] {
  const count = data.length / n
  const white = new Float64Array(data.length)
  for (let row = 0; row < count; row++)
    for (let i = 0; i < n; i++)
      for (let j = 0; j <= i; j++)
        white[row * n + i]! += whitening[i * n + j]! * (data[row * n + j]! - mean[j]!)
  const random = new RowRandom(seed)
  random.seek(0)
  const nearest = new Float64Array(count).fill(Infinity)
  const owner = new Int32Array(count)
  let centre = Math.floor(random.uniform() * count)
  for (let k = 0; k < components; k++) {
    let total = 0
    for (let row = 0; row < count; row++) {
      let square = 0
      for (let i = 0; i < n; i++) square += (white[row * n + i]! - white[centre * n + i]!) ** 2
      if (square < nearest[row]!) {
        nearest[row] = square
        owner[row] = k
      }
      total += nearest[row]!
    }
    let left = random.uniform() * total
    centre = 0
    while (centre < count - 1 && left > nearest[centre]!) left -= nearest[centre++]!
  }
  return Array.from({ length: components }, (_, k) => Float64Array.from(owner, (one) => (one === k ? 1 : 0)))
}

/** P(component | row), and the mean log-density. */
function expect(
  data: ArrayLike<number>,
  count: number,
  mixture: GaussianMixture
): { responsibilities: Float64Array[]; mean: number } {
  const responsibilities = mixture.components.map(() => new Float64Array(count))
  let sum = 0
  mixture.eachJoint(data, count, (row, joint, total) => {
    sum += total
    for (let k = 0; k < joint.length; k++) {
      const share = Math.exp(joint[k]! - total)
      if (share > LEAST_SHARE) responsibilities[k]![row] = share
    }
  })
  return { responsibilities, mean: sum / count }
}

/** Weights, means and covariances of largest expected likelihood; components that lost their rows are dropped. */
function maximise(
  data: ArrayLike<number>,
  n: number,
  responsibilities: Float64Array[],
  prior: Float64Array
): GaussianMixture {
  const components: Gaussian[] = []
  const totals: number[] = []
  for (const weights of responsibilities) {
    const { mean, covariance: matrix, total } = covariance(data, n, weights)
    if (!(total > 1e-8)) continue
    for (let i = 0; i < matrix.length; i++) matrix[i]! += prior[i]!
    const result = cholesky(matrix, n)
    if ('failed' in result) continue
    components.push(new Gaussian(mean, result.factor))
    totals.push(total)
  }
  const sum = totals.reduce((a, b) => a + b, 0)
  return new GaussianMixture(
    Float64Array.from(totals, (total) => total / sum),
    components
  )
}
