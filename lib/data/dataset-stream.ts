import { type Batch, checkShape, sizeOf, toRows } from '../native/batch'
import {
  fail,
  integer,
  isArray,
  isCallable,
  isObject,
  isRevoked,
  object,
  plain,
  show,
  texts
} from '../native/check'
import {
  ArrayDataset,
  type DatasetContext,
  type FeedingDataset,
  type RowBatch,
  type RowFeed
} from './dataset'
import { type BatchOptions, checkState, type DatasetState, normalizeBatchOptions } from './dataset-options'
import { RowQueue } from './row-queue'
import { checkSchema, type TableSchema } from './schema'

export interface StreamOptions {
  /** The shape of one sample. */
  shape: readonly number[]
  /** Their names. Default: none. */
  columns?: readonly string[]
  /** Numbers of context, which follow those of the sample in every row; or their names. Default: none. */
  context?: number | readonly string[]
  /** What the columns hold, where the rows come from a table; a flow that is trained on them remembers it. Default: nothing. */
  schema?: TableSchema
}

/** What a stream yields: one row, or several. */
export type StreamItem = Batch | readonly number[]
type Source = AsyncIterable<StreamItem> | Iterable<StreamItem>

/**
 * Rows as they come, in their order. A function that opens the stream can be read from the start again, so that a
 * restored data set goes on where it stood; an iterable can only go on.
 */
export function fromAsyncIterable(source: Source | (() => Source), options: StreamOptions): FeedingDataset {
  const given = object(options, 'fromAsyncIterable options', ['shape', 'columns', 'context', 'schema'])
  const { columns, context, schema } = given
  return new StreamDataset(source, {
    shape: checkShape(given.shape),
    ...(columns !== undefined && { columns: texts(columns, 'columns', 'the names of the columns') }),
    ...(context !== undefined && {
      context: typeof context === 'number' ? context : texts(context, 'context', 'a number, or names')
    }),
    ...(schema !== undefined && { schema: checkSchema(plain(schema, 'schema')) })
  })
}

type Items = AsyncIterator<StreamItem> | Iterator<StreamItem>

/** What a stream has open, a file or a thread, is closed once nobody holds its data set any more. */
const abandoned = new FinalizationRegistry<Items>((items) => void close(items))

async function close(items: Items): Promise<void> {
  try {
    await items.return?.()
  } catch {
    // Nobody waits for what it would say.
  }
}

class StreamDataset implements FeedingDataset {
  readonly rows = Infinity
  readonly shape: readonly number[]
  readonly columns?: readonly string[]
  readonly schema?: TableSchema
  readonly context?: DatasetContext
  readonly #source: Source | (() => Source)
  /** Numbers of a sample, and of a row with its context. */
  readonly #size: number
  readonly #width: number
  #iterator: Items | undefined
  /** Rows read ahead. */
  readonly #ahead: RowQueue
  /** Rows taken, and rows to pass over before the next one. */
  #row = 0
  #toSkip = 0
  #ended = false

  constructor(source: Source | (() => Source), { shape, columns, context, schema }: StreamOptions) {
    this.#source = source
    this.shape = shape
    this.#size = sizeOf(shape)
    if (columns) this.columns = columns
    if (schema) this.schema = schema
    if (context !== undefined)
      this.context =
        typeof context === 'number'
          ? { size: integer(context, 'context', 1) }
          : { size: context.length, columns: context }
    this.#width = this.#size + (this.context?.size ?? 0)
    this.#ahead = new RowQueue(this.#width)
  }

  async *batches(options?: BatchOptions): AsyncGenerator<RowBatch> {
    const normalized = normalizeBatchOptions(options)
    for (;;) {
      const { data, context, count } = await this.peek(1, normalized)
      if (count === 0) return
      this.advance(1, normalized)
      yield {
        data,
        shape: [count, ...this.shape],
        ...(context && { context: { data: context, shape: [count, this.context!.size] } })
      }
    }
  }

