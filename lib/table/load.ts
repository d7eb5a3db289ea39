import { basename } from 'node:path'
import { types } from 'node:util'
import { type Cells, cellsOf, stepsOf } from '../data/cells'
import { ArrayDataset, conditioned, type DatasetContext, type FeedingDataset } from '../data/dataset'
import { fromAsyncIterable } from '../data/dataset-stream'
import { modelColumns, namesIn } from '../data/matching'
import { readingOf } from '../data/reading'
import {
  type Column,
  columnsOf,
  elementNames,
  type TableSchema,
  tableWidth,
  withContext
} from '../data/schema'
import { regularFile } from '../file/pipe'
import { type Batch, type RealArray, sizeOf } from '../native/batch'
import { boolean, fail, filePath, object } from '../native/check'
import { FfjordError } from '../native/errors'
import { choose, typed } from './choose-columns'
import { checkDegenerate } from './degenerate'
import { dequantize } from './dequantize'
import { RowEncoder } from './encode'
import { type FileOptions, fileKeys, normalize, type Settings } from './file-options'
import { openAgain } from './open-again'
import type { TableProfile } from './profile'
import { readingAhead } from './reading-ahead'
import { firstRepeated, type TableSource } from './source'

/** Rows of a file in memory, and what their columns hold. */
export class TableDataset extends ArrayDataset {
  /** Of the file, without its folder. */
  name?: string

  constructor(
    data: Batch,
    shape: readonly number[],
    override readonly schema: TableSchema,
    /** Rows left out, as `invalid: 'drop'` asked. */
    readonly dropped: number,
    named: boolean,
    context?: DatasetContext & { data: Batch },
    cells?: Cells
  ) {
    super(data, shape, named ? elementNames(schema.columns) : undefined, context, cells)
  }

  /** A category among the names stands for its elements, one a level; columns without names are x1, x2 … */
  override condition(names: readonly string[]): ArrayDataset {
    const { schema } = this
    const known = modelColumns(schema)
    for (const { name, atom } of known)
      if (atom && names.includes(name))
        fail(
          'CONTRADICTORY_OPTIONS',
          `column '${name}' has an atom (${atom.value}), and of a context no density is learnt; read the file without the atom`
        )
    const elements = names.flatMap((name) => {
      const category = known.find((column) => column.name === name && column.levels)
      return category ? elementNames([category]) : [name]
    })
    const columns = this.columns ?? (this.shape.length === 1 ? elementNames(schema.columns) : undefined)
    if (!columns) return super.condition(elements)
    const rows = conditioned(this, columns, elements)
    const context = columnsOf(schema.columns, elements)?.map(({ name }) => name)
    // Single levels of a category as the context leave columns that no schema describes.
    if (rows === this || !context) return rows
    return called(sameRows(rows, withContext(schema, context), this.dropped, true), this.name)
  }

  protected override like(
    data: Batch,
    context?: DatasetContext & { data: Batch },
    cells?: Cells
  ): TableDataset {
    const { shape, schema, dropped, columns } = this
    const rows = new TableDataset(data, shape, schema, dropped, columns !== undefined, context, cells)
    return called(rows, this.name)
  }
}

function called(rows: TableDataset, name: string | undefined): TableDataset {
  if (name !== undefined) rows.name = name
  return rows
}

function sameRows(
  { data, shape, context, contextData, cells }: ArrayDataset,
  schema: TableSchema,
  dropped: number,
  named: boolean
): TableDataset {
  const given = context && { ...context, data: contextData! }
  return new TableDataset(data, shape, schema, dropped, named, given, cells)
}

/** Reads a table: .csv, .tsv, .npy, .npz, .parquet, .h5, .arrow. @throws FfjordError with file, row and column */
export async function fromFile(path: string, options: FileOptions = {}): Promise<TableDataset> {
  return called(await readTable(path, options), basename(path))
}

/** The same where a pass over the file has found what its columns hold. */
export async function readTable(
  path: string,
  options: FileOptions,
  known?: TableProfile
): Promise<TableDataset> {
  const { source, columns, encoder, settings } = await openEncoder(path, options, { profile: known })
  const parts: RealArray[] = []
  const places: { first: number; kept: Uint32Array }[] = []
  let whole: RealArray | undefined
  let first = 0
  let filled = 0
  for await (const batch of encoder.batches()) {
    const encoded = encoder.encode(batch, first)
    places.push({ first, kept: encoded.kept })
    const kind = types.isFloat64Array(encoded.values) ? Float64Array : Float32Array
    if (source.rows !== undefined) whole ??= room(kind, source.rows * encoder.width, source)
    if (whole && !(whole instanceof kind)) {
      const wider = room(kind, whole.length, source)
      wider.set(whole)
      whole = wider
    }
    if (whole) whole.set(encoded.values, filled)
    else parts.push(encoded.values)
    filled += encoded.values.length
    first += batch.count
  }
  if (filled === 0)
    fail(
      'EMPTY_BATCH',
      `${source.path} has no rows${encoder.dropped ? ' that can be used' : ''}; give a file with at least one row`
    )
  const kind = encoder.needsFloat64 ? Float64Array : Float32Array
  const data = whole ? whole.subarray(0, filled) : joined(parts, room(kind, filled, source))
  const found = settings.schema
    ? [...columns]
    : columns.map((column, c) => typed(column, encoder.whole[c]!, settings))
  encoder.checkEnds(found)
  if (settings.checkColumns) checkDegenerate(source.path, elementNames(found), data)
  const cells = cellsOf(data, stepsOf(found))
  let start = 0
  for (const place of places) {
    const end = start + place.kept.length * encoder.width
    dequantize(
      found,
      { values: data.subarray(start, end), kept: place.kept },
      { first: place.first, seed: settings.seed }
    )
    start = end
  }
  const { schema } = settings
  const shape = settings.shape ?? source.shape ?? [encoder.width]
  const { named } = source
  if (!schema) {
    const table = tableOf(found, source, settings)
    return new TableDataset(data, shape, table, encoder.dropped, named, undefined, cells)
  }
  const { context = [], file, reading } = schema
  const all: TableSchema = { columns: found, ...(file && { file }), ...(reading && { reading }) }
  const rows = new TableDataset(data, shape, all, encoder.dropped, true, undefined, cells)
  if (context.length === 0) return rows
  const apart = withContext(
    all,
    context.map(({ name }) => name)
  )
  return sameRows(conditioned(rows, elementNames(found), elementNames(context)), apart, encoder.dropped, true)
}

