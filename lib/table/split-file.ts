import { cellsOf, stepsOf } from '../data/cells'
import type { ArrayDataset, FeedingDataset } from '../data/dataset'
import { fromAsyncIterable } from '../data/dataset-stream'
import { elementNames, type TableSchema, tableWidth, withContext } from '../data/schema'
import { fail, integer, number, object } from '../native/check'
import { typed } from './choose-columns'
import { checkDegenerate } from './degenerate'
import { dequantize } from './dequantize'
import type { RowEncoder } from './encode'
import { type FileOptions, fileKeys } from './file-options'
import { openEncoder, TableDataset, tableOf } from './load'
import { PartSample } from './part-sample'
import type { TableProfile } from './profile'
import { readingAhead } from './reading-ahead'
import { type Remark, remarksOnRows } from './remarks'
import { type HeldOut, type Part, placeOf } from './row-parts'
import type { RowRange, TableSource } from './source'

export interface SplitOptions extends Omit<FileOptions, 'schema'> {
  /** Share of the rows to validate on, in [0, 1). Default: 0.1. */
  validation?: number
  /** Share of the rows to test on, in [0, 1). Default: 0.1. */
  test?: number
  /**
   * Of the rows to train on those of one of several processes, which together have all of them: fit(train, { group, shard: true }) with
   * { rank: group.rank, size: group.size }. They follow each other in the file, and a process reads them alone where the format allows it.
   * Default: all.
   */
  shard?: { rank: number; size: number }
  /** Most rows of each part that are held in memory. Default: 100,000, or what 2²⁴ numbers make. */
  keep?: number
}

/** A file too large for memory, in parts. */
export interface FileParts {
  /** Rows to train on, without end: from the file, pass after pass, each piece of it in an order of its own. */
  train: FeedingDataset
  /** How many of them a pass has. */
  trainRows: number
  /** A fair sample of each part, in memory, all of it where it is small; none where its share is 0. */
  seen: ArrayDataset
  validation?: ArrayDataset
  test?: ArrayDataset
  schema: TableSchema
  /** What a user should know of the columns before training. */
  remarks: Remark[]
  /** Rows of the file that `invalid: 'drop'` left out. */
  dropped: number
}

const NUMBERS_KEPT = 2 ** 24

/**
 * Reads a file once, for the types of its columns, fair samples, and errors; then streams what is to be trained on. Its
 * number and `seed` decide which part a row belongs to, so that no row of one part ever appears in another.
 * @throws FfjordError with file, row and column
 */
export async function splitFile(path: string, options: SplitOptions = {}): Promise<FileParts> {
  return splitTable(path, options)
}

