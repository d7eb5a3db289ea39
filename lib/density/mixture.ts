import { cholesky, covarianceInPieces } from '../data/cholesky'
import { RowRandom } from '../data/random'
import { checkOptions } from '../flow/call-options'
import { type Batch, isReal, rowsOf, toRows } from '../native/batch'
import { fail, integer, isArray, isCallable, isObject, number, show } from '../native/check'
import { atOnce, inTurns } from '../native/pieces'
import { fitGaussianInPieces, Gaussian } from './gaussian'

/** How a mixture is fitted. */
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

/** How far the fit of a mixture is, behind each of its rounds. */
export interface MixtureProgress {
  /** 1 behind the first. */
  round: number
  /** How many there are at most. */
  rounds: number
  /** Mean log-density of the rows under the mixture that the round began with, nats. */
  logProb: number
}

export interface MixtureCallOptions extends MixtureOptions {
  /** Ends the fit; it rejects with code CANCELLED. Default: none. */
  signal?: AbortSignal
  /** Called behind every round. Default: nobody is told. */
  onProgress?: (progress: MixtureProgress) => void
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
    this.eachJoint(data, 0, count, (row, _, total) => {
      all[row] = total
    })
    return all
  }

  /**
   * Calls `take` for the rows from … to − 1 of (rows, D) with log (w_k N_k(x)) of each component k, and the logarithm of their sum.
   * @internal
   */
  eachJoint(
    rows: ArrayLike<number>,
    from: number,
    to: number,
    take: (row: number, joint: Float64Array, total: number) => void
  ): void {
    const size = this.components.length
    const logWeights = Float64Array.from(this.weights, Math.log)
    const four = Array.from({ length: size }, () => new Float64Array(4))
    const joint = new Float64Array(size)
    for (let first = from; first < to; first += 4) {
      for (let k = 0; k < size; k++) this.components[k]!.logProbOfFour(rows, first, four[k]!)
      for (let r = 0; r < 4 && first + r < to; r++) {
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
 * that k-means++ (Arthur and Vassilvitskii 2007) draws in whitened coordinates. JavaScript's thread does nothing else meanwhile; see
 * fitMixtureAsync.
 */
export function fitMixture(x: Batch, options?: MixtureOptions): GaussianMixture {
  return atOnce(rounds(x, checkOptions(options, 'fitMixture', mixtureKeys)))
}

/**
 * What fitMixture gives, the same to the last bit, found piece by piece: timers, signals and sockets are served all along. The rows must not
 * change before it resolves.
 */
export async function fitMixtureAsync(x: Batch, options?: MixtureCallOptions): Promise<GaussianMixture> {
  const { signal, onProgress, ...given } = checkOptions(options, 'fitMixtureAsync', [
    ...mixtureKeys,
    'signal',
    'onProgress'
  ])
  if (onProgress !== undefined && !isCallable(onProgress))
    fail('INVALID_OPTION', `onProgress is ${show(onProgress)}; give a function of { round, rounds, logProb }`)
  return inTurns(rounds(x, given), signal, (progress) => progress && onProgress?.(progress))
}

const mixtureKeys = ['components', 'rounds', 'tolerance', 'shrinkage', 'seed'] as const

/** Yields between its pieces: how far it is behind a round, nothing within one. */
function* rounds(x: Batch, options: MixtureOptions): Generator<MixtureProgress | undefined, GaussianMixture> {
  const components = integer(options.components ?? 10, 'components', 1, 1000)
  const rounds = integer(options.rounds ?? 100, 'rounds', 1)
  const tolerance = number(options.tolerance ?? 1e-3, 'tolerance', { least: 0 })
  const shrinkage = number(options.shrinkage ?? 1e-4, 'shrinkage', { least: 0 })
  const seed = integer(options.seed ?? 0, 'seed')
  const { data, dimension, count } = rowsOf(x)
  const whole = yield* fitGaussianInPieces(data, dimension)
  const prior = priorOf(whole, shrinkage)

  let responsibilities = yield* firstResponsibilities(
    data,
    dimension,
    whole,
    Math.min(components, count),
    seed
  )
  let mixture = yield* maximise(data, dimension, responsibilities, prior)
  let last = -Infinity
  for (let round = 1; round <= rounds; round++) {
    const expected = yield* expect(data, count, mixture)
    responsibilities = expected.responsibilities
    mixture = yield* maximise(data, dimension, responsibilities, prior)
    yield { round, rounds, logProb: expected.mean }
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
function* firstResponsibilities(
  data: ArrayLike<number>,
  n: number,
  whole: Gaussian,
  components: number,
  seed: number
): Generator<undefined, Float64Array[]> {
  const count = data.length / n
  const white = new Float64Array(data.length)
  const size = rowsOfPiece(n ** 2)
  for (let first = 0; first < count; first += size) {
    whiten(white, data, whole, first, Math.min(count, first + size))
    yield
  }
  const random = new RowRandom(seed)
  random.seek(0)
  const nearest = new Float64Array(count).fill(Infinity)
  const owner = new Int32Array(count)
  let centre = Math.floor(random.uniform() * count)
  for (let k = 0; k < components; k++) {
    let left = random.uniform() * approach(nearest, owner, white, n, centre, k)
    centre = 0
    while (centre < count - 1 && left > nearest[centre]!) left -= nearest[centre++]!
    yield
  }
  return Array.from({ length: components }, (_, k) => Float64Array.from(owner, (one) => (one === k ? 1 : 0)))
}

/** L⁻¹ (x − mean) of the rows from … to − 1. */
function whiten(
  white: Float64Array,
  data: ArrayLike<number>,
  { mean, whitening, dimension: n }: Gaussian,
  from: number,
  to: number
): void {
  for (let row = from; row < to; row++)
    for (let i = 0; i < n; i++) {
      let sum = 0
      for (let j = 0; j <= i; j++) sum += whitening[i * n + j]! * (data[row * n + j]! - mean[j]!)
      white[row * n + i] = sum
    }
}

/** Gives rows to centre k where it is nearer than those before; returns the sum of the squares of all distances. */
function approach(
  nearest: Float64Array,
  owner: Int32Array,
  white: Float64Array,
  n: number,
  centre: number,
  k: number
): number {
  let total = 0
  for (let row = 0; row < nearest.length; row++) {
    let square = 0
    for (let i = 0; i < n; i++) square += (white[row * n + i]! - white[centre * n + i]!) ** 2
    if (square < nearest[row]!) {
      nearest[row] = square
      owner[row] = k
    }
    total += nearest[row]!
  }
  return total
}

/** P(component | row), and the mean log-density. */
function* expect(
  data: ArrayLike<number>,
  count: number,
  mixture: GaussianMixture
): Generator<undefined, { responsibilities: Float64Array[]; mean: number }> {
  const responsibilities = mixture.components.map(() => new Float64Array(count))
  let sum = 0
  const take = (row: number, joint: Float64Array, total: number) => {
    sum += total
    for (let k = 0; k < joint.length; k++) {
      const share = Math.exp(joint[k]! - total)
      if (share > LEAST_SHARE) responsibilities[k]![row] = share
    }
  }
  const size = rowsOfPiece(mixture.dimension ** 2 * mixture.components.length)
  for (let first = 0; first < count; first += size) {
    mixture.eachJoint(data, first, Math.min(count, first + size), take)
    yield
  }
  return { responsibilities, mean: sum / count }
}

/** Rows of a piece of a few ms, where each takes so many multiply-adds: a multiple of the four that are scored together. */
function rowsOfPiece(work: number): number {
  return 4 * Math.max(1, Math.ceil(1e6 / work))
}

/** Weights, means and covariances of largest expected likelihood; components that lost their rows are dropped. */
function* maximise(
  data: ArrayLike<number>,
  n: number,
  responsibilities: Float64Array[],
  prior: Float64Array
): Generator<undefined, GaussianMixture> {
  const components: Gaussian[] = []
  const totals: number[] = []
  for (const weights of responsibilities) {
    const { mean, covariance: matrix, total } = yield* covarianceInPieces(data, n, weights)
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
