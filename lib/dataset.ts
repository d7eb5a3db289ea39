import { type Batch, type RealArray, sizeOf, type Tensor, type TensorLike, toRows } from './batch'
import { boolean, fail, integer, isObject, number, object, show } from './check'
import type { NativeArray } from './native'
import { permutation, streams } from './random'

export interface BatchOptions {
  /** Rows a batch. Default: 128. */
  size?: number
  /** Draw rows in an order that `seed` and the epoch decide; data that never ends comes as it comes. Default: true. */
  shuffle?: boolean
  /** Default: 0. */
  seed?: number
  /** Leave out the last batch of an epoch where it is smaller than `size`. Default: false. */
  drop?: boolean
}

/** Where a data set stands: counters alone, so a restored one goes on with the same rows. */
export interface DatasetState {
  epoch: number
  /** Rows taken in this epoch. */
  row: number
}

/** Rows to learn from. Batches move its place (`state`) on; passes over it are epochs. */
export interface Dataset {
  /** How many; Infinity where rows never end. */
  readonly rows: number
  /** Of one sample. */
  readonly shape: readonly number[]
  /** Conditions, one a row. */
  readonly context?: TensorLike
  /** Names of the columns. */
  readonly columns?: readonly string[]
  /** From the present place to the end of the epoch; without end where `rows` is infinite. */
  batches(options?: BatchOptions): AsyncIterable<Tensor<RealArray>>
  /** Parts of these shares: contiguous, or of rows in an order that `seed` decides. */
  split(shares: readonly number[], options?: { seed?: number }): Dataset[]
  state(): DatasetState
  restore(state: DatasetState): void
  /** The first `count` rows as a data set that ends; rows that never end are taken from the present place. */
  take(count: number): Promise<ArrayDataset>
}

/** Batches for a training run: rows, and for each batch the indices of its rows, one after the other. */
export interface Feed {
  data: NativeArray
  count: number
  indices: Uint32Array
  sizes: Uint32Array
}

/** What `fit` needs of a data set besides: to look ahead, and to move on by what was used. */
export interface FeedingDataset extends Dataset {
  /** Up to `batches` batches from the present place on, through ends of epochs; none when rows ran out. */
  peek(batches: number, options: Required<BatchOptions>): Promise<Feed>
  advance(batches: number, options: Required<BatchOptions>): void
}

export function normalizeBatchOptions(options: BatchOptions = {}): Required<BatchOptions> {
  object(options, 'batch options', ['size', 'shuffle', 'seed', 'drop'])
  return {
    size: integer(options.size ?? 128, 'size', 1, 2 ** 31 - 1),
    shuffle: boolean(options.shuffle ?? true, 'shuffle'),
    seed: integer(options.seed ?? 0, 'seed'),
    drop: boolean(options.drop ?? false, 'drop')
  }
}

export function checkState(state: unknown): DatasetState {
  const given = object(state, 'data set state', ['epoch', 'row'])
  return { epoch: integer(given.epoch, 'state.epoch'), row: integer(given.row, 'state.row') }
}

export function checkShares(shares: readonly number[]): readonly number[] {
  if (!Array.isArray(shares) || shares.length === 0)
    fail('INVALID_OPTION', `shares is ${show(shares)}; give an array like [0.8, 0.1, 0.1]`)
  const sum = shares.reduce(
    (total, share, i) => total + number(share, `shares[${i}]`, { least: 0, open: true }),
    0
  )
  if (Math.abs(sum - 1) > 1e-9) fail('INVALID_OPTION', `shares add up to ${sum}; they must add up to 1`)
  return shares
}

/** Rows in memory. */
export class ArrayDataset implements FeedingDataset {
  readonly rows: number
  readonly shape: readonly number[]
  readonly columns?: readonly string[]
  /** (rows, shape), row-major. */
  readonly data: NativeArray
  #epoch = 0
  #row = 0
  #order: { seed: number; epoch: number; indices: Uint32Array } | undefined

  constructor(data: Batch, shape: readonly number[], columns?: readonly string[]) {
    const rows = toRows(data, shape, 'data')
    if (columns && columns.length !== sizeOf(shape))
      fail(
        'INVALID_SHAPE',
        `columns names ${columns.length} columns, and rows have ${sizeOf(shape)}; make them agree`
      )
    this.data = rows.data
    this.rows = rows.count
    this.shape = [...shape]
    if (columns) this.columns = [...columns]
  }

  async *batches(options?: BatchOptions): AsyncGenerator<Tensor<NativeArray>> {
    const normalized = normalizeBatchOptions(options)
    const epoch = this.#epoch
    while (this.#epoch === epoch) {
      const { indices } = await this.peek(1, normalized)
      const skipsToNextEpoch = this.#epochAhead(normalized) !== epoch
      if (indices.length === 0 || skipsToNextEpoch) {
        this.restore({ epoch: epoch + 1, row: 0 })
        return
      }
      this.advance(1, normalized)
      yield this.#gather(indices)
    }
  }

