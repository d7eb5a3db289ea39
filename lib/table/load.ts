import { types } from 'node:util'
import { type Cells, cellsOf, stepsOf } from '../data/cells'
import { ArrayDataset, conditioned, type DatasetContext, type FeedingDataset } from '../data/dataset'
import { fromAsyncIterable } from '../data/dataset-stream'
import { modelColumns, namesIn } from '../data/matching'
import {
  type Column,
  checkSchema,
  columnsOf,
  elementNames,
  type TableSchema,
  tableWidth,
  withContext
} from '../data/schema'
import { regularFile } from '../file/pipe'
import { type Batch, checkShape, type RealArray, sizeOf } from '../native/batch'
import {
  boolean,
  choice,
  fail,
  filePath,
  integer,
  isObject,
  list,
  nearest,
  number,
  object,
  plain,
  show,
  text,
  texts
} from '../native/check'
import { FfjordError } from '../native/errors'
import { checkDegenerate } from './degenerate'
import { dequantize, isDateText, isNumeric, levelOf, RowEncoder } from './encode'
import type { OpenOptions } from './formats'
import { openTable } from './open'
import { withAtoms } from './place-atom'
import { readingAhead } from './reading-ahead'
import { firstRepeated, type TableSource } from './source'

export interface FileOptions extends Omit<OpenOptions, 'skipRagged' | 'verbatim'> {
  /** Of one sample; default: the columns, or all axes but the first of an array of more than two. */
  shape?: readonly number[]
  /** The columns to read, in this order; default: all. */
  columns?: readonly string[]
  /** Columns to leave out. */
  exclude?: readonly string[]
  /** What happens to columns of text: an error, or one element a level. Default: 'refuse'. */
  categorical?: 'refuse' | 'one-hot'
  /** What happens to rows with missing, infinite or misplaced values, or of another length. Default: 'refuse'. */
  invalid?: 'refuse' | 'drop'
  /** Open intervals that the values of columns lie in, null for no end. */
  bounds?: Readonly<Record<string, readonly [number | null, number | null]>>
  /**
   * Adds U[0, step) to columns of multiples of a step: true for all columns of whole numbers, or a step by name. Levels
   * of text are always dequantised. Default: false.
   */
  dequantize?: boolean | Readonly<Record<string, number>>
  /**
   * A value by column that many rows have exactly, such as 0 in most of them. It gets a probability, and the column's other values a density:
   * scores of its rows are logarithms of the product of both.
   */
  atoms?: Readonly<Record<string, number>>
  /** Columns that others are conditioned on (`condition`): no noise is added to them, nor to levels of theirs. */
  context?: readonly string[]
  /** Of the noise of dequantisation. Default: 0. */
  seed?: number
  /** Refuse constant and repeated columns, of which no density exists. Default: false. */
  checkColumns?: boolean
  /** The columns of a model (flow.table) and its context, in place of all choices above but `invalid`. */
  schema?: TableSchema
  /**
   * Of the rows. Default: 'auto', float32 until a value comes that it does not hold: a whole number or one of up to four
   * digits after the point that would change (beyond 2²⁴: epoch seconds, ten-digit ids, amounts in cents), a column whose
   * last float32 digit is more than a millionth of what it varies by, or more than a hundredth of its step.
   */
  precision?: 'auto' | 'float32' | 'float64'
  /** What happens to values outside of `bounds`: an error, or they are kept, for scores of −∞. Default: 'refuse'. */
  outside?: 'refuse' | 'keep'
}

export const fileKeys = [
  'header',
  'delimiter',
  'key',
  'timeout',
  'shape',
  'columns',
  'exclude',
  'categorical',
  'invalid',
  'bounds',
  'dequantize',
  'atoms',
  'context',
  'seed',
  'checkColumns',
  'schema',
  'precision',
  'outside'
]

/** Seconds that a timer takes. */
const LONGEST_TIMEOUT = 2_000_000

/** Most levels of a category: each takes an element of a sample. */
const MOST_LEVELS = 64

/** Rows of a file in memory, and what their columns hold. */
export class TableDataset extends ArrayDataset {
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
    return sameRows(rows, withContext(schema, context), this.dropped, true)
  }

  protected override like(
    data: Batch,
    context?: DatasetContext & { data: Batch },
    cells?: Cells
  ): TableDataset {
    const { shape, schema, dropped, columns } = this
    return new TableDataset(data, shape, schema, dropped, columns !== undefined, context, cells)
  }
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
  const { source, columns, encoder, settings } = await openEncoder(path, options)
  const parts: RealArray[] = []
  const places: { first: number; kept: Uint32Array }[] = []
  let whole: RealArray | undefined
  let first = 0
  let filled = 0
  for await (const batch of source.batches()) {
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
  const { names, named } = source
  if (!schema)
    return new TableDataset(
      data,
      shape,
      { columns: found, file: { names, named } },
      encoder.dropped,
      named,
      undefined,
      cells
    )
  const { context = [], file } = schema
  const all: TableSchema = { columns: found, ...(file && { file }) }
  const rows = new TableDataset(data, shape, all, encoder.dropped, true, undefined, cells)
  if (context.length === 0) return rows
  const apart = withContext(
    all,
    context.map(({ name }) => name)
  )
  return sameRows(conditioned(rows, elementNames(found), elementNames(context)), apart, encoder.dropped, true)
}

