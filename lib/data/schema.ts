import { types } from 'node:util'
import { isReal } from '../native/batch'
import {
  boolean,
  choice,
  fail,
  isArray,
  isAttached,
  isObject,
  list,
  number,
  object,
  plain,
  show,
  text,
  texts
} from '../native/check'
import { type Atom, AtomCell } from './atom'
import { type CellType, isCellType } from './cell-type'
import { type Clock, isClock } from './clock'
import { checkReading, type Reading, readingKeys } from './reading'

/** What a column of a table holds, and how it enters a sample. */
export interface Column {
  name: string
  /** 'integer' where every value of the training data is whole. A category takes one element a level. */
  type: 'real' | 'integer' | 'category'
  /** Dequantised: values are multiples of it, and noise of U[0, step) is added to them. */
  step?: number
  /** Ends of the open interval that the values lie in; none where left out. */
  lower?: number
  upper?: number
  /** A value that many rows have exactly, and that has a probability in place of a density. */
  atom?: Atom
  /** The values of a category, in the order of its elements. */
  levels?: string[]
  /** The elements of the category are 0 and 1, without noise, as others are conditioned on it. */
  exact?: boolean
  /** What the file's cells mean, where it says so, and how its text writes dates; samples are written alike. */
  cells?: CellType
  /** How dates, times and durations are numbers. */
  clock?: Clock
  /** What stands for missing cells: a number of the sample, or a level. */
  fill?: number | string
}

/** How many scales of an atom's noise lie between its ends, at most: what lies there has to be told from 0. */
const MOST_SCALES = 30

/** All columns of a file, in its order. */
export interface FileColumns {
  /** x1, x2 … where the file has none. */
  names: readonly string[]
  /** Whether the names stand in the file. */
  named: boolean
}

/** The columns that a flow was trained on; model files keep it. */
export interface TableSchema {
  columns: Column[]
  /** Columns that the density is conditioned on, never dequantised. */
  context?: Column[]
  /** The training file, by whose places a file without names is read; unknown of models of before it was kept. */
  file?: FileColumns
  /** What was said of how the training file is read; it holds for further files, unless something else is said of them. */
  reading?: Reading
  /** Log-densities of the training rows: their quantiles at 0, 1/n … 1. */
  logProbQuantiles?: number[]
}

/** The schema with the columns named in `context` apart from the others. */
export function withContext(schema: TableSchema, context: readonly string[] = []): TableSchema {
  if (context.length === 0) return schema
  const columns = [...schema.columns, ...(schema.context ?? [])]
  return {
    ...schema,
    columns: columns.filter(({ name }) => !context.includes(name)),
    context: context.flatMap((name) => columns.filter((column) => column.name === name))
  }
}

/**
 * The columns of a context in the order that its elements, named as by `elementNames`, stand in; undefined where the
 * table does not know them all.
 */
export function orderedContext(
  table: TableSchema | undefined,
  elements: readonly string[]
): Column[] | undefined {
  return columnsOf(table?.context ?? [], elements)
}

/** Those of `columns` that `elements` are all elements of, in their order; undefined where some are left over. */
export function columnsOf(columns: readonly Column[], elements: readonly string[]): Column[] | undefined {
  const place = (column: Column) => elements.indexOf(elementNames([column])[0]!)
  const chosen = columns
    .filter((column) => elementNames([column]).every((element) => elements.includes(element)))
    .sort((a, b) => place(a) - place(b))
  return sameNames(elementNames(chosen), elements) ? chosen : undefined
}

export function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name, i) => name === others[i])
}

/** Elements of a sample that a column takes. */
export function columnWidth({ levels }: Column): number {
  return levels?.length ?? 1
}

export function tableWidth(columns: readonly Column[]): number {
  return columns.reduce((sum, column) => sum + columnWidth(column), 0)
}

/** Names of the elements of a sample: 'price', 'colour=red'. */
export function elementNames(columns: readonly Column[]): string[] {
  list(columns, 'columns', 'a list of columns like { name, type }').forEach((column, i) => {
    checkColumn(column, `columns[${i}]`)
  })
  return columns.flatMap(({ name, levels }) => levels?.map((level) => `${name}=${level}`) ?? [name])
}

/** Ends of the interval of every element, null where there is none; undefined where none has any. */
export function supportOf(
  columns: readonly Column[]
): { lower: (number | null)[]; upper: (number | null)[] } | undefined {
  const spread = (pick: (column: Column) => number | undefined) =>
    columns.flatMap((column) => Array<number | null>(columnWidth(column)).fill(pick(column) ?? null))
  const [lower, upper] = [spread((column) => column.lower), spread((column) => column.upper)]
  return [...lower, ...upper].some((end) => end !== null) ? { lower, upper } : undefined
}

/** The columns in `value`, a copy. */
export function checkColumns(value: unknown, name: string): Column[] {
  const columns = list(plain(value, name), name, 'a list of columns like { name, type }')
  if (columns.length === 0) fail('INVALID_OPTION', `${name} is []; give at least one column`)
  columns.forEach((column, i) => {
    checkColumn(column, `${name}[${i}]`)
  })
  return columns as Column[]
}

