import { ImageDataset } from '../data/image-dataset'
import { checkOptions, type EvaluationOptions, evaluationKeys } from '../flow/call-options'
import type { FlowCore } from '../flow/core'
import { sizeOf } from '../native/batch'
import { boolean, fail, integer, isObject } from '../native/check'
import { type Evaluation, evaluate, meanSurprise } from './evaluate'

export interface ImageEvaluationOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** Images to use, the first ones. Default: all. */
  rows?: number
  /** Images a call. Default: 4096. */
  batch?: number
  /** Draws of uniform noise for each image. Default: 1. */
  draws?: number
  /** Images on which the errors of probes and solver are estimated, the first ones. Default: 0. */
  certify?: number
  /** Also scores images at the centres of their levels, as RNODE's program does. Default: false. */
  centre?: boolean
}

/** Bits per dimension and its standard error over images. */
export interface Bits {
  bitsPerDim: number
  standardError: number
}

/**
 * −log₂ of the probability of an image's levels, per dimension. An image of levels b is scored at x = (b + u) / 256, u uniform, whose density
 * is a lower bound of the levels' probability in the mean over u (Theis et al. 2016); bits are (−log p(x) / D + ln 256) / ln 2.
 */
export interface ImageEvaluation extends Bits {
  rows: number
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
  /** log p of each draw, nats, (draws, rows). */
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
  const { draws, certify, centre, rows, ...call } = checkOptions(options, 'bitsPerDim', [
    ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
    'rows',
    'batch',
    'draws',
    'certify',
    'centre'
  ])
  if (!isObject(images) || !(images instanceof ImageDataset))
    fail(
      'INVALID_INPUT',
      'bits per dimension are of levels; give images, as fromImages or imageSet make them'
    )
  const most = integer(draws ?? 1, 'draws', 1, 2 ** 16)
  const count = Math.min(integer(rows ?? images.rows, 'rows', 1), images.rows)
  const size = sizeOf(core.description.shape)
  const seen = images.dequantize('uniform')
  const logProb = new Float64Array(most * count)
  let first: Evaluation | undefined
  let nfe = 0
  for (let draw = 0; draw < most; draw++) {
    const found = await evaluate(core, seen.draw(draw), {
      ...call,
      rows: count,
      certify: draw === 0 ? integer(certify ?? 0, 'certify') : 0
    })
    logProb.set(found.logProb, draw * count)
    nfe += found.nfe / most
    first ??= found
  }
  const bits = (nats: number) => nats / size / Math.LN2
  const asBits = (values: Float64Array): Bits => {
    const { nll, standardError } = meanSurprise(values)
    return { bitsPerDim: bits(nll) + 8, standardError: bits(standardError) }
  }
  const inCentre = boolean(centre ?? false, 'centre')
    ? (await evaluate(core, images.dequantize('centre').draw(0), { ...call, rows: count })).logProb
    : undefined
  const { mean, bound, spread } = overDraws(logProb, most)
  const { errors, traces } = first!
  return {
    ...asBits(mean),
    rows: count,
    draws: most,
    ...(most > 1 && { bound: asBits(bound) }),
    ...(inCentre && { centre: asBits(inCentre) }),
    errors: {
      ...(most > 1 && { draws: bits(spread) }),
      ...(errors && { probes: bits(errors.probe), solver: bits(errors.solver) })
    },
    logProb,
    nfe,
    traces
  }
}

/** Of log p (draws, rows): the mean of each row, the logarithm of its mean density, and the root mean square deviation over draws. */
function overDraws(logProb: Float64Array, draws: number) {
  const rows = logProb.length / draws
  const [mean, bound] = [new Float64Array(rows), new Float64Array(rows)]
  let squares = 0
  for (let row = 0; row < rows; row++) {
    const all = Array.from({ length: draws }, (_, draw) => logProb[draw * rows + row]!)
    const largest = Math.max(...all)
    mean[row] = all.reduce((sum, value) => sum + value, 0) / draws
    bound[row] = largest + Math.log(all.reduce((sum, value) => sum + Math.exp(value - largest), 0) / draws)
    squares += all.reduce((sum, value) => sum + (value - mean[row]!) ** 2, 0) / Math.max(1, draws - 1)
  }
  return { mean, bound, spread: Math.sqrt(squares / rows) }
}
