import { ImageDataset } from '../data/image-dataset'
import { classNames } from '../data/labels'
import { logNoise, noiseOf } from '../data/level-noise'
import { checkOptions, type EvaluationOptions, evaluationKeys } from '../flow/call-options'
import type { FlowCore } from '../flow/core'
import { logProb } from '../flow/log-prob'
import { fail, integer, isArray, isObject, number, show } from '../native/check'
import { listener, meanSurprise, type ScoringProgress } from './evaluate'

export interface LabelOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** The share of each class, in the order of the flow's classes. Default: those of the training images where the flow knows them, else equal ones. */
  prior?: readonly number[]
  /** Images to use, the first ones. Default: all. */
  rows?: number
  /** Images a call. Default: 4096. */
  batch?: number
  /** Draws of noise for each image, over which densities are averaged. Default: 1. */
  draws?: number
  /** Called before the first images and behind each batch of a class. Default: nobody is told. */
  onProgress?: (progress: ScoringProgress) => void
}

/** What a flow conditioned on classes says of the class of each image. */
export interface LabelProbabilities {
  rows: number
  /** The classes, in their order in `probabilities` and `prior`. */
  names: string[]
  /** p(class | image), (rows, classes). */
  probabilities: Float64Array
  prior: number[]
  /** The share of images whose class has the largest probability, and mean −log p(its class | image), nats with a standard error: where images have labels. */
  accuracy?: number
  logLoss?: { value: number; standardError: number }
}

/** Bayes' theorem: p(c | x) ∝ p(x | c) p(c). The probes of an estimated trace and the noise of an image are the same for all classes. */
export async function labelProbabilities(
  core: FlowCore,
  images: ImageDataset,
  options: LabelOptions = {}
): Promise<LabelProbabilities> {
  const {
    prior: given,
    rows,
    batch,
    draws,
    onProgress,
    ...call
  } = checkOptions(options, 'labelProbabilities', [
    ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
    'prior',
    'rows',
    'batch',
    'draws',
    'onProgress'
  ])
  const tell = listener(onProgress)
  const context = core.description.context
  const names = classNames(context?.columns)
  if (!context || !names)
    fail(
      'UNSUPPORTED',
      'this flow is not conditioned on the classes of images; train one with { context: label }'
    )
  if (!isObject(images) || !(images instanceof ImageDataset))
    fail('INVALID_INPUT', 'classes are those of images; give images, as fromImages or imageSet make them')
  const classes = names.length
  const prior = priorOf(given, context.mean, classes)
  const count = Math.min(integer(rows ?? images.rows, 'rows', 1), images.rows)
  const size = integer(batch ?? 4096, 'batch', 1)
  const most = integer(draws ?? 1, 'draws', 1, 2 ** 16)
  // The logarithm of the summed density over draws, (rows, classes).
  const logDensity = new Float64Array(count * classes).fill(-Infinity)
  const noise = noiseOf(images.law)
  const seen = images.dequantize(noise).first(count)
  const total = count * classes * most
  let scored = 0
  tell({ scored, total, next: 'scores' })
  for (let draw = 0; draw < most; draw++) {
    let first = 0
    for await (const { data, shape } of seen.draw(draw).batches({ size, shuffle: false })) {
      const ofNoise = logNoise(noise, data, shape[0]!)
      for (let label = 0; label < classes; label++) {
        const one = Float64Array.from({ length: classes }, (_, i) => (i === label ? 1 : 0))
        const found = await logProb(
          core,
          { data, shape },
          { ...call, context: { data: one, shape: [1, classes] } }
        )
        found.forEach((value, row) => {
          const at = (first + row) * classes + label
          logDensity[at] = logSum(logDensity[at]!, value - ofNoise[row]!)
        })
        scored += shape[0]!
        tell({ scored, total, next: 'scores' })
      }
      first += shape[0]!
    }
  }
  const probabilities = softmax(logDensity, prior)
  const labels = seen.labels && seen.condition(context.columns!).labels!.values
  return { rows: count, names, probabilities, prior, ...(labels && scoresOf(probabilities, labels, classes)) }
}

function priorOf(given: unknown, shares: readonly number[] | undefined, classes: number): number[] {
  if (given === undefined) {
    // The mean of a context of zeros and ones has the shares of the classes.
    const known = shares && Math.abs(shares.reduce((sum, one) => sum + one, 0) - 1) < 1e-6
    return known ? [...shares] : Array<number>(classes).fill(1 / classes)
  }
  if (!isArray(given) || given.length !== classes)
    return fail('INVALID_OPTION', `prior is ${show(given)}; give ${classes} numbers, one a class`)
  const weights = Array.from(given, (value, i) => number(value, `prior[${i}]`, { least: 0 }))
  const sum = weights.reduce((all, one) => all + one, 0)
  if (!(sum > 0)) fail('INVALID_OPTION', 'prior is 0 for every class; give one of them a share')
  return weights.map((weight) => weight / sum)
}

function logSum(a: number, b: number): number {
  const largest = Math.max(a, b)
  return largest === -Infinity ? largest : largest + Math.log(Math.exp(a - largest) + Math.exp(b - largest))
}

/** Of log p(x | c) (rows, classes). An image without density under any class has the prior. */
function softmax(logDensity: Float64Array, prior: readonly number[]): Float64Array {
  const classes = prior.length
  const probabilities = new Float64Array(logDensity.length)
  for (let start = 0; start < logDensity.length; start += classes) {
    const joint = prior.map((share, label) => logDensity[start + label]! + Math.log(share))
    const largest = Math.max(...joint)
    const weights = largest === -Infinity ? prior : joint.map((value) => Math.exp(value - largest))
    const sum = weights.reduce((all, one) => all + one, 0)
    weights.forEach((weight, label) => {
      probabilities[start + label] = weight / sum
    })
  }
  return probabilities
}

function scoresOf(probabilities: Float64Array, labels: Uint16Array, classes: number) {
  const rows = probabilities.length / classes
  let right = 0
  const logs = Float64Array.from({ length: rows }, (_, row) => {
    const own = probabilities.subarray(row * classes, (row + 1) * classes)
    if (own.indexOf(Math.max(...own)) === labels[row]) right++
    return Math.log(own[labels[row]!]!)
  })
  const { nll: value, standardError } = meanSurprise(logs)
  return { accuracy: right / rows, logLoss: { value, standardError } }
}
