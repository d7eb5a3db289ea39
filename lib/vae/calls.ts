import type { EvaluationOptions } from '../flow/call-options'
import { checkOptions } from '../flow/call-options'
import { stoppable } from '../flow/compute'
import { overrideSettings } from '../flow/prepare'
import { solverStatistics } from '../flow/statistics'
import { type ArrayOf, type Batch, type RealArray, type Tensor, toRows, wantsFloat64 } from '../native/batch'
import { boolean, fail, integer, number } from '../native/check'
import type { NativeNoise, NativeStop, NativeVaeCall } from '../native/interface'
import { assertUsable, type VaeCore } from './core'
import { toImageRows } from './images'

/** The calls of an autoencoder on given images. */

export interface VaeCallOptions extends Pick<EvaluationOptions, 'signal' | 'trace' | 'rtol' | 'atol'> {
  /** Draws this seed's noise, always the same. Default: the model's own seed. */
  seed?: number
  /** Number of the first image, by which its noise is drawn: a batch cut in parts draws the noise of the whole. Default: 0. */
  rowOffset?: number
  /** Images are probabilities, whose pixels are drawn. Default: false. */
  binarize?: boolean
}

export interface ElboOptions extends VaeCallOptions {
  /** Also what the numbers are made of: mean, variance, z0 and zk. Default: false. */
  latent?: boolean
}

export interface LikelihoodOptions extends VaeCallOptions {
  /** Draws of z an image. Default: 500. */
  samples?: number
  /** Probabilities of pixels lie in [clamp, 1 − clamp] in this estimate, as in the published ones; 0: as they are. Default: 1e-5. */
  clamp?: number
}

/** Nats, one an image: ELBO = −reconstruction − kl. */
export interface Elbo<A extends RealArray = Float32Array> {
  elbo: A
  /** −log p(x | zk) */
  reconstruction: A
  /** log q(z0 | x) − log |det ∂zk/∂z0| − log N(zk; 0, I) */
  kl: A
  /** log |det ∂zk/∂z0| */
  logDet: A
  /** (B, latent), where asked for. */
  mean?: Tensor<A>
  variance?: Tensor<A>
  z0?: Tensor<A>
  zk?: Tensor<A>
}

export interface Likelihood<A extends RealArray = Float32Array> {
  /** Estimates of log p(x), nats; below it on average, the less the more samples. */
  logLikelihood: A
  /** An ELBO by the same draws, never above. */
  elbo: A
}

export interface DecodeOptions {
  /** Draw pixels in place of their means. Default: false. */
  draw?: boolean
  /** Of the pixels' noise. Default: the model's own; every call draws afresh. */
  seed?: number
  /** Ends the call after the running step. Default: none. */
  signal?: AbortSignal
}

export const vaeCallKeys = ['seed', 'rowOffset', 'binarize', 'signal', 'trace', 'rtol', 'atol'] as const

export async function elbo<B extends Batch>(
  core: VaeCore,
  x: B,
  options: ElboOptions | undefined
): Promise<Elbo<ArrayOf<B>>> {
  const given = checkOptions(options, 'elbo', [...vaeCallKeys, 'latent'])
  const latent = boolean(given.latent ?? false, 'latent')
  const call = callOn(core, x, given)
  const result = await run(core, given.signal, (stop) => core.native.elbo({ ...call, latent, ...stop }))
  core.statistics = solverStatistics(result.forward)
  const { reconstructions: reconstruction, kls: kl, logDet } = result
  const sum = reconstruction.map((nats, i) => -nats - kl[i]!) as ArrayOf<B>
  checkNumbers(sum, 'ELBO')
  const shape = [call.batch, core.description.latent]
  const parts = { mean: result.mean, variance: result.variance, z0: result.z0, zk: result.zk }
  const tensors = Object.entries(parts).flatMap(([name, data]) => (data ? [[name, { data, shape }]] : []))
  return { elbo: sum, reconstruction, kl, logDet, ...Object.fromEntries(tensors) }
}

/** Weights that grew beyond all bounds make no numbers, which nothing may be made of. */
function checkNumbers(values: ArrayOf<Batch>, name: string): void {
  const image = values.findIndex((value) => Number.isNaN(value))
  if (image >= 0)
    fail(
      'SOLVE_FAILED',
      `image ${image} has no ${name}: the model's numbers are too large; load weights of an earlier step, or train with a smaller lr`
    )
}