/**
 * Rows of a file as they stand in it, a batch at a time, for tables larger than memory; `repeat` starts over at the
 * end. Columns of whole numbers are dequantised by name alone, since types are known only once the file was read.
 */
export async function streamFile(
  path: string,
  options: FileOptions & { repeat?: boolean } = {}
): Promise<FeedingDataset> {
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
  return fromAsyncIterable(() => readingAhead(wanted), {
    shape,
    columns: elementNames(own),
    ...(given.length > 0 && { context: elementNames(given) }),
    schema: settings.schema ?? { columns, file: { names: source.names, named: source.named } }
  })
}

/** A file, the columns to take of it, and an encoder for their cells. */
export async function openEncoder(given: string, options: FileOptions) {
  const settings = normalize(options)
  const path = await regularFile(filePath(given))
  const source = await openTable(path, settings.open)
  // Columns of a model keep its names, whatever those of the file are.
  const columns = settings.schema ? modelColumns(settings.schema) : await choose(source, settings)
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
  const { drop, precision, outside } = settings
  const encoder = new RowEncoder(source, places, {
    drop,
    precision,
    outside,
    strict: settings.schema !== undefined,
    dequantizeWhole: settings.steps === true
  })
  return { path, source, columns, encoder, settings }
}

function normalize(options: FileOptions) {
  const given = object(options, 'file options', fileKeys)
  const optional = <T>(key: keyof FileOptions, check: (value: unknown, name: string) => T) =>
    given[key] === undefined ? undefined : check(given[key], key)
  const names = (value: unknown, name: string) => texts(value, name, 'a list of the names of columns')
  const header = optional('header', boolean)
  const delimiter = optional('delimiter', (value, name) => text(value, name, "a character like ';'"))
  const key = optional('key', (value, name) => text(value, name, 'the name of an array in the file'))
  const timeout = optional('timeout', (value, name) =>
    number(value, name, { least: 0, most: LONGEST_TIMEOUT, open: true })
  )
  const steps = plain(given.dequantize ?? false, 'dequantize')
  if (typeof steps !== 'boolean' && !isObject(steps))
    fail('INVALID_OPTION', `dequantize is ${show(steps)}; give true, or a step by name`)
  if (isObject(steps))
    for (const [name, step] of Object.entries(steps))
      number(step, `dequantize.${name}`, { least: 0, open: true })
  const drop = choice(given.invalid ?? 'refuse', 'invalid', ['refuse', 'drop']) === 'drop'
  return {
    open: {
      ...(header !== undefined && { header }),
      ...(delimiter && { delimiter }),
      ...(key && { key }),
      ...(timeout !== undefined && { timeout }),
      skipRagged: drop
    },
    shape: optional('shape', checkShape),
    names: optional('columns', names),
    exclude: optional('exclude', names) ?? [],
    categorical: choice(given.categorical ?? 'refuse', 'categorical', ['refuse', 'one-hot']),
    drop,
    // Columns may be called like what objects inherit.
    bounds: optional('bounds', checkBounds) ?? new Map<string, Bounds>(),
    atoms: optional('atoms', checkAtoms) ?? new Map<string, number>(),
    steps: isObject(steps) ? new Map(Object.entries(steps) as [string, number][]) : steps,
    context: optional('context', names) ?? [],
    seed: integer(given.seed ?? 0, 'seed'),
    checkColumns: optional('checkColumns', boolean) ?? false,
    schema: optional('schema', checkSchema),
    precision: choice(given.precision ?? 'auto', 'precision', ['auto', 'float32', 'float64']),
    outside: choice(given.outside ?? 'refuse', 'outside', ['refuse', 'keep'])
  }
}

type Settings = ReturnType<typeof normalize>
type Bounds = readonly [number | null, number | null]

/** Ends of intervals by the names of columns, which may be called like what objects inherit. */
function checkBounds(value: unknown): Map<string, Bounds> {
  if (!isObject(value)) fail('INVALID_OPTION', `bounds is ${show(value)}; give { column: [lower, upper] }`)
  return new Map(
    Object.entries(value).map(([name, given]) => {
      const ends = list(given, `bounds.${name}`, '[lower, upper], null where there is no end')
      if (ends.length !== 2)
        fail(
          'INVALID_OPTION',
          `bounds.${name} is ${show(given)}; give [lower, upper], null where there is no end`
        )
      const [lower, upper] = ends.map((end, i) => (end === null ? null : number(end, `bounds.${name}[${i}]`)))
      return [name, [lower!, upper!]]
    })
  )
}

