import { type Batch, type RealArray, type Tensor, toRows } from './batch'
import { boolean, choice, fail, integer, number, object } from './check'
import {
  ArrayDataset,
  type BatchOptions,
  checkShares,
  checkState,
  type DatasetState,
  type Feed,
  type FeedingDataset,
  normalizeBatchOptions
} from './dataset'
import { philox, RowRandom, streams } from './random'
import { curve, type Law, laws } from './toy-laws'

/** Two-dimensional densities that flows are tried on. */
export type ToyName =
  | 'swissroll'
  | '8gaussians'
  | 'pinwheel'
  | 'circles'
  | 'moons'
  | '2spirals'
  | 'checkerboard'
  | 'rings'
  | 'line'
  | 'cos'

export const toyNames: readonly ToyName[] = [
  'swissroll',
  '8gaussians',
  'pinwheel',
  'circles',
  'moons',
  '2spirals',
  'checkerboard',
  'rings',
  'line',
  'cos'
]

export interface ToyOptions {
  /** Default: 0. */
  seed?: number
  /** Spread each batch evenly over angles and arms, as the reference implementation does. Default: false. */
  reference?: boolean
  /** Standard deviation of y about the curves 'line' and 'cos'; 0 leaves no density. Default: 0.1. */
  noise?: number
}

/** Fresh rows without end from the density `name`; data['seed'] and the place decide them. */
export function toy(name: ToyName, options: ToyOptions = {}): ToyDataset {
  choice(name, 'toy name', toyNames)
  object(options, 'toy options', ['seed', 'reference', 'noise'])
  const isCurve = name === 'line' || name === 'cos'
  if (options.noise !== undefined && !isCurve)
    fail('CONTRADICTORY_OPTIONS', `noise belongs to 'line' and 'cos'; ${name} has its own`)
  const law = isCurve
    ? curve(
        name === 'line' ? (x) => x : (x) => 2.5 * Math.sin(x),
        number(options.noise ?? 0.1, 'noise', { least: 0 })
      )
    : laws[name]
  return new ToyDataset(
    name,
    law,
    integer(options.seed ?? 0, 'seed'),
    boolean(options.reference ?? false, 'reference')
  )
}

export class ToyDataset implements FeedingDataset {
  readonly rows = Infinity
  readonly shape: readonly number[] = [2]
  readonly columns: readonly string[] = ['x', 'y']
  readonly name: ToyName
  readonly seed: number
  /** Differential entropy in nats: the lowest mean −log p that a model can reach. */
  readonly entropy: number
  /** Of `entropy`; 0 where it has a closed form. */
  readonly entropyError: number
  readonly #law: Law
  readonly #reference: boolean
  readonly #random: RowRandom
  #row = 0

  /** Use toy(). */
  constructor(name: ToyName, law: Law, seed: number, reference: boolean) {
    this.name = name
    this.entropy = law.entropy.nats
    this.entropyError = law.entropy.error
    this.seed = seed
    this.#law = law
    this.#reference = reference
    this.#random = new RowRandom(seed)
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

  /** As many streams, with seeds of their own. */
  split(shares: readonly number[], { seed = this.seed }: { seed?: number } = {}): ToyDataset[] {
    return checkShares(shares).map((_, index) => {
      const [high, low] = philox([index, 0, streams.split, 0], integer(seed, 'seed'))
      return new ToyDataset(this.name, this.#law, (high >>> 11) * 2 ** 32 + low, this.#reference)
    })
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
    const data = new Float32Array(2 * count)
    for (let b = 0; b < batches; b++) data.set(this.#draw(this.#row + b * size, size), 2 * b * size)
    const indices = Uint32Array.from({ length: count }, (_, i) => i)
    return { data, count, indices, sizes: new Uint32Array(batches).fill(size) }
  }

  advance(batches: number, { size }: Required<BatchOptions>): void {
    this.#row += batches * size
  }

  #draw(first: number, count: number): Float32Array {
    const data = new Float32Array(2 * count)
    for (let index = 0; index < count; index++) {
      this.#random.seek(first + index)
      data.set(this.#law.draw(this.#random, this.#reference ? { index, count } : undefined), 2 * index)
    }
    return data
  }
}
