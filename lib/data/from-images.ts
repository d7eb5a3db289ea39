import { checkShape, isBytes, sizeOf } from '../native/batch'
import { boolean, fail, integer, isArray, isObject, object, show } from '../native/check'
import { ImageDataset } from './image-dataset'
import { checkLabels, type Labels } from './labels'
import { checkDequantization, type Dequantization } from './visit'

/** Bytes as images. */

/** How images become numbers; what imageFolder and imageSet take, too. */
export interface VisitOptions {
  /**
   * The number of a level b of 0 … 255: 'uniform' (b + u) / 256 with u of U(0, 1), anew at every visit, which densities in nats are
   * defined for; 'truncated-normal' the same with u of a normal around ½ with deviation 1/6, cut at 0 and 1; 'centre' (b + ½) / 256;
   * 'none' b / 255. Default: 'uniform'.
   */
  dequantize?: Dequantization
  /** Zeros and ones in place of levels, a one with probability b / 255, drawn anew at every visit. Default: false. */
  binarize?: boolean
  /** Turn half of the visits left to right. Default: false. */
  flip?: boolean
  /** Of the noise. Default: 0. */
  seed?: number
}

export const visitKeys = ['dequantize', 'binarize', 'flip', 'seed'] as const

export interface ImageArrayOptions extends VisitOptions {
  /** [channels, height, width]. Default: that of a tensor. */
  shape?: readonly number[]
  /** The class of every image, counted from 0. Default: none. */
  labels?: ArrayLike<number>
  /** Names of the classes. Default: their numbers. */
  labelNames?: readonly string[]
}

/** Levels of images: (rows, channels, height, width), or (rows, height, width) in grey. */
export interface ImageTensor {
  data: Uint8Array
  shape: readonly number[]
}

/** Images as an array of bytes, which is kept and not copied, as a data set. */
export function fromImages(images: Uint8Array | ImageTensor, options: ImageArrayOptions = {}): ImageDataset {
  const given = object(options, 'fromImages options', ['shape', 'labels', 'labelNames', ...visitKeys])
  const bytes = isBytes(images)
  if (!bytes && !(isObject(images) && isBytes(images.data) && isArray(images.shape)))
    fail(
      'INVALID_INPUT',
      `images is ${show(images)}; give a Uint8Array, or { data, shape: [rows, channels, height, width] }`
    )
  const data = bytes ? images : images.data
  const whole = bytes ? undefined : checkShape(images.shape)
  const shape = imageShape(given.shape ?? whole?.slice(1))
  const rows = data.length / sizeOf(shape)
  if (rows === 0) fail('EMPTY_BATCH', 'there are no images; give at least one')
  if (!Number.isInteger(rows) || (whole && sizeOf(whole) !== data.length))
    fail(
      'INVALID_SHAPE',
      `images holds ${data.length} levels, and an image of shape [${shape}] has ${sizeOf(shape)}`
    )
  if (given.labels === undefined && given.labelNames !== undefined)
    fail('CONTRADICTORY_OPTIONS', 'labelNames names classes of labels that are not there; give labels')
  const labels = given.labels === undefined ? undefined : checkLabels(given.labels, given.labelNames, rows)
  return imagesOf(data, shape, labels, options)
}

/** Checked images, read as `options` say. */
export function imagesOf(
  levels: Uint8Array,
  shape: readonly [number, number, number],
  labels: Labels | undefined,
  options: VisitOptions
): ImageDataset {
  const isBinary = boolean(options.binarize ?? false, 'binarize')
  if (isBinary && options.dequantize !== undefined)
    fail(
      'CONTRADICTORY_OPTIONS',
      'images are either binarised or dequantised; give one of binarize and dequantize'
    )
  const rule = {
    law: isBinary
      ? ('bernoulli' as const)
      : checkDequantization(options.dequantize ?? 'uniform', 'dequantize'),
    flip: boolean(options.flip ?? false, 'flip'),
    seed: integer(options.seed ?? 0, 'seed'),
    width: shape[2]
  }
  return new ImageDataset(levels, shape, rule, labels)
}

function imageShape(value: unknown): [number, number, number] {
  const shape = value === undefined ? [] : checkShape(value)
  if (shape.length === 2) return [1, shape[0]!, shape[1]!]
  if (shape.length === 3) return shape as [number, number, number]
  return fail(
    'INVALID_SHAPE',
    `the shape of an image is ${shape.length === 0 ? 'not known' : `[${shape}]`}; give { shape: [channels, height, width] }`
  )
}
