import { cholesky } from '../data/cholesky'
import { ImageDataset } from '../data/image-dataset'
import { meanSurprise } from '../evaluation/evaluate'
import { sizeOf } from '../native/batch'
import { fail, integer, isObject, number, object, show } from '../native/check'
import { Gaussian } from './gaussian'

/** A plain density of images, fitted to the training images, on the test images. */
export interface ImageBaseline {
  name: string
  bitsPerDim: number
  /** Its standard error over images. */
  standardError: number
}

export interface ImageBaselineOptions {
  /** Of the logit in which the Gaussians are fitted: log s − log(1 − s), s = α + (1 − 2α) x. Default: 1e-6. */
  alpha?: number
  /** What is added to the diagonal of the full covariance. Default: 1e-3. */
  ridge?: number
  /** Training images to fit to, at most; the full Gaussian takes D² / 2 multiply-adds of each. Default: all. */
  rows?: number
}

/** Counts that every level of a pixel has before any image is seen: levels that never occurred in training have a probability. */
const PRIOR_COUNT = 1
const IMAGES_AT_ONCE = 500

/**
 * What a flow of images has to beat, in bits per dimension: pixels that are independent of each other, by the shares of their 256 levels
 * (exact probabilities, without noise); and Gaussians in the logit of uniformly dequantised pixels, with a deviation for each, and
 * with full covariance.
 */
export async function imageBaselines(
  train: ImageDataset,
  test: ImageDataset,
  options: ImageBaselineOptions = {}
): Promise<ImageBaseline[]> {
  const given = object(options, 'imageBaselines options', ['alpha', 'ridge', 'rows'])
  for (const [name, images] of Object.entries({ train, test }))
    if (!isObject(images) || !(images instanceof ImageDataset))
      fail('INVALID_INPUT', `${name} is ${show(images)}; give images, as fromImages or imageSet make them`)
  const alpha = number(given.alpha ?? 1e-6, 'alpha', { least: 0, open: true })
  const ridge = number(given.ridge ?? 1e-3, 'ridge', { least: 0 })
  const most = integer(given.rows ?? train.rows, 'rows', 1)
  if (alpha >= 0.5) fail('INVALID_OPTION', `alpha is ${alpha}; give one below ½`)
  if (sizeOf(train.shape) !== sizeOf(test.shape))
    fail('INVALID_SHAPE', `test images are [${test.shape}], and those to fit to [${train.shape}]`)
  const known = train.first(Math.min(most, train.rows))
  const size = sizeOf(train.shape)
  const bits = (name: string, logProb: ArrayLike<number>, levels: number): ImageBaseline => {
    const { nll, standardError } = meanSurprise(logProb)
    return {
      name,
      bitsPerDim: (nll / size + Math.log(levels)) / Math.LN2,
      standardError: standardError / size / Math.LN2
    }
  }
  const { mean, covariance } = await moments(known, size, alpha)
  const diagonal = new Float64Array(size * size)
  for (let i = 0; i < size; i++) {
    diagonal[i * size + i] = Math.sqrt(covariance[i * size + i]!)
    covariance[i * size + i]! += ridge
  }
  const full = cholesky(covariance, size)
  if ('failed' in full)
    return fail('INVALID_INPUT', `the covariance of pixel ${full.failed} is singular; give a larger ridge`)
  return [
    bits('independent pixels', histograms(known, test, size), 1),
    bits(
      'Gaussian in the logit, a deviation a pixel',
      await scores(test, size, alpha, new Gaussian(mean, diagonal)),
      256
    ),
    bits(
      'Gaussian in the logit, full covariance',
      await scores(test, size, alpha, new Gaussian(mean, full.factor)),
      256
    )
  ]
}

/** log P of the test images where pixels are independent. */
function histograms(train: ImageDataset, test: ImageDataset, size: number): Float64Array {
  const counts = new Float64Array(256 * size).fill(PRIOR_COUNT)
  train.levels.forEach((level, at) => {
    counts[256 * (at % size) + level]!++
  })
  const total = train.rows + 256 * PRIOR_COUNT
  return Float64Array.from({ length: test.rows }, (_, row) => {
    let sum = 0
    for (let i = 0; i < size; i++) sum += Math.log(counts[256 * i + test.levels[row * size + i]!]! / total)
    return sum
  })
}

/** Batches of images, uniformly dequantised, in the logit; and log |∂ logit / ∂x| of each image. */
async function* inLogit(images: ImageDataset, size: number, alpha: number) {
  const data = images.dequantize('uniform').draw(0)
  for await (const { data: rows } of data.batches({ size: IMAGES_AT_ONCE, shuffle: false })) {
    const values = new Float64Array(rows.length)
    const logDeterminant = new Float64Array(rows.length / size)
    for (let i = 0; i < rows.length; i++) {
      const s = alpha + (1 - 2 * alpha) * rows[i]!
      values[i] = Math.log(s) - Math.log1p(-s)
      logDeterminant[Math.floor(i / size)]! += Math.log1p(-2 * alpha) - Math.log(s) - Math.log1p(-s)
    }
    yield { values, logDeterminant }
  }
}

/** Mean (D) and covariance (D, D); distances are taken from the first batch's mean, so that one pass does. */
async function moments(images: ImageDataset, size: number, alpha: number) {
  const centre = new Float64Array(size)
  const sums = new Float64Array(size)
  const products = new Float64Array(size * size)
  let count = 0
  for await (const { values } of inLogit(images, size, alpha)) {
    const rows = values.length / size
    if (count === 0) for (let at = 0; at < values.length; at++) centre[at % size]! += values[at]! / rows
    for (let at = 0; at < values.length; at++) values[at]! -= centre[at % size]!
    for (let row = 0; row < rows; row++) {
      const from = row * size
      for (let i = 0; i < size; i++) {
        const value = values[from + i]!
        sums[i]! += value
        for (let j = 0, at = i * size; j <= i; j++, at++) products[at]! += value * values[from + j]!
      }
    }
    count += rows
  }
  const mean = centre.map((value, i) => value + sums[i]! / count)
  const covariance = products
  for (let i = 0; i < size; i++)
    for (let j = 0; j <= i; j++)
      covariance[i * size + j] = covariance[j * size + i] =
        products[i * size + j]! / count - (sums[i]! / count) * (sums[j]! / count)
  return { mean, covariance }
}

/** log p of dequantised images x, nats. */
async function scores(images: ImageDataset, size: number, alpha: number, density: Gaussian) {
  const all: number[] = []
  for await (const { values, logDeterminant } of inLogit(images, size, alpha)) {
    const found = density.logProb({ data: values, shape: [values.length / size, size] })
    for (let row = 0; row < found.length; row++) all.push(found[row]! + logDeterminant[row]!)
  }
  return all
}
