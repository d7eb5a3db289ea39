import { types } from 'node:util'
import { sizeOf, type Tensor } from '../native/batch'
import { fail, integer, isAttached, show, texts } from '../native/check'
import type { NativeVisitRule } from '../native/interface'
import {
  ArrayDataset,
  type DatasetContext,
  type Feed,
  type FeedingDataset,
  type Parts,
  type RowBatch
} from './dataset'
import { type BatchOptions, checkSplit, type DatasetState, normalizeBatchOptions } from './dataset-options'
import { gatherRows } from './gather'
import { type Labels, labelColumns, labelsBy, oneHot } from './labels'
import { logNoise, noiseOf } from './level-noise'
import { RowOrder, shareRows } from './row-order'
import {
  checkDequantization,
  checkDraw,
  checkLevels,
  checkVisitSeed,
  type Dequantization,
  type VisitedImages,
  type VisitSeed,
  visitedRows
} from './visit'

/** Images whose noise is drawn again at once. */
const AT_ONCE = 256

/**
 * Images in memory, a byte a level, which become numbers anew each time they are read: dequantised or binarised by noise that
 * (seed, epoch, row) decide, and turned left to right in half of the visits where asked for. A flow that trains on them draws
 * where it computes. Use fromImages(), imageFolder() or imageSet().
 */
export class ImageDataset implements FeedingDataset {
  readonly rows: number
  /** [channels, height, width] */
  readonly shape: readonly [number, number, number]
  /** (rows, channels, height, width), each 0 … 255. */
  readonly levels: Uint8Array
  /** The class of every image, where there are classes. */
  readonly labels?: Labels
  readonly context?: DatasetContext
  /** (rows, context.size): 1 for the class of the image, 0 for the others. */
  readonly contextData?: Float32Array
  readonly #images: VisitedImages
  readonly #order: RowOrder

  constructor(
    levels: Uint8Array,
    shape: readonly [number, number, number],
    rule: NativeVisitRule,
    labels?: Labels,
    isConditional = false
  ) {
    this.levels = levels
    this.shape = shape
    this.rows = levels.length / sizeOf(shape)
    this.#images = { levels, rule }
    this.#order = new RowOrder(this.rows)
    if (!labels) return
    this.labels = labels
    if (!isConditional) return
    this.context = { size: labels.names.length, columns: labelColumns(labels) }
    this.contextData = oneHot(labels)
  }

  /** How a visit reads a level. */
  get law(): Dequantization | 'bernoulli' {
    return this.#images.rule.law
  }

  /** The same images, read by `law`. */
  dequantize(law: Dequantization, options?: VisitSeed): ImageDataset {
    const seed = checkVisitSeed(options)
    return this.#ruled({ ...this.#images.rule, law: checkDequantization(law, 'law'), seed })
  }

  /** The same images in zeros and ones, a one with probability level / 255, drawn anew at every visit. */
  binarize(options?: VisitSeed): ImageDataset {
    return this.#ruled({ ...this.#images.rule, law: 'bernoulli', seed: checkVisitSeed(options) })
  }

  /** The same images, which half of the visits turn left to right. */
  flip(): ImageDataset {
    return this.#ruled({ ...this.#images.rule, flip: true })
  }

  /** The same images, read by draw number `draw` in every visit, and never turned: for evaluation. */
  draw(draw: number): ImageDataset {
    return this.#ruled({ ...this.#images.rule, draw: checkDraw(draw) })
  }

  /** The same images with their class as the context: `names` is ['label'], or what a flow's description has for its classes. */
  condition(names: readonly string[]): ImageDataset {
    const labels = labelsBy(texts(names, 'the context', "['label']"), this.labels)
    return new ImageDataset(this.levels, this.shape, this.#images.rule, labels, true)
  }

  async *batches(options?: BatchOptions): AsyncGenerator<RowBatch<Float64Array>> {
    for await (const { indices, epoch } of this.#order.walk(normalizeBatchOptions(options))) {
      const batch: RowBatch<Float64Array> = this.#read(indices, epoch)
      if (this.context) {
        const data = gatherRows(this.contextData!, this.context.size, indices) as unknown as Float64Array
        batch.context = { data, shape: [indices.length, this.context.size] }
      }
      yield batch
    }
  }

  split<const S extends readonly number[]>(shares: S, options?: { seed?: number }): Parts<S, ImageDataset> {
    const { seed } = checkSplit(options)
    return shareRows(this.rows, shares, seed).map((indices) => this.pick(indices)) as Parts<S, ImageDataset>
  }

  /** Some of the images, by their numbers. */
  pick(indices: Uint32Array): ImageDataset {
    this.#checkKept()
    const { rows, levels, shape, labels } = this
    if (!types.isUint32Array(indices) || !isAttached(indices))
      fail('INVALID_INPUT', `indices is ${show(indices)}; give a Uint32Array of numbers of images`)
    if (indices.length === 0) fail('EMPTY_BATCH', 'no images are picked; give the number of at least one')
    for (const index of indices)
      if (index >= rows)
        fail('INVALID_OPTION', `image ${index} is asked for, and there are ${rows}, counted from 0`)
    return new ImageDataset(
      gatherRows(levels, sizeOf(shape), indices),
      shape,
      this.#images.rule,
      labels && { ...labels, values: gatherRows(labels.values, 1, indices) },
      this.context !== undefined
    )
  }

  /** The first `count` images, as bytes. */
  first(count: number): ImageDataset {
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    return this.pick(Uint32Array.from({ length: rows }, (_, row) => row))
  }

  /** The first `count` images as numbers, those of the present epoch. */
  async take(count: number): Promise<ArrayDataset> {
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    const indices = Uint32Array.from({ length: rows }, (_, row) => row)
    const { context, contextData, shape } = this
    return new ArrayDataset(
      this.#read(indices, this.state().epoch),
      shape,
      undefined,
      context && { ...context, data: contextData!.subarray(0, rows * context.size) }
    )
  }

  /** log q of the noise u that the present visit adds to each of the first `count` images, nats: 0 of noise that is uniform, or none. */
  logNoise(count: number): Float64Array {
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    const noise = noiseOf(this.law)
    const sums = new Float64Array(rows)
    if (noise === 'uniform') return sums
    for (let first = 0; first < rows; first += AT_ONCE) {
      const indices = Uint32Array.from({ length: Math.min(AT_ONCE, rows - first) }, (_, i) => first + i)
      sums.set(logNoise(noise, this.#read(indices, this.state().epoch).data, indices.length), first)
    }
    return sums
  }

  state(): DatasetState {
    return this.#order.state()
  }

  restore(state: DatasetState): void {
    this.#order.restore(state)
  }

  async peek(batches: number, options: Required<BatchOptions>): Promise<Feed> {
    this.#checkKept()
    return {
      data: this.#images,
      ...(this.contextData && { context: this.contextData }),
      count: this.rows,
      ...this.#order.peek(batches, options)
    }
  }

  advance(batches: number, options: Required<BatchOptions>): void {
    this.#order.advance(batches, options)
  }

  #read(indices: Uint32Array, epoch: number): Tensor<Float64Array> {
    this.#checkKept()
    const data = visitedRows(this.#images, sizeOf(this.shape), indices, epoch)
    return { data, shape: [indices.length, ...this.shape] }
  }

  #ruled(rule: NativeVisitRule): ImageDataset {
    return new ImageDataset(this.levels, this.shape, rule, this.labels, this.context !== undefined)
  }

  #checkKept(): void {
    checkLevels(this.levels, this.rows * sizeOf(this.shape))
  }
}