/** Rows of a file that are read as they are used. */
export interface FileStream extends FeedingDataset {
  /** How many rows were left out of those read so far, which are ahead of those used. */
  readonly dropped: number
}

/**
 * Rows of a file as they stand in it, a batch at a time, for tables larger than memory; `repeat` starts over at the
 * end. Columns of whole numbers are dequantised by name alone, since types are known only once the file was read.
 */
export async function streamFile(
  path: string,
  options: FileOptions & { repeat?: boolean } = {}
): Promise<FileStream> {
  const { repeat: repeats, ...rest } = object(options, 'file options', [...fileKeys, 'repeat'])
  const repeat = boolean(repeats ?? false, 'repeat')
  const { path: file, source, columns, encoder, settings } = await openEncoder(path, rest as FileOptions)
  const wanted = {
    path: file,
    open: settings.open,
    columns: encoder.columns,
    encoder: encoder.options,
    seed: settings.seed,
    repeat
  }
  const { columns: own = columns, context: given = [] } = settings.schema ?? {}
  const shape = given.length > 0 ? [tableWidth(own)] : (settings.shape ?? source.shape ?? [encoder.width])
  let dropped = 0
  // What counts must not hold the data set, nor be held by it.
  const opened = () => {
    dropped = 0
    return readingAhead(wanted, (rows) => {
      dropped += rows
    })
  }
  const stream = fromAsyncIterable(opened, {
    shape,
    columns: elementNames(own),
    ...(given.length > 0 && { context: elementNames(given) }),
    schema: settings.schema ?? tableOf(columns, source, settings)
  })
  return Object.defineProperties(stream, {
    name: { value: basename(path), enumerable: true },
    dropped: { get: () => dropped, enumerable: true }
  }) as FileStream
}

/** Columns that were found in a file, with what is to be known of it. */
export function tableOf(columns: Column[], { names, named }: TableSource, { open }: Settings): TableSchema {
  const reading = readingOf(open)
  return { columns, file: { names, named }, ...(Object.keys(reading).length > 0 && { reading }) }
}

/** A file, the columns to take of it, and an encoder for their cells. */
export async function openEncoder(
  given: string,
  options: FileOptions,
  { profile, verbatim = false }: { profile?: TableProfile | undefined; verbatim?: boolean } = {}
) {
  const settings = normalize(options)
  const path = await regularFile(filePath(given))
  const opened = await openAgain(path, { ...settings.open, ...(verbatim && { verbatim }) }, settings.schema)
  const { source } = opened
  settings.open = { ...opened.open, skipRagged: settings.open.skipRagged }
  // Columns of a model keep its names, whatever those of the file are.
  const columns = settings.schema ? modelColumns(settings.schema) : await choose(source, settings, profile)
  const names = settings.schema && namesIn(source.path, source, settings.schema)
  const places = names ? columns.map((column, c) => ({ ...column, name: names[c]! })) : columns
  const twice = firstRepeated(elementNames(columns))
  if (twice !== undefined)
    fail(
      'INVALID_FILE',
      `${source.path} has a column '${twice}', which is also a level of a category; call one of them otherwise`
    )
  const width = tableWidth(columns)
  const shape = settings.shape ?? source.shape
  if (shape && sizeOf(shape) !== width)
    fail(
      'INVALID_SHAPE',
      `${source.path} has rows of ${width} numbers, and shape [${shape}] takes ${sizeOf(shape)}; make them agree`
    )
  const { drop, missing, precision, outside } = settings
  const encoder = new RowEncoder(source, places, {
    drop,
    ...(missing && { missing }),
    precision,
    outside,
    strict: settings.schema !== undefined,
    dequantizeWhole: settings.steps === true
  })
  return { path, source, columns, encoder, settings }
}

/** @throws FfjordError OUT_OF_MEMORY */
function room(
  Values: Float32ArrayConstructor | Float64ArrayConstructor,
  size: number,
  { path }: TableSource
): RealArray {
  try {
    return new Values(size)
  } catch (cause) {
    throw new FfjordError(
      'OUT_OF_MEMORY',
      `${path} holds ${size} numbers, for which there is no memory; stream it (streamFile, splitFile, --stream), or take ` +
        'fewer columns',
      { cause }
    )
  }
}

function joined(parts: RealArray[], all: RealArray): RealArray {
  let at = 0
  // Emptied from the front, so that parts are free as soon as they were copied.
  for (let part = parts.shift(); part; part = parts.shift()) {
    all.set(part, at)
    at += part.length
  }
  return all
}
