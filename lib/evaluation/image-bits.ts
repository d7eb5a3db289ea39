import { ImageDataset } from '../data/image-dataset'
import { bitsPerDim, checkLevelNoise, type LevelNoise, noiseOf } from '../data/level-noise'
import { checkOptions, type EvaluationOptions, evaluationKeys } from '../flow/call-options'
import type { FlowCore } from '../flow/core'
import { sizeOf } from '../native/batch'
import { boolean, fail, integer, isObject } from '../native/check'
import { type Evaluation, evaluate, listener, meanSurprise, type ScoringProgress } from './evaluate'

export interface ImageEvaluationOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** Images to use, the first ones. Default: all. */
  rows?: number
  /** Images a call. Default: 4096. */
  batch?: number
  /** Draws of noise for each image. Default: 1. */
  draws?: number
  /** The noise: that which the flow was trained with has the lowest bits. Default: that of the images, else 'uniform', which papers report. */
  dequantize?: LevelNoise
  /** Images on which the errors of probes and solver are estimated, the first ones. Default: 0. */
  certify?: number
  /** Also scores images at the centres of their levels, as RNODE's program does. Default: false. */
  centre?: boolean
  /** Called before the first images and behind each batch. Default: nobody is told. */
  onProgress?: (progress: ScoringProgress) => void
}

/** Bits per dimension and its standard error over images. */
export interface Bits {
  bitsPerDim: number
  standardError: number
}

/**
 * −log₂ of the probability of an image's levels, per dimension. An image of levels b is scored at x = (b + u) / 256, u of a density q:
 * log p(x) − log q(u) − D ln 256 is a lower bound of log P(b) in the mean over u (Theis et al. 2016; Ho et al. 2019), exact where p(x) goes as q.
 * Bits are (−log p(x) + log q(u)) / D / ln 2 + 8.
 */
export interface ImageEvaluation extends Bits {
  rows: number
  /** Of the levels. */
  dequantize: LevelNoise
  /** Draws of noise of each image; `bitsPerDim` is their mean: the published quantity, with less noise. */
  draws: number
  /** Of the mean density over all draws, log-mean-exp: a tighter bound, below `bitsPerDim`. Where there are several draws. */
  bound?: Bits
  /** At the centres of the levels, without noise: no bound of anything, and lower than both; what RNODE reports. */
  centre?: Bits
  /**
   * Root mean squares over images of what their bits depend on: the draws of noise, the probes of an estimated trace, the solver. The
   * mean over n images has a √n-th of the first two.
   */
  errors: { draws?: number; probes?: number; solver?: number }
  /** log p(x) − log q(u) of each draw, nats, (draws, rows); log q is 0 of uniform noise. */
  logProb: Float64Array
  /** Mean evaluations of the dynamics an image and draw. */
  nfe: number
  traces: string[]
}

export async function evaluateImages(
  core: FlowCore,
  images: ImageDataset,
  options: ImageEvaluationOptions = {}
): Promise<ImageEvaluation> {
  const { draws, dequantize, certify, centre, rows, onProgress, ...call } = checkOptions(
    options,
    'bitsPerDim',
    [
      ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
      'rows',
      'batch',
      'draws',
      'dequantize',
      'certify',
      'centre',
      'onProgress'
    ]
  )
  const tell = listener(onProgress)
  if (!isObject(images) || !(images instanceof ImageDataset))
    fail(
      'INVALID_INPUT',
      'bits per dimension are of levels; give images, as fromImages or imageSet make them'
    )
  const most = integer(draws ?? 1, 'draws', 1, 2 ** 16)
  const count = Math.min(integer(rows ?? images.rows, 'rows', 1), images.rows)
  const size = sizeOf(core.description.shape)
  const noise = dequantize === undefined ? noiseOf(images.law) : checkLevelNoise(dequantize)
  const seen = images.dequantize(noise)
  const withCentre = boolean(centre ?? false, 'centre')
  const total = (most + (withCentre ? 1 : 0)) * count
  /** Of the evaluation behind so many others. */
  const after = (evaluations: number) => ({
    onProgress: ({ scored, next }: ScoringProgress) =>
      tell({ scored: evaluations * count + scored, total, next })
  })
  const logProb = new Float64Array(most * count)
  let first: Evaluation | undefined
  let nfe = 0
  for (let draw = 0; draw < most; draw++) {
    const found = await evaluate(core, seen.draw(draw), {
      ...call,
      ...after(draw),
      rows: count,
      certify: draw === 0 ? integer(certify ?? 0, 'certify') : 0
    })
    const ofNoise = seen.draw(draw).logNoise(count)
    for (let row = 0; row < count; row++) logProb[draw * count + row] = found.logProb[row]! - ofNoise[row]!
    nfe += found.nfe / most
    first ??= found
  }
  const bits = (nats: number) => nats / size / Math.LN2
  const asBits = (values: Float64Array): Bits => {
    const { nll, standardError } = meanSurprise(values)
    return { bitsPerDim: bitsPerDim(nll, size), standardError: bits(standardError) }
  }
  const inCentre = withCentre
    ? await evaluate(core, images.dequantize('centre').draw(0), { ...call, ...after(most), rows: count })
    : undefined
  const { mean, bound, spread } = meanDensities(logProb, most)
  const { errors, traces } = first!
  return {
    ...asBits(mean),
    rows: count,
    dequantize: noise,
    draws: most,
    ...(most > 1 && { bound: asBits(bound) }),
    ...(inCentre && { centre: asBits(inCentre.logProb) }),
    errors: {
      ...(most > 1 && { draws: bits(rootMeanSquare(spread)) }),
      ...(errors && { probes: bits(errors.probe), solver: bits(errors.solver) })
    },
    logProb,
    nfe,
    traces
  }
}

/** Of log p (draws, rows): the mean of each row, the logarithm of its mean density, and its standard deviation over draws. */
export function meanDensities(logProb: Float64Array, draws: number) {
  const rows = logProb.length / draws
  const [mean, bound, spread] = [new Float64Array(rows), new Float64Array(rows), new Float64Array(rows)]
  for (let row = 0; row < rows; row++) {
    const all = Array.from({ length: draws }, (_, draw) => logProb[draw * rows + row]!)
    const largest = Math.max(...all)
    mean[row] = all.reduce((sum, value) => sum + value, 0) / draws
    bound[row] = largest + Math.log(all.reduce((sum, value) => sum + Math.exp(value - largest), 0) / draws)
    const squares = all.reduce((sum, value) => sum + (value - mean[row]!) ** 2, 0)
    spread[row] = Math.sqrt(squares / Math.max(1, draws - 1))
  }
  return { mean, bound, spread }
}

function rootMeanSquare(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0) / values.length)
}
