import { countedIn, isTime } from '../data/clock'
import { dateText, standardPattern } from '../data/date-text'
import { type Column, columnWidth, tableWidth } from '../data/schema'
import { regularFile } from '../file/pipe'
import { filePath, object } from '../native/check'
import { checkNames, choose, typed } from './choose-columns'
import { RowEncoder } from './encode'
import { type FileOptions, fileKeys, normalize, type Settings } from './file-options'
import { notationOf } from './notation'
import { openTable } from './open'
import {
  type ColumnProfile,
  datesInText,
  hasBrokenNumbers,
  MOST_LEVELS,
  profileTable,
  type TableProfile
} from './profile'
import { type Remark, remark, remarksOnRows } from './remarks'
import type { TableSource } from './source'
import { hasNotation } from './text-dialect'

/** What a column of a table holds, and what training does with it. */
export interface ColumnInspection {
  name: string
  /** In words: 'numbers', 'whole numbers', 'dates', 'text of 3 levels' … */
  type: string
  /** Cells that are missing. */
  missing: number
  /** Different values among the rows that were looked at; `atLeast` where the file has more rows. */
  distinct: { values: number; atLeast: boolean }
  /** The ends of numbers and dates, or levels, in words. */
  range: string
  use: 'learnt' | 'given' | 'left out'
  /** What training does with it, or why it leaves it out. */
  plan: string
  /** What a user should know before training. */
  suspicions: readonly Remark[]
  /** Why training would refuse the column, and the options that help. */
  problem?: { finding: string; remedy: string; options: FileOptions }
}

/** A table before training: its columns, and options of `fromFile` that make the best of them. */
export interface TableInspection {
  path: string
  rows: number
  /** Rows with missing cells in a column that is learnt, of those looked at. */
  incomplete: number
  /** Rows looked at for what is not counted. */
  lookedAt: number
  /** Numbers of a sample: one a column that is learnt, and one a level of categories. */
  width: number
  columns: readonly ColumnInspection[]
  /** What was guessed of the file, each a sentence. */
  guesses: readonly string[]
  /** The given options with what follows from the table: columns to leave out, categories, missing cells. */
  options: FileOptions
}

/**
 * Looks at all rows of a table, and says what each column holds and what training would do with it: numbers and dates are
 * learnt, text of few levels and booleans as categories; ids, row numbers, constants and other text are left out, unless the
 * options name them; rows with missing cells are dropped. @throws FfjordError where the file cannot be read
 */
export async function inspectFile(path: string, options: FileOptions = {}): Promise<TableInspection> {
  return (await inspectTable(path, options)).inspection
}

/** The same with what the pass over the file found, and the file to read next: a pipe is copied to one. */
export async function inspectTable(
  given: string,
  options: FileOptions
): Promise<{ inspection: TableInspection; profile: TableProfile; path: string }> {
  const chosen = object(options, 'file options', fileKeys)
  const full: FileOptions = { categorical: 'one-hot', missing: 'drop', ...chosen }
  const settings = normalize(full)
  const path = await regularFile(filePath(given))
  const source = await openTable(path, settings.open)
  checkNames(source, settings)
  const profile = await profileTable(source, settings.dayFirst)
  const { ragged = 0 } = source
  const named = explicit(settings)
  const excluded = new Set(settings.exclude)
  const wanted = settings.names && new Set(settings.names)
  const first = profile.columns.map((column): Verdict => {
    if (excluded.has(column.name)) return { leave: 'as --exclude asks' }
    if (wanted && !wanted.has(column.name)) return { leave: 'not among the columns to learn' }
    return verdict(column, profile.rows, settings, (row) => source.place(row))
  })
  const refused = profile.columns.filter(
    ({ name }, c) => first[c]!.problem || (first[c]!.leave !== undefined && !named.has(name))
  )
  const left = profile.columns.filter((column) => !refused.includes(column) && !excluded.has(column.name))
  const found = left.length > 0 ? await lookedAt(source, profile, settings, left) : undefined
  const columns = profile.columns.map((column, c): ColumnInspection => {
    const one = found?.columns.find(({ name }) => name === column.name)
    const remarks = found?.remarks.filter((remark) => remark.column === column.name) ?? []
    const why = remarks.find(({ kind }) => leavesOut.has(kind))
    const { problem, leave: reason } = first[c]!
    const keeps = named.has(column.name)
    const leave = keeps && !excluded.has(column.name) ? undefined : (reason ?? (why && shortly(why)))
    const use = leave !== undefined ? 'left out' : settings.context.includes(column.name) ? 'given' : 'learnt'
    return {
      name: column.name,
      type: typeInWords(column),
      missing: column.missing,
      distinct: distinctIn(column, profile, c),
      range: rangeOf(column),
      use,
      plan: leave ?? (problem ? 'refused' : planOf(one, column, settings)),
      suspicions: leave === undefined ? [...codes(column), ...remarks] : [],
      ...(problem && leave === undefined && { problem })
    }
  })
  const exclude = columns.filter(({ use }) => use === 'left out').map(({ name }) => name)
  const { columns: names, exclude: _, ...rest } = full
  const inspection: TableInspection = {
    path: source.path,
    rows: profile.rows + ragged,
    incomplete: found?.incomplete ?? 0,
    lookedAt: profile.sample.numbers.length,
    width: tableWidth(
      (found?.columns ?? []).filter(({ name }) =>
        columns.some((one) => one.name === name && one.use === 'learnt')
      )
    ),
    columns,
    guesses: source.guesses ?? [],
    options: {
      ...rest,
      ...(names ? { columns: names.filter((name) => !excluded.has(name)) } : { exclude })
    }
  }
  return { inspection, profile, path }
}