/** The same where a pass over the file has found what its columns hold. */
export async function splitTable(
  path: string,
  options: SplitOptions,
  profile?: TableProfile
): Promise<FileParts> {
  const known = [...fileKeys, 'validation', 'test', 'shard', 'keep']
  const {
    validation = 0.1,
    test = 0.1,
    shard = { rank: 0, size: 1 },
    keep,
    ...rest
  } = object(options, 'file options', known) as SplitOptions
  for (const [name, share] of Object.entries({ validation, test })) number(share, name, { least: 0, most: 1 })
  if (validation + test >= 1)
    fail('INVALID_OPTION', 'validation and test together take all rows; give smaller shares')
  const ranks = object(shard, 'shard', ['rank', 'size'])
  const size = integer(ranks.size, 'shard.size', 1)
  const rank = integer(ranks.rank, 'shard.rank', 0, size - 1)
  const { path: readFrom, source, columns, encoder, settings } = await openEncoder(path, rest, { profile })
  const { seed, context } = settings
  const shape = settings.shape ?? source.shape ?? [encoder.width]
  if (context.length > 0 && shape.length > 1)
    fail('UNSUPPORTED', `rows of shape [${shape}] cannot be split with a context; leave out the context`)
  const most = integer(
    keep ?? Math.max(1, Math.min(100_000, Math.floor(NUMBERS_KEPT / encoder.width))),
    'keep',
    1
  )
  const heldOut = { validation, test }
  const { rows, ...parts } = await sampled(encoder, { most, seed, heldOut })
  if (parts.train.rows === 0)
    fail('EMPTY_BATCH', `${source.path} has no rows to train on; give a file with more rows that can be used`)
  const found = columns.map((column, c) => typed(column, encoder.whole[c]!, settings))
  encoder.checkEnds(found)
  if (settings.checkColumns) checkDegenerate(source.path, elementNames(found), parts.train.taken().values)

  const { named } = source
  const table = tableOf(found, source, settings)
  const schema = withContext(table, context)
  const sample = parts.train.taken()
  const remarks = remarksOnRows(
    [{ columns: found, data: sample.values, width: encoder.width, given: context, noisy: false }],
    sample.numbers.length,
    sample.numbers
  )
  const dataset = (part: PartSample, name: string): ArrayDataset => {
    const { values, numbers } = part.taken()
    if (numbers.length === 0)
      fail('EMPTY_BATCH', `the share for ${name} of ${source.path} is empty; give a larger one`)
    const cells = cellsOf(values, stepsOf(found))
    dequantize(found, { values, kept: numbers }, { first: 0, seed })
    const rows = new TableDataset(values, shape, table, encoder.dropped, named, undefined, cells)
    return context.length > 0 ? rows.condition(context) : rows
  }

  // Context follows the sample in every row of a stream.
  const { columns: own, context: given = [] } = schema
  const { drop, missing, outside } = settings
  const precision = encoder.needsFloat64 ? 'float64' : 'float32'
  const wanted = {
    path: readFrom,
    open: settings.open,
    columns: [...own, ...given],
    encoder: { drop, ...(missing && { missing }), precision, outside } as const,
    seed,
    repeat: true,
    trained: heldOut,
    ...(size > 1 && { range: rangeOf(source, rows, rank, size) })
  }
  const train = fromAsyncIterable(() => readingAhead(wanted), {
    shape: given.length > 0 ? [tableWidth(own)] : shape,
    columns: elementNames(own),
    schema,
    ...(given.length > 0 && { context: elementNames(given) })
  })
  return {
    train,
    trainRows: parts.train.rows,
    seen: dataset(parts.train, 'train'),
    ...(validation > 0 && { validation: dataset(parts.validation, 'validation') }),
    ...(test > 0 && { test: dataset(parts.test, 'test') }),
    schema,
    remarks,
    dropped: encoder.dropped
  }
}

/** Which of the rows of a file, of which one pass is over, are those of a rank: as many as each other rank has, but for one. */
function rangeOf(source: TableSource, rows: number, rank: number, size: number): RowRange {
  if (rows < size)
    fail('EMPTY_BATCH', `${source.path} has ${rows} rows for ${size} ranks; give each at least one`)
  const [first, end] = [rank, rank + 1].map((part) => Math.floor((part * rows) / size)) as [number, number]
  const from = source.placeBefore?.(first)
  return { first, end, ...(from && { from }) }
}

/** A pass over the file: how many rows it has, and fair samples of its parts. */
async function sampled(
  encoder: RowEncoder,
  { most, seed, heldOut }: { most: number; seed: number; heldOut: HeldOut }
): Promise<Record<Part, PartSample> & { rows: number }> {
  const sample = () => new PartSample(most, encoder.width)
  const parts = { train: sample(), validation: sample(), test: sample() }
  let first = 0
  for await (const batch of encoder.batches()) {
    const { values, kept } = encoder.encode(batch, first)
    kept.forEach((row, i) => {
      const { part, rank } = placeOf(first + row, seed, heldOut)
      parts[part].offer(values, i, first + row, rank)
    })
    first += batch.count
  }
  return { ...parts, rows: first }
}