  split(): never {
    return fail(
      'UNSUPPORTED',
      'a stream cannot be split; give one stream a part, or take(rows) and split those'
    )
  }

  async take(count: number): Promise<ArrayDataset> {
    const options = normalizeBatchOptions({ size: integer(count, 'count', 1, 2 ** 31 - 1) })
    const { data, context } = await this.peek(1, options)
    this.advance(1, options)
    const taken = this.context && { ...this.context, data: context! }
    return new ArrayDataset(data, this.shape, this.columns, taken)
  }

  state(): DatasetState {
    return { epoch: 0, row: this.#row }
  }

  restore(state: DatasetState): void {
    const { row } = checkState(state)
    if (row === this.#row) return
    const read = this.#row - this.#toSkip
    if (typeof this.#source !== 'function' && row < read)
      fail('UNSUPPORTED', 'this stream cannot go back; give fromAsyncIterable a function that opens it')
    if (typeof this.#source === 'function') {
      if (this.#iterator) {
        abandoned.unregister(this.#iterator)
        void close(this.#iterator)
      }
      this.#iterator = undefined
      this.#ahead.clear()
      this.#ended = false
      this.#toSkip = row
    } else {
      this.#toSkip += row - this.#row
    }
    this.#row = row
  }

  async peek(batches: number, { size, drop }: Required<BatchOptions>): Promise<RowFeed> {
    await this.#readAhead(batches * size)
    const available = this.#ahead.rows
    const sizes: number[] = []
    let count = 0
    while (sizes.length < batches && count < available) {
      const rows = Math.min(size, available - count)
      if (drop && rows < size) break
      sizes.push(rows)
      count += rows
    }
    return {
      data: this.#ahead.columns(count, 0, this.#size),
      ...(this.context && { context: this.#ahead.columns(count, this.#size, this.#width) }),
      count,
      indices: Uint32Array.from({ length: count }, (_, i) => i),
      sizes: Uint32Array.from(sizes)
    }
  }

  advance(batches: number, { size }: Required<BatchOptions>): void {
    this.#row += this.#ahead.drop(batches * size)
  }

  async #readAhead(rows: number): Promise<void> {
    while (!this.#ended && (this.#toSkip > 0 || this.#ahead.rows < rows)) {
      if (this.#toSkip > 0 && this.#ahead.rows > 0) {
        this.#toSkip -= this.#ahead.drop(this.#toSkip)
        continue
      }
      this.#iterator ??= this.#open()
      const next: unknown = await this.#iterator.next()
      if (!isObject(next))
        fail('INVALID_INPUT', `the stream gave ${show(next)}; give an iterator of { value, done }`)
      if (next.done) this.#ended = true
      else this.#ahead.push(this.#numbers(next.value as StreamItem))
    }
  }

  #open(): Items {
    const source = this.#source
    if (!isCallable(source)) return itemsOf(source)
    const items = itemsOf(source()) // called by itself, as the items must not hold the data set
    abandoned.register(this, items, items)
    return items
  }

  #numbers(item: StreamItem) {
    const oneRow = isArray(item) && typeof item[0] === 'number'
    const shape = this.context ? [this.#width] : this.shape
    return toRows((oneRow ? [item] : item) as Batch, shape, `item after row ${this.#row}`).data
  }
}

function itemsOf(source: unknown): Items {
  const readable =
    typeof source === 'object' && source !== null && !ArrayBuffer.isView(source) && !isRevoked(source)
  const iterable: Partial<AsyncIterable<StreamItem> & Iterable<StreamItem>> = readable ? source : {}
  if (typeof iterable[Symbol.asyncIterator] === 'function') return iterable[Symbol.asyncIterator]!()
  if (typeof iterable[Symbol.iterator] === 'function') return iterable[Symbol.iterator]!()
  return fail(
    'INVALID_INPUT',
    `the source is ${show(source)}; give an async iterable, or a function that opens one`
  )
}