/** Whole numbers with zeros in front look like codes, of which sums and distances say nothing. */
function codes({ name, holds, whole, padded }: ColumnProfile): Remark[] {
  if (!padded || !whole || holds !== 'numbers') return []
  const finding = 'has whole numbers with zeros in front, as codes have, and is learnt as numbers'
  return [
    remark({ column: { name } }, 'id', finding, 'where they are codes, leave it out', { exclude: [name] })
  ]
}

/** Columns that the options name, which are taken whatever they hold. */
function explicit({ names, context, bounds, atoms, steps }: Settings): ReadonlySet<string> {
  const stepped = steps instanceof Map ? [...steps.keys()] : []
  return new Set([...(names ?? []), ...context, ...bounds.keys(), ...atoms.keys(), ...stepped])
}

interface Verdict {
  /** Why it is left out. */
  leave?: string
  problem?: { finding: string; remedy: string; options: FileOptions }
}

/** Fewer cells show no id. */
const LEAST_IDS = 20

/** What all cells of a column say about it. */
function verdict(
  column: ColumnProfile,
  rows: number,
  settings: Settings,
  place: (row: number) => string
): Verdict {
  const { holds, type, levels, numbers, texts, missing, least, largest, ends, inexact, ambiguous } = column
  if (holds === 'nothing') return { leave: 'every cell is missing' }
  if (holds === 'other') return { leave: `holds ${type.kind === 'other' ? type.name : 'no numbers'}` }
  if (inexact) return { leave: 'an id: whole numbers of more digits than float64 holds' }
  if (hasBrokenNumbers(column)) return settings.drop ? {} : { problem: broken(column, settings, place) }
  if (holds === 'numbers' && least === largest) return { leave: `a constant (${least})` }
  if (holds === 'times' && (ends ? ends[0] === ends[1] : least === largest)) return { leave: 'a constant' }
  if (holds !== 'numbers' && holds !== 'times' && levels.size === 1)
    return { leave: `a constant ('${[...levels.keys()][0]!}')` }
  // A column of which half of the cells are missing would take half of the rows with it.
  if (2 * missing > rows && settings.missing !== 'fill')
    return { leave: `${missing} of ${rows} cells are missing` }
  if (holds !== 'text') return {}
  if (ambiguous && ambiguous.length > 1)
    return {
      leave: `dates of which day and month may be either way round (${ambiguous.join(' or ')}; dayFirst: true or false)`
    }
  const cells = numbers + texts
  const everyCell = levels.size === Math.min(cells, MOST_LEVELS + 1) && cells >= LEAST_IDS
  const notation = hasNotation(settings.open) ? undefined : notationOf([...levels.keys()])
  if (notation !== undefined) return { leave: `numbers as text, which ${notation} reads` }
  const dates = datesInText(column)
  if (dates !== undefined) return { leave: dates }
  if (levels.size <= MOST_LEVELS && !everyCell) return {}
  const repeats = [...levels.values()].some((count) => count > 1)
  return {
    leave: repeats
      ? `text of more than ${MOST_LEVELS} levels`
      : 'an id or a remark: another text in every row'
  }
}

function broken(
  { name, numbers, texts, infinite, missing, firstText = '', firstTextRow, oneText, type }: ColumnProfile,
  settings: Settings,
  place: (row: number) => string
): NonNullable<Verdict['problem']> {
  const what = texts > 0 ? 'are no numbers' : 'are no finite numbers'
  const count = `column '${name}' has ${texts + infinite} of ${numbers + texts + infinite + missing} cells that ${what}`
  // A word that stands for nothing does so again and again.
  if (oneText && texts > 1 && infinite === 0 && type.kind === 'written')
    return {
      finding: `${count}, all of them '${firstText.slice(0, 40)}'`,
      remedy: 'say that it stands for missing ones, leave out such rows, or the column',
      options: { missingCells: [...(settings.open.missingCells ?? ['']), firstText], invalid: 'drop' }
    }
  return {
    finding: `${count}, such as '${firstText.slice(0, 40)}' in ${place(firstTextRow ?? 0)}`,
    remedy: 'leave out such rows, or the column',
    options: { invalid: 'drop' }
  }
}

