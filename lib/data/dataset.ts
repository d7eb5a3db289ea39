import { types } from 'node:util'
import { type Batch, checkShape, isReal, type RealArray, sizeOf, type Tensor, toRows } from '../native/batch'
import { fail, integer, isAttached, isObject, nearest, object, texts } from '../native/check'
import type { NativeArray } from '../native/interface'
import { type Cells, cellsOfElements, firstCells, gatherCells } from './cells'
import { type BatchOptions, checkSplit, type DatasetState, normalizeBatchOptions } from './dataset-options'
import { gatherRows } from './gather'
import { RowOrder, shareRows } from './row-order'
import { sameNames, type TableSchema } from './schema'
import type { VisitedImages } from './visit'

/** Numbers of context a row, and their names. */
export interface DatasetContext {
  size: number
  columns?: readonly string[]
}

/** Samples, and the context of each where the data set has one. */
export interface RowBatch<A extends RealArray = RealArray> extends Tensor<A> {
  /** (rows, size) */
  context?: Tensor<A>
  /** The cells of dequantised rows. */
  cells?: Cells
}

/** Rows to learn from. Batches move its place (`state`) on; passes over it are epochs. */
export interface Dataset {
  /** Of the law or the file that the rows are of, where there is one; a model keeps it. */
  readonly name?: string
  /** How many; Infinity where rows never end. */
  readonly rows: number
  /** The shape of one sample. */
  readonly shape: readonly number[]
  /** What every row is conditioned on, for densities p(x | c); batches carry it. */
  readonly context?: DatasetContext
  /** Names of the columns. */
  readonly columns?: readonly string[]
  /** What the columns hold, where the rows come from a table. */
  readonly schema?: TableSchema
  /** Batches from the present place to the end of the epoch; they do not end where `rows` is infinite. */
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
  /** Numbers, or images, which become numbers anew in every epoch. */
  data: NativeArray | VisitedImages
  /** The context of the same rows. */
  context?: NativeArray
  count: number
  indices: Uint32Array
  sizes: Uint32Array
  /** The epoch of each batch, where there are any. */
  epochs?: Uint32Array
}

/** Batches of numbers. */
export interface RowFeed extends Feed {
  data: NativeArray
}

/** What `fit` needs of a data set besides: to look ahead, and to move on by what was used. */
export interface FeedingDataset extends Dataset {
  /** Up to `batches` batches from the present place on, through ends of epochs; none when rows ran out. */
  peek(batches: number, options: Required<BatchOptions>): Promise<Feed>
  advance(batches: number, options: Required<BatchOptions>): void
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
  readonly #order: RowOrder

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
    this.#order = new RowOrder(this.rows)
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
    const isKept = (array: NativeArray, size: number) => array.length === rows * size && isAttached(array)
    if (isKept(data, sizeOf(shape)) && (!contextData || isKept(contextData, context!.size))) return
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
    for (const { indices } of this.#order.walk(normalizeBatchOptions(options))) {
      this.#checkKept()
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
    const parts = shareRows(this.rows, shares, seed).map((indices) => {
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
    return this.#order.state()
  }

  restore(state: DatasetState): void {
    this.#order.restore(state)
  }

  async peek(batches: number, options: Required<BatchOptions>): Promise<RowFeed> {
    this.#checkKept()
    return {
      data: this.data,
      ...(this.contextData && { context: this.contextData }),
      count: this.rows,
      ...this.#order.peek(batches, options)
    }
  }

  advance(batches: number, options: Required<BatchOptions>): void {
    this.#order.advance(batches, options)
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

/** What it holds decides, so that rows of another copy of this package are as good. */
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

/** What it can do decides, so that data sets of another copy of this package are as good. */
export function isDataset(value: unknown): value is FeedingDataset {
  if (!isObject(value)) return false
  return ['peek', 'advance', 'batches', 'state', 'restore', 'take'].every(
    (name) => typeof value[name] === 'function'
  )
}
