import { type Batch, newArray, type RealArray, type Tensor, toRows } from '../native/batch'
import { fail, integer, isObject } from '../native/check'
import { ArrayDataset, type Feed, type FeedingDataset, type Parts } from './dataset'
import {
  type BatchOptions,
  checkShares,
  checkSplit,
  checkState,
  type DatasetState,
  normalizeBatchOptions
} from './dataset-options'
import { philox, RowRandom, streams } from './random'

export type Point = [number, number]

/** Place of a row in its batch, for laws that spread a batch evenly. */
export interface Place {
  index: number
  count: number
}

/** A law on the plane: how to draw a point, and its density. */
export interface Law {
  /** Angles and parts of the batch are spread evenly where there is a `place`; else each row is drawn by itself. */
  draw(random: RowRandom, place?: Place): Point
  density(x: number, y: number): number
  /** Differential entropy in nats, the lowest mean −log p there is, and the error of that number. */
  entropy: { nats: number; error: number }
}

/** Fresh rows without end from a law on the plane whose density is known; the seed and the place decide them. */
export class LawDataset implements FeedingDataset {
  readonly rows = Infinity
  readonly shape: readonly number[] = [2]
  readonly columns: readonly string[] = ['x', 'y']
  readonly name: string
  readonly seed: number
  /** Differential entropy in nats: the lowest mean −log p that a model can reach. */
  readonly entropy: number
  /** The error of `entropy`; 0 where it has a closed form. */
  readonly entropyError: number
  readonly #law: Law
  readonly #evenly: boolean
  readonly #random: RowRandom
  #row = 0

  /** Use toy() or fromImage(). `evenly` gives the law the place of each row in its batch. */
  constructor(name: string, law: Law, seed: number, evenly = false) {
    if (!isObject(law) || typeof law.draw !== 'function' || !isObject(law.entropy))
      fail('INVALID_INPUT', 'a LawDataset is made by toy() or fromImage(); use those')
    this.name = name
    this.entropy = law.entropy.nats
    this.entropyError = law.entropy.error
    this.seed = seed
    this.#law = law
    this.#evenly = evenly
    this.#random = new RowRandom(seed)
  }

  /** The same law from the start of another stream of rows. */
  withSeed(seed: number): LawDataset {
    return new LawDataset(this.name, this.#law, integer(seed, 'seed'), this.#evenly)
  }

  /** The exact log p of each row; −Infinity outside the support. */
  logDensity(x: Batch): Float64Array {
    const { data, count } = toRows(x, this.shape, 'x')
    return Float64Array.from({ length: count }, (_, i) =>
      Math.log(this.#law.density(data[2 * i]!, data[2 * i + 1]!))
    )
  }

  /** The next `count` rows. */
  sample(count: number): Tensor {
    const rows = integer(count, 'count', 1, 2 ** 31 - 1)
    const data = this.#draw(this.#row, rows)
    this.#row += rows
    return { data, shape: [rows, 2] }
  }

  async *batches(options?: BatchOptions): AsyncGenerator<Tensor<RealArray>> {
    const { size } = normalizeBatchOptions(options)
    for (;;) yield this.sample(size)
  }

  /** As many streams as there are shares, with seeds of their own. */
  split<const S extends readonly number[]>(shares: S, options?: { seed?: number }): Parts<S, LawDataset> {
    const { seed = this.seed } = checkSplit(options)
    const parts = checkShares(shares).map((_, index) => {
      const [high, low] = philox([index, 0, streams.split, 0], seed)
      return this.withSeed((high >>> 11) * 2 ** 32 + low)
    })
    return parts as Parts<S, LawDataset>
  }

  async take(count: number): Promise<ArrayDataset> {
    return new ArrayDataset(this.sample(count), this.shape, this.columns)
  }

  state(): DatasetState {
    return { epoch: 0, row: this.#row }
  }

  restore(state: DatasetState): void {
    this.#row = checkState(state).row
  }

  async peek(batches: number, { size }: Required<BatchOptions>): Promise<Feed> {
    const count = batches * size
    const data = newArray(Float32Array, 2 * count)
    for (let b = 0; b < batches; b++) data.set(this.#draw(this.#row + b * size, size), 2 * b * size)
    const indices = Uint32Array.from({ length: count }, (_, i) => i)
    return { data, count, indices, sizes: new Uint32Array(batches).fill(size) }
  }

  advance(batches: number, { size }: Required<BatchOptions>): void {
    this.#row += batches * size
  }

  #draw(first: number, count: number): Float32Array {
    const data = newArray(Float32Array, 2 * count)
    for (let index = 0; index < count; index++) {
      this.#random.seek(first + index)
      data.set(this.#law.draw(this.#random, this.#evenly ? { index, count } : undefined), 2 * index)
    }
    return data
  }
}
