import { types } from 'node:util'
import { type Batch, isReal, type RealArray, sizeOf, type Tensor, type TensorLike, toRows } from './batch'
import { boolean, fail, integer, isObject, nearest, number, object, show } from './check'
import type { NativeArray } from './native'
import { permutation, streams } from './random'
import { sameNames, type TableSchema } from './table/schema'

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

/** Numbers of context a row, and their names. */
export interface DatasetContext {
  size: number
  columns?: readonly string[]
}

/** Samples, and the context of each where the data set has one. */
export interface RowBatch<A extends RealArray = RealArray> extends Tensor<A> {
  /** (rows, size) */
  context?: Tensor<A>
}

/** Rows to learn from. Batches move its place (`state`) on; passes over it are epochs. */
export interface Dataset {
  /** How many; Infinity where rows never end. */
  readonly rows: number
  /** Of one sample. */
  readonly shape: readonly number[]
  /** What every row is conditioned on, for densities p(x | c); batches carry it. */
  readonly context?: DatasetContext
  /** Names of the columns. */
  readonly columns?: readonly string[]
  /** What the columns hold, where the rows come from a table. */
  readonly schema?: TableSchema
  /** From the present place to the end of the epoch; without end where `rows` is infinite. */
  batches(options?: BatchOptions): AsyncIterable<RowBatch>
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
  /** Of the same rows. */
  context?: NativeArray
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
  readonly schema?: TableSchema
  /** (rows, shape), row-major. */
  readonly data: NativeArray
  readonly context?: DatasetContext
  /** (rows, context.size) */
  readonly contextData?: NativeArray
  #epoch = 0
  #row = 0
  #order: { seed: number; epoch: number; indices: Uint32Array } | undefined

  constructor(
    data: Batch,
    shape: readonly number[],
    columns?: readonly string[],
    context?: DatasetContext & { data: Batch }
  ) {
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
    if (!context) return
    const { size, columns: names } = context
    const contexts = toRows(context.data, [size], 'context')
    if (contexts.count !== this.rows)
      fail('INVALID_SHAPE', `context has ${contexts.count} rows, and the data ${this.rows}; make them agree`)
    if (names && names.length !== size)
      fail(
        'INVALID_SHAPE',
        `${names.length} context columns are named, and a row has ${size}; make them agree`
      )
    this.contextData = contexts.data
    this.context = { size, ...(names && { columns: [...names] }) }
  }

  /** The same rows with some of their columns as the context that the others are conditioned on. */
  condition(names: readonly string[]): ArrayDataset {
    const { columns } = this
    if (!columns) fail('INVALID_INPUT', 'these rows have no column names; give fromArray a context instead')
    return conditioned(this, columns, names)
  }

  /** Other rows of the same columns. */
  protected like(data: Batch, context?: DatasetContext & { data: Batch }): ArrayDataset {
    return new ArrayDataset(data, this.shape, this.columns, context)
  }

  async *batches(options?: BatchOptions): AsyncGenerator<RowBatch<NativeArray>> {
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
      const batch: RowBatch<NativeArray> = this.#gather(indices)
      const context = this.#gatherContext(indices)
      if (context) batch.context = { data: context.data, shape: [indices.length, context.size] }
      yield batch
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
      return this.like(this.#gather(indices), this.#gatherContext(indices))
    })
  }

  async take(count: number): Promise<ArrayDataset> {
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    const context = this.context && {
      ...this.context,
      data: this.contextData!.subarray(0, rows * this.context.size)
    }
    const data = this.data.subarray(0, rows * sizeOf(this.shape))
    return this.like(data, context)
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
      ...(this.contextData && { context: this.contextData }),
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
    const data = gatherRows(this.data, sizeOf(this.shape), indices)
    return { data, shape: [indices.length, ...this.shape] }
  }

  #gatherContext(indices: Uint32Array): (DatasetContext & { data: NativeArray }) | undefined {
    return (
      this.context && { ...this.context, data: gatherRows(this.contextData!, this.context.size, indices) }
    )
  }
}

/** By what it holds, so that rows of another copy of this package are as good. */
export function inMemory(dataset: Dataset): dataset is ArrayDataset {
  return isReal((dataset as Partial<ArrayDataset>).data)
}