function checkColumn(column: unknown, name: string): void {
  if (!isObject(column))
    fail('INVALID_OPTION', `${name} is ${show(column)}; give a column like { name, type }`)
  for (const [key, value] of Object.entries(column))
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
      fail('INVALID_OPTION', `${name}.${key} is ${show(value)}; give what the type Column says`)
  text(column.name, `${name}.name`, 'its name')
  choice(column.type, `${name}.type`, ['real', 'integer', 'category'])
  for (const end of ['lower', 'upper']) if (column[end] !== undefined) number(column[end], `${name}.${end}`)
  if (column.step !== undefined) number(column.step, `${name}.step`, { least: 0, open: true })
  if (column.exact !== undefined) boolean(column.exact, `${name}.exact`)
  if (column.atom !== undefined) checkAtom(column as unknown as Column, `${name}.atom`)
  checkMeaning(column as unknown as Column, name)
  if (column.levels === undefined && column.type !== 'category') return
  if (texts(column.levels, `${name}.levels`, 'the names of the levels').length === 0)
    fail('INVALID_OPTION', `${name}.levels is []; give at least one level`)
}

function checkMeaning({ cells, clock, fill }: Partial<Column>, name: string): void {
  if (cells !== undefined && !(isObject(cells) && isCellType(cells)))
    fail('INVALID_OPTION', `${name}.cells is ${show(cells)}; give what fromFile found`)
  if (clock !== undefined && !isClock(clock))
    fail('INVALID_OPTION', `${name}.clock is ${show(clock)}; give { unit, origin } as fromFile found it`)
  if (fill !== undefined && typeof fill !== 'string') number(fill, `${name}.fill`)
}

function checkAtom(column: Column, name: string): void {
  const known = ['value', 'place', 'scale', 'cut', 'far'] as const
  const given = object(column.atom, name, [...known])
  for (const key of known) number(given[key], `${name}.${key}`)
  number(given.scale, `${name}.scale`, { least: 0, open: true })
  const { step, levels, exact, lower = -Infinity, upper = Infinity } = column
  if (step !== undefined || levels !== undefined || exact !== undefined)
    fail('INVALID_OPTION', `${name} stands beside a step, levels or exact; leave out either`)
  const { place, scale, cut, far } = column.atom!
  const between = (cut < place && place < far) || (far < place && place < cut)
  const cell = new AtomCell(column.atom!, column)
  const held =
    [0, 0.5, 1 - 2 ** -32].every((u) => {
      const x = cell.value(u)
      return x > lower && x < upper && Number.isFinite(Math.fround(x)) && Number.isFinite(cell.logWeight(x))
    }) && cell.beyondCut(cell.marker)
  if (!between || !held || Math.abs(far - cut) > MOST_SCALES * scale)
    fail(
      'INVALID_OPTION',
      `${name} has no room: its place, cut and far end are ${place}, ${cut} and ${far}, its scale ${scale}; take the columns ` +
        'as fromFile found them'
    )
}

/** The schema as a model file keeps it, a copy. @throws FfjordError on anything else */
export function checkSchema(value: unknown): TableSchema {
  const given = plain(value, 'table')
  if (!isObject(given))
    fail('INVALID_OPTION', `table is ${show(value)}; give the columns of a table, { columns }`)
  checkColumns(given.columns, 'table.columns')
  if (given.context !== undefined && !(isArray(given.context) && given.context.length === 0)) {
    const atom = checkColumns(given.context, 'table.context').findIndex((column) => column.atom)
    if (atom >= 0)
      fail(
        'INVALID_OPTION',
        `table.context[${atom}] has an atom; no density of a context is learnt: leave it out`
      )
  }
  if (given.logProbQuantiles !== undefined) numbersOf(given.logProbQuantiles, 'table.logProbQuantiles')
  checkFile(given as unknown as TableSchema)
  if (given.reading !== undefined)
    given.reading = checkReading(object(given.reading, 'table.reading', readingKeys))
  return given as unknown as TableSchema
}

/** A list of numbers, read once. */
export function numbersOf(values: unknown, name: string): ArrayLike<number> {
  if (isReal(values)) return values
  if (types.isTypedArray(values) && isAttached(values))
    return Float64Array.from(values as ArrayLike<number>, (one) => Number(one))
  return list(values, name, 'a list of numbers').map((one, i) => number(one, `${name}[${i}]`))
}

/** The training file has each name once, and those of the model among them. */
function checkFile({ columns, context = [], file }: TableSchema): void {
  if (file === undefined) return
  const names = isObject(file) && Array.isArray(file.names) ? new Set<unknown>(file.names) : undefined
  if (
    !names ||
    names.size !== file.names.length ||
    typeof file.named !== 'boolean' ||
    [...columns, ...context].some(({ name }) => !names.has(name))
  )
    fail(
      'INVALID_FILE',
      "the table's 'file' does not list the names of all columns, each once; leave it out, or write the model again"
    )
}

/** Names of columns that have none: x1, x2 … */
export function unnamed(columns: number): string[] {
  return Array.from({ length: columns }, (_, i) => `x${i + 1}`)
}