function checkAtoms(value: unknown): Map<string, number> {
  const given = plain(value, 'atoms')
  if (!isObject(given)) fail('INVALID_OPTION', `atoms is ${show(value)}; give { column: value }`)
  return new Map(Object.entries(given).map(([name, one]) => [name, number(one, `atoms.${name}`)]))
}

/** The columns that the options ask for; text columns become categories where that is wanted. */
async function choose(source: TableSource, settings: Settings): Promise<Column[]> {
  const { names: wanted, exclude, bounds, steps, atoms } = settings
  const withSteps = typeof steps !== 'boolean' ? steps.keys() : []
  const there = new Set(source.names)
  for (const name of [...(wanted ?? []), ...exclude, ...bounds.keys(), ...withSteps, ...atoms.keys()])
    if (!there.has(name)) unknown(source, name)
  const without = new Set(exclude)
  const names = (wanted ?? source.names).filter((name) => !without.has(name))
  const twice = firstRepeated(names)
  if (twice !== undefined) fail('INVALID_OPTION', `columns names '${twice}' twice; name it once`)
  if (names.length === 0) fail('INVALID_OPTION', `no column of ${source.path} is left; exclude fewer`)
  const levels = settings.categorical === 'one-hot' ? await findLevels(source, names) : new Map()
  const columns = names.map((name): Column => {
    const exact = settings.context.includes(name)
    if (levels.has(name))
      return { name, type: 'category', levels: levels.get(name) as string[], ...(exact && { exact }) }
    const [lower, upper] = bounds.get(name) ?? [null, null]
    if (lower !== null && upper !== null && !(lower < upper))
      fail('INVALID_OPTION', `bounds of '${name}' are [${lower}, ${upper}]; give the lower one first`)
    const step = typeof steps !== 'boolean' ? steps.get(name) : undefined
    return {
      name,
      type: 'real',
      ...(lower !== null && { lower }),
      ...(upper !== null && { upper }),
      ...(step !== undefined && { step })
    }
  })
  const given = settings.context.find((name) => atoms.has(name))
  if (given !== undefined)
    fail(
      'CONTRADICTORY_OPTIONS',
      `column '${given}' is a context, of which no density is learnt; leave out its atom (${atoms.get(given)})`
    )
  return withAtoms(source, columns, atoms)
}

function unknown({ path, names }: TableSource, name: string): never {
  const near = nearest(name, names)
  const shown = names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '')
  return fail(
    'INVALID_OPTION',
    `${path} has no column '${name}'; ${near ? `did you mean '${near}'?` : `it has ${shown}`}`
  )
}

/** Levels of the columns that hold text, in order; a pass over the file. */
async function findLevels(source: TableSource, names: readonly string[]): Promise<Map<string, string[]>> {
  const levels = new Map(names.map((name) => [name, new Set<string>()]))
  const text = new Set<string>()
  const places = new Map(source.names.map((name, i) => [name, i]))
  /** Cells of each column until it had too many levels. */
  const cellsOf = new Map<string, number>()
  for await (const batch of source.batches()) {
    if (!('columns' in batch)) break
    for (const [name, seen] of levels) {
      const cells = batch.columns[places.get(name)!]!
      if (!Array.isArray(cells)) continue
      for (const cell of cells as unknown[]) {
        if (!text.has(name) && !isNumeric(cell)) text.add(name)
        if (seen.size <= MOST_LEVELS) {
          const level = levelOf(cell)
          if (level === undefined) continue
          seen.add(level)
          cellsOf.set(name, (cellsOf.get(name) ?? 0) + 1)
        }
      }
    }
  }
  return new Map(
    [...text].map((name) => {
      const found = [...levels.get(name)!].sort()
      if (found.length > MOST_LEVELS) {
        const everyRow = cellsOf.get(name) === found.length
        const what = isDateText(found[0]!)
          ? 'dates as text; give what may matter as numbers (days since a first day, month, hour), or'
          : everyRow
            ? 'another text in every row, an id or a remark;'
            : `text of more than ${MOST_LEVELS} levels;`
        fail(
          'INVALID_FILE',
          `${source.path}, column '${name}' holds ${what} leave it out (exclude: ['${name}'])`
        )
      }
      return [name, found]
    })
  )
}

/** The column with the type that its values showed. */
export function typed(column: Column, whole: boolean, { steps, context }: Settings): Column {
  if (column.type === 'category' || !whole) return column
  if (column.atom && steps === true)
    fail(
      'CONTRADICTORY_OPTIONS',
      `column '${column.name}' has whole numbers and is dequantised, so that each of them has a probability already; leave out ` +
        `its atom (${column.atom.value})`
    )
  const step =
    steps === true && column.step === undefined && !context.includes(column.name) ? { step: 1 } : {}
  return { ...column, type: 'integer', ...step }
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