/** `dataset`, whose elements are called `columns`, with those of `names` as the context of the others. */
export function conditioned(
  dataset: ArrayDataset,
  columns: readonly string[],
  names: readonly string[]
): ArrayDataset {
  const { context } = dataset
  if (context && sameNames(context.columns ?? [], names)) return dataset
  if (context)
    fail('CONTRADICTORY_OPTIONS', 'these rows have a context already; name all of its columns at once')
  for (const name of names) {
    if (columns.includes(name)) continue
    const near = nearest(name, columns)
    const remedy = near ? `did you mean '${near}'?` : `they are ${columns.join(', ')}`
    fail('INVALID_OPTION', `these rows have no column '${name}' for a context; ${remedy}`)
  }
  const rest = columns.filter((name) => !names.includes(name))
  if (names.length === 0 || rest.length === 0 || new Set(names).size < names.length)
    fail('INVALID_OPTION', `context names ${names.length} of ${columns.length} columns; name some, each once`)
  return arranged(dataset, columns, rest, names)
}

/**
 * The rows of `dataset` with the elements `own` as samples and `given` as their context. `elements` are the names of
 * what its samples hold, followed by those of its context.
 */
export function arranged(
  { data, contextData, rows, shape, context }: ArrayDataset,
  elements: readonly string[],
  own: readonly string[],
  given: readonly string[]
): ArrayDataset {
  const width = sizeOf(shape)
  const pick = (names: readonly string[]) => {
    const places = names.map((name) => elements.indexOf(name))
    const kind = types.isFloat64Array(data) ? Float64Array : Float32Array
    const picked = new kind(rows * places.length)
    for (let row = 0, at = 0; row < rows; row++)
      for (const place of places)
        picked[at++] =
          place < width ? data[row * width + place]! : contextData![row * context!.size + place - width]!
    return picked
  }
  const conditions = { data: pick(given), size: given.length, columns: given }
  return new ArrayDataset(pick(own), [own.length], own, given.length > 0 ? conditions : undefined)
}

function gatherRows(values: NativeArray, width: number, indices: Uint32Array): NativeArray {
  const kind = types.isFloat64Array(values) ? Float64Array : Float32Array
  const gathered = new kind(indices.length * width)
  indices.forEach((row, i) => {
    gathered.set(values.subarray(row * width, (row + 1) * width), i * width)
  })
  return gathered
}

/** A context as fromArray and fromRows take it: (rows, size), or one number a row. */
interface ContextInput {
  /** Of every row. */
  context?: Batch | readonly number[]
  contextColumns?: readonly string[]
}

function contextOf({ context, contextColumns }: ContextInput, rows: number) {
  if (context === undefined) {
    if (contextColumns)
      fail('CONTRADICTORY_OPTIONS', 'contextColumns names a context that is not there; give context')
    return undefined
  }
  const flat = Array.isArray(context) && typeof context[0] === 'number'
  const data = flat ? Float64Array.from(context as readonly number[]) : (context as Batch)
  const size = isReal(data)
    ? Math.max(1, Math.floor(data.length / rows))
    : Array.isArray(data)
      ? data[0]!.length
      : sizeOf((data as TensorLike).shape.slice(1))
  return { data, size, ...(contextColumns && { columns: contextColumns }) }
}

/** A flat array or a tensor as a data set; `shape` of one sample comes from a tensor where it is left out. */
export function fromArray(
  data: RealArray | TensorLike,
  options: { shape?: readonly number[]; columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  object(options, 'fromArray options', ['shape', 'columns', 'context', 'contextColumns'])
  const shape = options.shape ?? (isObject(data) ? (data as unknown as TensorLike).shape.slice(1) : undefined)
  if (!shape || shape.length === 0)
    fail(
      'INVALID_SHAPE',
      'the shape of a sample is not known; give { shape: [D] }, or data as { data, shape: [rows, D] }'
    )
  const values = isObject(data) ? (data as unknown as TensorLike).data : (data as RealArray)
  return new ArrayDataset(
    data,
    shape,
    options.columns,
    contextOf(options, Math.max(1, values.length / sizeOf(shape)))
  )
}

/** One array of numbers a row. */
export function fromRows(
  rows: readonly (readonly number[] | RealArray)[],
  options: { columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  object(options, 'fromRows options', ['columns', 'context', 'contextColumns'])
  if (!Array.isArray(rows)) fail('INVALID_INPUT', `rows is ${show(rows)}; give an array with one array a row`)
  if (rows.length === 0) fail('EMPTY_BATCH', 'rows is empty; give at least one row')
  return new ArrayDataset(rows, [rows[0].length], options.columns, contextOf(options, rows.length))
}
