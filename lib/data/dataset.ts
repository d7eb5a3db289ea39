import { types } from 'node:util'
import {
  type Batch,
  checkShape,
  isReal,
  type RealArray,
  sizeOf,
  type Tensor,
  type TensorLike,
  toRows
} from '../native/batch'
import {
  boolean,
  fail,
  integer,
  isArray,
  isObject,
  list,
  nearest,
  number,
  object,
  show,
  texts
} from '../native/check'
import type { NativeArray } from '../native/interface'
import { type Cells, cellsOfElements, firstCells, gatherCells } from './cells'
import { permutation, streams } from './random'
import { sameNames, type TableSchema } from './schema'

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
  /** Of dequantised rows. */
  cells?: Cells
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
  split<const S extends readonly number[]>(shares: S, options?: { seed?: number }): Parts<S, Dataset>
  state(): DatasetState
  restore(state: DatasetState): void
  /** The first `count` rows as a data set that ends; rows that never end are taken from the present place. */
  take(count: number): Promise<ArrayDataset>
}

/** One data set a share. */
export type Parts<S extends readonly number[], D> = { -readonly [share in keyof S]: D }

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
  const given = object(options, 'batch options', ['size', 'shuffle', 'seed', 'drop'])
  return {
    size: integer(given.size ?? 128, 'size', 1, 2 ** 31 - 1),
    shuffle: boolean(given.shuffle ?? true, 'shuffle'),
    seed: integer(given.seed ?? 0, 'seed'),
    drop: boolean(given.drop ?? false, 'drop')
  }
}

export function checkState(state: unknown): DatasetState {
  const given = object(state, 'data set state', ['epoch', 'row'])
  return { epoch: integer(given.epoch, 'state.epoch'), row: integer(given.row, 'state.row') }
}

export function checkShares(value: readonly number[]): readonly number[] {
  const shares = list(value, 'shares', 'an array like [0.8, 0.1, 0.1]').map((share, i) =>
    number(share, `shares[${i}]`, { least: 0, open: true })
  )
  const sum = shares.reduce((total, share) => total + share, 0)
  if (Math.abs(sum - 1) > 1e-9) fail('INVALID_OPTION', `shares add up to ${sum}; they must add up to 1`)
  return shares
}

