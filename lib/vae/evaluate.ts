import type { Dataset } from '../data/dataset'
import type { Trace } from '../flow/options'
import { type Batch, partOf, sizeOf } from '../native/batch'
import { integer, object, signal } from '../native/check'
import { elbo, logLikelihood } from './calls'
import type { VaeCore } from './core'
import { toImages } from './images'

export interface VaeEvaluateOptions {
  /** The first images alone. Default: all. */
  images?: number
  /** Draws of z an image, for `nll`. Default: none, no `nll`. */
  samples?: number
  /** Images a call. Default: 100. */
  batch?: number
  /** Of the noise. Default: the model's own. */
  seed?: number
  /** The divergence in −ELBO; `nll` has the exact one. Default: the model's own. */
  trace?: Trace
  /** Ends the evaluation after the running step. Default: none. */
  signal?: AbortSignal
}

/** Means over images, nats; `nll` and what belongs to it where `samples` asked for it. */
export interface VaeEvaluation {
  /** −ELBO = reconstruction + kl, by one z an image */
  negativeElbo: number
  /** Standard errors of means over images. */
  standardError: number
  reconstruction: number
  kl: number
  /** How many images. */
  n: number
  /** Elements of the encoder's mean whose variance over images is above 0.01 (Burda et al. 2016). */
  activeUnits: number
  /** −ELBO of each image. */
  negativeElbos: Float64Array
  /** Mean −log p(x) by importance sampling, and the standard error of the mean over images. */
  nll?: number
  /** −log p(x) of each image. */
  nlls?: Float64Array
  nllStandardError?: number
  /** −ELBO by the draws of `nll`, with its clamp: never below it. */
  nllBound?: number
  samples?: number
}

/** A unit that varies less over images tells the decoder nothing. */
const ACTIVE = 0.01

/** `from`: the first image to use. */
export async function evaluateVae(
  core: VaeCore,
  data: Dataset | Batch,
  options: VaeEvaluateOptions = {},
  from = 0
): Promise<VaeEvaluation> {
  const given = object(options, 'evaluate options', ['images', 'samples', 'batch', 'seed', 'trace', 'signal'])
  const { shape, latent } = core.description
  const { data: images, count, binarize } = toImages(data, shape, 'data')
  const n = Math.min(count - from, integer(given.images ?? count, 'images', 1))
  const batch = integer(given.batch ?? 100, 'batch', 1, 2 ** 24)
  const samples = given.samples === undefined ? undefined : integer(given.samples, 'samples', 1, 2 ** 24)
  const common = {
    seed: integer(given.seed ?? core.seed, 'seed'),
    binarize,
    ...(given.signal !== undefined && { signal: signal(given.signal)! }),
    ...(given.trace !== undefined && { trace: given.trace as Trace })
  }
  const size = sizeOf(shape)
  const sums = { reconstruction: 0, kl: 0 }
  const negativeElbos = new Float64Array(n)
  const nlls: number[] = []
  const bounds: number[] = []
  const moments = Array.from({ length: latent }, () => new Moments())
  for (let first = 0; first < n; first += batch) {
    const rows = Math.min(batch, n - first)
    const at = from + first
    const part = partOf(images, at * size, (at + rows) * size, 'data')
    const one = await elbo(core, part, { ...common, rowOffset: at, latent: true })
    for (let row = 0; row < rows; row++) {
      sums.reconstruction += one.reconstruction[row]!
      sums.kl += one.kl[row]!
      negativeElbos[first + row] = one.reconstruction[row]! + one.kl[row]!
      moments.forEach((moment, unit) => {
        moment.add(one.mean!.data[row * latent + unit]!)
      })
    }
    if (samples === undefined) continue
    const { trace: _, ...exact } = common
    const likely = await logLikelihood(core, part, { ...exact, rowOffset: at, samples })
    nlls.push(...Array.from(likely.logLikelihood, (nats) => -nats))
    bounds.push(...Array.from(likely.elbo, (nats) => -nats))
  }
  const negative = meanOf(negativeElbos)
  const nll = meanOf(nlls)
  return {
    negativeElbo: negative.mean,
    standardError: negative.standardError,
    reconstruction: sums.reconstruction / n,
    kl: sums.kl / n,
    n,
    activeUnits: moments.filter((moment) => moment.variance > ACTIVE).length,
    negativeElbos,
    ...(samples !== undefined && {
      nll: nll.mean,
      nlls: Float64Array.from(nlls),
      nllStandardError: nll.standardError,
      nllBound: meanOf(bounds).mean,
      samples
    })
  }
}

/** Running mean and variance (Welford 1962). */
class Moments {
  #count = 0
  #mean = 0
  #squares = 0

  add(value: number): void {
    this.#count++
    const off = value - this.#mean
    this.#mean += off / this.#count
    this.#squares += off * (value - this.#mean)
  }
  get mean(): number {
    return this.#mean
  }
  get variance(): number {
    return this.#count > 1 ? this.#squares / (this.#count - 1) : 0
  }
  get standardError(): number {
    return Math.sqrt(this.variance / this.#count)
  }
}

/** Of an image that the model gives no probability at all, infinite. */
export function meanOf(values: Iterable<number>): { mean: number; standardError: number } {
  const moments = new Moments()
  for (const value of values) {
    if (!Number.isFinite(value)) return { mean: value, standardError: Infinity }
    moments.add(value)
  }
  return moments
}
