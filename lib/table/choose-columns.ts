import { type CellType, written } from '../data/cell-type'
import { type Clock, clockNumber, unitsIn } from '../data/clock'
import { readingsOf } from '../data/date-text'
import type { Column } from '../data/schema'
import { fail, nearest } from '../native/check'
import type { End, Settings } from './file-options'
import { withAtoms } from './place-atom'
import {
  type ColumnProfile,
  datesInText,
  hasBrokenNumbers,
  MOST_LEVELS,
  profileTable,
  type TableProfile
} from './profile'
import { isNumeric, numberReader } from './read-cell'
import { firstRepeated, type TableSource } from './source'

/**
 * The columns that the options ask for: dates become numbers, booleans categories, and so does text where that is wanted.
 * `known` is what a pass over the file has found before.
 */
export async function choose(
  source: TableSource,
  settings: Settings,
  known?: TableProfile
): Promise<Column[]> {
  const { names: wanted, exclude, bounds, steps, atoms } = settings
  checkNames(source, settings)
  const without = new Set(exclude)
  const names = (wanted ?? source.names).filter((name) => !without.has(name))
  if (names.length === 0) fail('INVALID_OPTION', `no column of ${source.path} is left; exclude fewer`)
  const profile =
    known ??
    ((await needsProfile(source, names, settings))
      ? await profileTable(source, settings.dayFirst)
      : undefined)
  const found = new Map(profile?.columns.map((one) => [one.name, one]))
  const sample = new Map(profile?.columns.map((one, c) => [one.name, profile.sample.cells[c]!]))
  const types = new Map(source.types.map((type, c) => [source.names[c]!, type]))
  const columns = names.map((name): Column => {
    const one = found.get(name)
    const type = types.get(name)!
    if (type.kind === 'other') refuseOther(source, name, type.name)
    const levels = one && levelsOf(source, one, settings)
    const cells = cellsOf(type, one)
    if (levels) {
      const fill = settings.missing === 'fill' && mostFrequent(one)
      const exact = settings.context.includes(name)
      return {
        name,
        type: 'category',
        levels,
        ...(exact && { exact }),
        ...(cells && { cells }),
        ...(fill && { fill })
      }
    }
    const clock = one?.clock
    const [lower, upper] = (bounds.get(name) ?? [null, null]).map((end) =>
      endOf(end, name, clock, one?.pattern)
    )
    if (lower !== undefined && upper !== undefined && !(lower < upper))
      fail(
        'INVALID_OPTION',
        `bounds of '${name}' are [${bounds.get(name)!.join(', ')}]; give the lower one first`
      )
    const step = typeof steps !== 'boolean' ? steps.get(name) : undefined
    const column: Column = {
      name,
      type: 'real',
      ...(lower !== undefined && { lower }),
      ...(upper !== undefined && { upper }),
      ...(step !== undefined && { step }),
      ...(cells && { cells }),
      ...(clock && { clock })
    }
    const fill = settings.missing === 'fill' ? medianOf(column, type, sample.get(name) ?? []) : undefined
    return fill === undefined ? column : { ...column, fill }
  })
  const given = settings.context.find((name) => atoms.has(name))
  if (given !== undefined)
    fail(
      'CONTRADICTORY_OPTIONS',
      `column '${given}' is a context, of which no density is learnt; leave out its atom (${atoms.get(given)})`
    )
  return withAtoms(source, columns, atoms)
}

/** An end of an interval as a number of the column: a date or a time by its clock. */
function endOf(
  end: End,
  name: string,
  clock: Clock | undefined,
  pattern: string | undefined
): number | undefined {
  if (end === null || typeof end === 'number') return end ?? undefined
  // A time of day is no date, though both are counted.
  const isAlike = readingsOf(end).some((one) => one.pattern.includes('Y') === (clock?.origin !== undefined))
  const value = clock && isAlike ? clockNumber(clock, written, pattern)(end) : undefined
  if (value !== undefined && !Number.isNaN(value)) return value
  return fail(
    'INVALID_OPTION',
    clock
      ? `an end of '${name}' is '${end}'; write it as ${pattern ?? '2024-05-31, or 12:30 where the column holds times of day'}`
      : `an end of '${name}' is '${end}', and the column holds no dates or times; give a number`
  )
}