export function checkSplit(options: { seed?: number } | undefined): { seed?: number } {
  const { seed } = object(options ?? {}, 'split options', ['seed'])
  return seed === undefined ? {} : { seed: integer(seed, 'seed') }
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
  /** Dequantised values as they stand in their file. */
  readonly cells?: Cells
  #epoch = 0
  #row = 0
  #order: { seed: number; epoch: number; indices: Uint32Array } | undefined

  constructor(
    data: Batch,
    shape: readonly number[],
    columns?: readonly string[],
    context?: DatasetContext & { data: Batch },
    cells?: Cells
  ) {
    this.shape = checkShape(shape)
    const rows = toRows(data, this.shape, 'data')
    this.data = rows.data
    this.rows = rows.count
    if (columns !== undefined) this.columns = texts(columns, 'columns', 'the names of the columns')
    if (this.columns && this.columns.length !== sizeOf(this.shape))
      fail(
        'INVALID_SHAPE',
        `columns names ${this.columns.length} columns, and rows have ${sizeOf(this.shape)}; make them agree`
      )
    if (cells) this.cells = cells
    if (context === undefined) return
    const given = object(context, 'context', ['size', 'columns', 'data'])
    const size = integer(given.size, 'context.size', 1, 2 ** 24)
    const names =
      given.columns === undefined ? undefined : texts(given.columns, 'context.columns', 'their names')
    const contexts = toRows(given.data as Batch, [size], 'context')
    if (contexts.count !== this.rows)
      fail('INVALID_SHAPE', `context has ${contexts.count} rows, and the data ${this.rows}; make them agree`)
    if (names && names.length !== size)
      fail(
        'INVALID_SHAPE',
        `${names.length} context columns are named, and a row has ${size}; make them agree`
      )
    this.contextData = contexts.data
    this.context = { size, ...(names && { columns: names }) }
  }

  /** Arrays are kept, not copied: one that was transferred or resized since has lost its rows. */
  #checkKept(): void {
    const { data, contextData, rows, shape, context } = this
    if (data.length === rows * sizeOf(shape) && (!contextData || contextData.length === rows * context!.size))
      return
    fail('INVALID_INPUT', 'the array of this data set was transferred or resized; make the set of a copy')
  }

  /** The same rows with some of their columns as the context that the others are conditioned on. */
  condition(columnNames: readonly string[]): ArrayDataset {
    this.#checkKept()
    const names = texts(columnNames, 'the context', 'a list of the names of columns')
    const { columns } = this
    if (!columns) fail('INVALID_INPUT', 'these rows have no column names; give fromArray a context instead')
    return conditioned(this, columns, names)
  }

  /** Other rows of the same columns. */
  protected like(data: Batch, context?: DatasetContext & { data: Batch }, cells?: Cells): ArrayDataset {
    return new ArrayDataset(data, this.shape, this.columns, context, cells)
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
      if (this.cells) batch.cells = gatherCells(this.cells, indices)
      yield batch
    }
  }

  split<const S extends readonly number[]>(shares: S, options?: { seed?: number }): Parts<S, ArrayDataset> {
    this.#checkKept()
    const { seed } = checkSplit(options)
    const order = seed === undefined ? undefined : permutation(this.rows, seed, 0, streams.split)
    let sum = 0
    let first = 0
    const checked = checkShares(shares)
    const parts = checked.map((share, part) => {
      sum += share
      const last = part === checked.length - 1 ? this.rows : Math.round(sum * this.rows)
      if (last === first)
        fail('EMPTY_BATCH', `share ${part} (${share}) of ${this.rows} rows is empty; give a larger share`)
      const indices = Uint32Array.from({ length: last - first }, (_, i) => order?.[first + i] ?? first + i)
      first = last
      const cells = this.cells && gatherCells(this.cells, indices)
      return this.like(this.#gather(indices), this.#gatherContext(indices), cells)
    })
    return parts as Parts<S, ArrayDataset>
  }

  async take(count: number): Promise<ArrayDataset> {
    this.#checkKept()
    const rows = Math.min(integer(count, 'count', 1), this.rows)
    const context = this.context && {
      ...this.context,
      data: this.contextData!.subarray(0, rows * this.context.size)
    }
    const data = this.data.subarray(0, rows * sizeOf(this.shape))
    return this.like(data, context, this.cells && firstCells(this.cells, rows))
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
    this.#checkKept()
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
  return isDataset(dataset) && isReal((dataset as Partial<ArrayDataset>).data)
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
  { data, contextData, rows, shape, context, cells }: ArrayDataset,
  elements: readonly string[],
  own: readonly string[],
  given: readonly string[]
): ArrayDataset {
  const width = sizeOf(shape)
  const placesOf = (names: readonly string[]) => names.map((name) => elements.indexOf(name))
  const pick = (names: readonly string[]) => {
    const places = placesOf(names)
    const kind = types.isFloat64Array(data) ? Float64Array : Float32Array
    const picked = new kind(rows * places.length)
    for (let row = 0, at = 0; row < rows; row++)
      for (const place of places)
        picked[at++] =
          place < width ? data[row * width + place]! : contextData![row * context!.size + place - width]!
    return picked
  }
  const conditions = { data: pick(given), size: given.length, columns: given }
  return new ArrayDataset(
    pick(own),
    [own.length],
    own,
    given.length > 0 ? conditions : undefined,
    cells && cellsOfElements(cells, placesOf(own))
  )
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
  const data = isArray(context) && typeof context[0] === 'number' ? oneEach(context) : (context as Batch)
  return { data, size: contextSize(data, rows), ...(contextColumns && { columns: contextColumns }) }
}

/** One number a row. */
function oneEach(context: readonly unknown[]): Float64Array {
  return Float64Array.from(context, (value, i) => number(value, `context[${i}]`))
}

/** Numbers of a row; 1 where `toRows` will refuse the rest. */
function contextSize(data: Batch, rows: number): number {
  const first: unknown = isArray(data) ? data[0] : undefined
  if (isArray(first) || isReal(first)) return Math.max(1, first.length)
  if (isReal(data)) return Math.max(1, Math.floor(data.length / rows))
  return isObject(data) && isArray(data.shape) ? sizeOf(checkShape([1, ...data.shape.slice(1)])) : 1
}

/** A flat array or a tensor as a data set; `shape` of one sample comes from a tensor where it is left out. */
export function fromArray(
  data: RealArray | TensorLike,
  options: { shape?: readonly number[]; columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  const given = object(options, 'fromArray options', ['shape', 'columns', 'context', 'contextColumns'])
  const tensor: Partial<TensorLike> | undefined = isReal(data) || !isObject(data) ? undefined : data
  const { data: values, shape: whole } = tensor ?? { data: data as RealArray }
  const shape = given.shape ?? (isArray(whole) ? whole.slice(1) : undefined)
  if (shape === undefined || (isArray(shape) && shape.length === 0))
    fail(
      'INVALID_SHAPE',
      'the shape of a sample is not known; give { shape: [D] }, or data as { data, shape: [rows, D] }'
    )
  const size = sizeOf(checkShape(shape))
  return new ArrayDataset(
    whole === undefined ? values! : { data: values!, shape: whole },
    shape as number[],
    given.columns as string[],
    contextOf(given, isReal(values) ? Math.max(1, Math.floor(values.length / size)) : 1)
  )
}

/** One array of numbers a row. */
export function fromRows(
  rows: readonly (readonly number[] | RealArray)[],
  options: { columns?: readonly string[] } & ContextInput = {}
): ArrayDataset {
  const given = object(options, 'fromRows options', ['columns', 'context', 'contextColumns'])
  const all = list(rows, 'rows', 'an array with one array a row')
  const first = all[0]
  if (all.length === 0) fail('EMPTY_BATCH', 'rows is empty; give at least one row')
  if ((!isArray(first) && !isReal(first)) || first.length === 0)
    fail('INVALID_INPUT', `rows[0] is ${show(first)}; give an array of numbers a row`)
  return new ArrayDataset(
    all as number[][],
    [first.length],
    given.columns as string[],
    contextOf(given, all.length)
  )
}

/** By what it can do, so that data sets of another copy of this package are as good. */
export function isDataset(value: unknown): value is FeedingDataset {
  if (!isObject(value)) return false
  return ['peek', 'advance', 'batches', 'state', 'restore', 'take'].every(
    (name) => typeof value[name] === 'function'
  )
}