export async function logLikelihood<B extends Batch>(
  core: VaeCore,
  x: B,
  options: LikelihoodOptions | undefined
): Promise<Likelihood<ArrayOf<B>>> {
  const given = checkOptions(options, 'logLikelihood', [...vaeCallKeys, 'samples', 'clamp'])
  const samples = integer(given.samples ?? 500, 'samples', 1, 2 ** 24)
  const clamp = number(given.clamp ?? 1e-5, 'clamp', { least: 0, most: 0.499 })
  // Noise in log |det| would bias the mean of weights, which is their exponential.
  const call = callOn(core, x, { trace: 'exact', ...given })
  const result = await run(core, given.signal, (stop) =>
    core.native.logLikelihood({ ...call, samples, clamp, ...stop })
  )
  core.statistics = solverStatistics(result.statistics)
  checkNumbers(result.logLikelihood, 'likelihood')
  return { logLikelihood: result.logLikelihood, elbo: result.meanLogWeight }
}

export async function encode<B extends Batch>(core: VaeCore, x: B, options: VaeCallOptions | undefined) {
  const given = checkOptions(options, 'encode', vaeCallKeys)
  const call = callOn(core, x, given)
  const { mean, variance, h } = await run(core, given.signal, (stop) =>
    core.native.encode({ ...call, ...stop })
  )
  const tensor = (data: ArrayOf<B>): Tensor<ArrayOf<B>> => ({
    data,
    shape: [call.batch, data.length / call.batch]
  })
  return { mean: tensor(mean), variance: tensor(variance), h: tensor(h) }
}

export async function decode<B extends Batch>(
  core: VaeCore,
  z: B,
  options: DecodeOptions | undefined
): Promise<Tensor<ArrayOf<B>>> {
  const given = checkOptions(options, 'decode', ['draw', 'seed', 'signal'])
  const { shape, latent } = core.description
  const rows = toRows(z, [latent], 'z')
  const draw = boolean(given.draw ?? false, 'draw')
  const { images } = await run(core, given.signal, () =>
    core.native.decode({
      count: rows.count,
      z: rows.data,
      ...(draw && { draws: drawNoise(core, given.seed) }),
      float64: wantsFloat64(z)
    })
  )
  return { data: images, shape: [rows.count, ...shape] }
}

/** Means of p(x | zk), zk of one draw an image. */
export async function reconstruct<B extends Batch>(
  core: VaeCore,
  x: B,
  options: VaeCallOptions | undefined
): Promise<Tensor<ArrayOf<B>>> {
  const { zk } = await elbo(core, x, { ...checkOptions(options, 'reconstruct', vaeCallKeys), latent: true })
  return decode(core, zk as unknown as B, {})
}

/** The arguments of a call on images. */
export function callOn<B extends Batch>(
  core: VaeCore,
  x: B,
  options: VaeCallOptions
): Omit<NativeVaeCall<ArrayOf<B>>, 'stop'> {
  assertUsable(core)
  const rows = toImageRows(x, core.description.shape, 'images')
  const seed = integer(options.seed ?? core.seed, 'seed')
  return {
    batch: rows.count,
    images: rows.data,
    binarize: boolean(options.binarize ?? false, 'binarize'),
    noise: {
      seed,
      call: 2 ** 32 - 1,
      rowOffset: integer(options.rowOffset ?? 0, 'rowOffset', 0, 2 ** 32 - 1)
    },
    settings: overrideSettings(core.settings.training, options),
    float64: wantsFloat64(x)
  }
}

/** Noise of calls that draw afresh: they have the upper half of the numbers, so that training goes on as without them. */
export function drawNoise(core: VaeCore, seed: number | undefined): NativeNoise {
  if (seed !== undefined) return { seed: integer(seed, 'seed'), call: 0, rowOffset: 0 }
  return { seed: core.seed, call: 2 ** 31 + (core.draws++ % (2 ** 31 - 1)), rowOffset: 0 }
}

async function run<T>(
  core: VaeCore,
  signal: AbortSignal | undefined,
  call: (stop: { stop?: NativeStop }) => Promise<T>
): Promise<T> {
  assertUsable(core)
  return stoppable(signal, call)
}