/** Whether a pass over the file is needed to know what its columns are. */
async function needsProfile(
  source: TableSource,
  names: readonly string[],
  { categorical, missing }: Settings
): Promise<boolean> {
  const wanted = new Set(names)
  const places = source.names.flatMap((name, c) => (wanted.has(name) ? [c] : []))
  const kinds = new Set(places.map((c) => source.types[c]!.kind))
  const untold = kinds.has('written')
  if (missing === 'fill' || (untold && categorical === 'one-hot')) return true
  if (['boolean', 'date', 'time', 'timestamp', 'duration', 'text'].some((kind) => kinds.has(kind as 'text')))
    return true
  if (!untold) return false
  // Dates are text, and text shows in the first rows.
  for await (const batch of source.batches())
    return 'columns' in batch && places.some((c) => Array.prototype.some.call(batch.columns[c]!, isText))
  return false
}

function isText(cell: unknown): boolean {
  return typeof cell === 'string' && !isNumeric(cell)
}

function refuseOther({ path }: TableSource, name: string, what: string): never {
  return fail(
    'UNSUPPORTED_FILE',
    `${path}, column '${name}' holds ${what}, which are no numbers of a row; leave it out (exclude: ['${name}'])`
  )
}

/** What the model notes of the type; of text files, how they write dates and numbers. */
function cellsOf(type: CellType, profile: ColumnProfile | undefined): CellType | undefined {
  if (type.kind !== 'written') return type
  const { pattern, holds, digits, fixed, width } = profile ?? {}
  if (pattern !== undefined) return { kind: 'written', pattern }
  if (holds === 'numbers' && width !== undefined) return { kind: 'written', width }
  if (holds === 'numbers' && fixed !== undefined) return { kind: 'written', digits: fixed, fixed: true }
  return holds === 'numbers' && digits !== undefined && digits > 0 ? { kind: 'written', digits } : undefined
}

/** The levels of a category; undefined for columns that are numbers. @throws FfjordError for text with too many levels */
function levelsOf(
  { path, named }: TableSource,
  profile: ColumnProfile,
  { categorical, drop }: Settings
): string[] | undefined {
  const { name, holds, levels } = profile
  // Matrices of booleans stay one number each.
  if (holds === 'booleans') return named ? ['false', 'true'] : undefined
  if (holds !== 'text' || categorical === 'refuse') return undefined
  if (drop && hasBrokenNumbers(profile)) return undefined
  if (levels.size <= MOST_LEVELS) return [...levels.keys()]
  const everyRow = [...levels.values()].every((count) => count === 1)
  const dates = datesInText(profile)
  const what = dates
    ? `${dates}, or`
    : everyRow
      ? 'another text in every row, an id or a remark;'
      : `text of more than ${MOST_LEVELS} levels;`
  return fail('INVALID_FILE', `${path}, column '${name}' holds ${what} leave it out (exclude: ['${name}'])`)
}

function mostFrequent({ levels }: ColumnProfile): string | undefined {
  let best: [string | undefined, number] = [undefined, 0]
  for (const [level, count] of levels) if (count > best[1]) best = [level, count]
  return best[0]
}

/** The lower one of the middle values, which is one of the column's own. */
function medianOf(column: Column, type: CellType, cells: readonly unknown[]): number | undefined {
  const number = numberReader(column, type)
  const values = Float64Array.from(cells, number).filter(Number.isFinite).sort()
  return values.length > 0 ? values[(values.length - 1) >> 1] : undefined
}

/** @throws FfjordError where the options name columns that are not there, or one twice */
export function checkNames(source: TableSource, { names, exclude, bounds, steps, atoms }: Settings): void {
  const withSteps = typeof steps !== 'boolean' ? steps.keys() : []
  const there = new Set(source.names)
  for (const name of [...(names ?? []), ...exclude, ...bounds.keys(), ...withSteps, ...atoms.keys()])
    if (!there.has(name)) unknown(source, name)
  const twice = firstRepeated(names ?? [])
  if (twice !== undefined) fail('INVALID_OPTION', `columns names '${twice}' twice; name it once`)
}

function unknown({ path, names }: TableSource, name: string): never {
  const near = nearest(name, names)
  const shown = names.slice(0, 20).join(', ') + (names.length > 20 ? ', …' : '')
  return fail(
    'INVALID_OPTION',
    `${path} has no column '${name}'; ${near ? `did you mean '${near}'?` : `it has ${shown}`}`
  )
}

/** The column with the type that its values showed. */
export function typed(column: Column, whole: boolean, { steps, context }: Settings): Column {
  if (column.type === 'category' || !whole) return column
  // Moments that a file tells more finely than seconds do not repeat.
  if (column.clock && unitsIn(column.clock.unit, 'second') < 1) return column
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