  split(shares: readonly number[], { seed }: { seed?: number } = {}): ArrayDataset[] {
    const order =
      seed === undefined ? undefined : permutation(this.rows, integer(seed, 'seed'), 0, streams.split)
    let sum = 0
    let first = 0
    return checkShares(shares).map((share, part) => {
      sum += share
      const last = part === shares.length - 1 ? this.rows : Math.round(sum * this.rows)
      if (last === first)
        fail('EMPTY_BATCH', `share ${part} (${share}) of ${this.rows} rows is empty; give a larger share`)
      const indices = Uint32Array.from({ length: last - first }, (_, i) => order?.[first + i] ?? first + i)
      first = last
      return new ArrayDataset(this.#gather(indices), this.shape, this.columns)
    })
  }

  async take(count: number): Promise<ArrayDataset> {
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    return new ArrayDataset(this.data.subarray(0, rows * sizeOf(this.shape)), this.shape, this.columns)
  }

  state(): DatasetState {
    return { epoch: this.#epoch, row: this.#row }
  }

  restore(state: DatasetState): void {
    const { epoch, row } = checkState(state)
    if (row > this.rows)
      fail('INVALID_OPTION', `the state stands at row ${row} of ${this.rows}; it belongs to another data set`)
    this.#epoch = epoch
    this.#row = row
  }

  async peek(batches: number, options: Required<BatchOptions>): Promise<Feed> {
    const indices: number[] = []
    const sizes: number[] = []
    let { epoch, row } = this.state()
    for (let b = 0; b < batches; b++) {
      const next = this.#batchAt(epoch, row, options)
      epoch = next.epoch
      const order = options.shuffle ? this.#orderOf(options.seed, epoch) : undefined
      for (let i = next.first; i < next.last; i++) indices.push(order?.[i] ?? i)
      sizes.push(next.last - next.first)
      row = next.last
    }
    return {
      data: this.data,
      count: this.rows,
      indices: Uint32Array.from(indices),
      sizes: Uint32Array.from(sizes)
    }
  }

  advance(batches: number, options: Required<BatchOptions>): void {
    for (let b = 0; b < batches; b++) {
      const { epoch, last } = this.#batchAt(this.#epoch, this.#row, options)
      this.#epoch = epoch
      this.#row = last
    }
  }

  /** Rows [first, last) of an epoch's order; the next epoch's where this one has no batch left. */
  #batchAt(epoch: number, row: number, { size, drop }: Required<BatchOptions>) {
    const whole = drop && this.rows >= size
    const left = this.rows - row
    if (left === 0 || (whole && left < size))
      return { epoch: epoch + 1, first: 0, last: Math.min(size, this.rows) }
    return { epoch, first: row, last: row + Math.min(size, left) }
  }

  #epochAhead(options: Required<BatchOptions>): number {
    return this.#batchAt(this.#epoch, this.#row, options).epoch
  }

  #orderOf(seed: number, epoch: number): Uint32Array {
    if (this.#order?.seed !== seed || this.#order.epoch !== epoch)
      this.#order = { seed, epoch, indices: permutation(this.rows, seed, epoch) }
    return this.#order.indices
  }

  #gather(indices: Uint32Array): Tensor<NativeArray> {
    const size = sizeOf(this.shape)
    const kind = this.data instanceof Float64Array ? Float64Array : Float32Array
    const data = new kind(indices.length * size)
    indices.forEach((row, i) => {
      data.set(this.data.subarray(row * size, (row + 1) * size), i * size)
    })
    return { data, shape: [indices.length, ...this.shape] }
  }
}

/** A flat array or a tensor as a data set; `shape` of one sample comes from a tensor where it is left out. */
export function fromArray(
  data: RealArray | TensorLike,
  options: { shape?: readonly number[]; columns?: readonly string[] } = {}
): ArrayDataset {
  object(options, 'fromArray options', ['shape', 'columns'])
  const shape = options.shape ?? (isObject(data) ? (data as unknown as TensorLike).shape.slice(1) : undefined)
  if (!shape || shape.length === 0)
    fail(
      'INVALID_SHAPE',
      'the shape of a sample is not known; give { shape: [D] }, or data as { data, shape: [rows, D] }'
    )
  return new ArrayDataset(data, shape, options.columns)
}

/** One array of numbers a row. */
export function fromRows(
  rows: readonly (readonly number[] | RealArray)[],
  options: { columns?: readonly string[] } = {}
): ArrayDataset {
  object(options, 'fromRows options', ['columns'])
  if (!Array.isArray(rows)) fail('INVALID_INPUT', `rows is ${show(rows)}; give an array with one array a row`)
  if (rows.length === 0) fail('EMPTY_BATCH', 'rows is empty; give at least one row')
  return new ArrayDataset(rows, [rows[0].length], options.columns)
}

/** `data` as a data set of samples of `shape`: data sets pass, arrays are wrapped. */
export function toDataset(data: Dataset | Batch, shape: readonly number[], name: string): FeedingDataset {
  const given = data as Partial<FeedingDataset> | null
  if (typeof given?.peek !== 'function') return new ArrayDataset(data as Batch, shape)
  const dataset = given as FeedingDataset
  if (sizeOf(dataset.shape) !== sizeOf(shape))
    fail(
      'INVALID_SHAPE',
      `${name} has samples of shape [${dataset.shape}], and the flow [${shape}]; make them agree`
    )
  if (dataset.context)
    fail('UNSUPPORTED', `${name} has conditions (context), which these flows do not take; leave them out`)
  return dataset
}