const leavesOut: ReadonlySet<string> = new Set(['constant', 'row-number', 'id'])

function shortly({ kind, finding }: Remark): string {
  if (kind === 'row-number') return 'a row number or an index'
  return kind === 'id' ? 'an id' : finding.replace(/^column '.*?' is /, 'a constant: ')
}

/** The rows of the sample as training would have them, and what is remarkable about their columns. */
async function lookedAt(
  source: TableSource,
  profile: TableProfile,
  settings: Settings,
  left: readonly ColumnProfile[]
): Promise<{ columns: Column[]; remarks: Remark[]; incomplete: number }> {
  const names = new Set(left.map(({ name }) => name))
  const order = (settings.names ?? source.names).filter((name) => names.has(name))
  const chosen = await choose(source, { ...settings, names: order, exclude: [], atoms: new Map() }, profile)
  const encoder = new RowEncoder(source, chosen, {
    drop: true,
    missing: settings.missing === 'fill' ? 'fill' : 'drop',
    outside: 'keep',
    precision: 'float64',
    dequantizeWhole: settings.steps === true
  })
  const { cells, numbers } = profile.sample
  const { values, kept } = encoder.encode({ count: numbers.length, columns: cells }, 0)
  const profiles = new Map(left.map((one) => [one.name, one]))
  const columns = chosen.map((column, c) => {
    const found = profiles.get(column.name)
    const whole = found?.holds === 'numbers' ? found.whole : encoder.whole[c]!
    return typed(column, whole, settings)
  })
  const withoutAtoms = columns.filter(({ name }) => !settings.atoms.has(name))
  const remarks = remarksOnRows(
    [{ columns, data: values, width: tableWidth(columns), given: settings.context, noisy: false }],
    kept.length,
    Array.from(kept, (row) => numbers[row]!)
  ).filter(({ column }) => withoutAtoms.some(({ name }) => name === column))
  return { columns, remarks, incomplete: numbers.length - kept.length }
}

function typeInWords({ type, holds, whole, levels }: ColumnProfile): string {
  if (type.kind === 'decimal') return `decimals of ${type.scale} digits`
  switch (holds) {
    case 'numbers':
      return whole ? 'whole numbers' : 'numbers'
    case 'times':
      return type.kind === 'time' ? 'times' : type.kind === 'duration' ? 'durations' : 'dates'
    case 'booleans':
      return 'booleans'
    case 'text':
      return levels.size > MOST_LEVELS
        ? 'text'
        : `text of ${levels.size} level${levels.size === 1 ? '' : 's'}`
    case 'other':
      return type.kind === 'other' ? type.name : 'nested'
    default:
      return 'nothing'
  }
}

function distinctIn({ holds, levels }: ColumnProfile, { rows, sample }: TableProfile, c: number) {
  if ((holds === 'text' || holds === 'booleans') && levels.size <= MOST_LEVELS)
    return { values: levels.size, atLeast: false }
  const there = (sample.cells[c] ?? []).filter((cell) => cell !== null && cell !== undefined && cell !== '')
  // Nested cells are told apart by what they hold.
  const values = new Set(holds === 'other' ? [] : there).size
  return { values, atLeast: sample.numbers.length < rows }
}

function rangeOf({ type, holds, least, largest, levels, ends }: ColumnProfile): string {
  const short = (value: number) => String(+value.toPrecision(6))
  if (holds === 'numbers') return `${short(least)} to ${short(largest)}`
  if (holds === 'times' && isTime(type) && type.kind !== 'duration') {
    const text = (count: number) => dateText(standardPattern(type), count, type).replace(/[.]0+(?=Z|$)/, '')
    return `${text(least)} to ${text(largest)}`
  }
  if (ends) return `${ends[0]} to ${ends[1]}`
  if (holds === 'times') return `${short(least)} to ${short(largest)}`
  if (holds !== 'text' && holds !== 'booleans') return ''
  const names = [...levels.keys()].slice(0, 4).map((level) => level.slice(0, 20))
  return names.join(', ') + (levels.size > names.length ? ', …' : '')
}

function planOf(
  column: Column | undefined,
  { missing }: ColumnProfile,
  { missing: gaps, bounds }: Settings
): string {
  if (!column) return ''
  const { clock, step, levels } = column
  const filled = missing > 0 ? (gaps === 'fill' ? ', gaps filled' : ', rows with gaps dropped') : ''
  if (levels) return `a category of ${columnWidth(column)} levels${filled}`
  const counted = clock && countedIn(clock)
  const noise = step !== undefined ? `dequantised by ${step}` : ''
  const [lower, upper] = bounds.get(column.name) ?? [null, null]
  const ends = lower !== null || upper !== null ? `within (${lower ?? '−∞'}, ${upper ?? '∞'})` : ''
  return ([counted, ends, noise].filter(Boolean).join(', ') || 'as it is') + filled
}
