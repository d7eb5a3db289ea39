import Papa from 'papaparse'
import type { Reading } from '../data/reading'
import { unnamed } from '../data/schema'
import { type Notation, notationOf, numberOf, plainly, unmistakable } from './notation'
import { CARRIAGE_RETURN } from './text-pieces'

/** What a text table leaves open, guessed from its first records: where rows start, what separates cells, and the names. */

export interface DelimitedOptions extends Omit<Reading, 'key'> {
  /** Leaves out rows whose number of cells differs from the first one's, in place of an error. @internal */
  skipRagged?: boolean
  /** Batches hold the cells as they stand in the file besides (`written`). @internal */
  verbatim?: boolean
}

export interface Dialect {
  delimiter: string
  /** Lines to pass over at the start. */
  skip: number
  /** What lines begin with that are to be passed over, where they are no rows. */
  comment: string | undefined
  names: string[]
  named: boolean
  /** Whether the first record holds the names. */
  header: boolean
  /** Whether every record ends with a delimiter after which nothing comes. */
  trailing: boolean
  /** What was guessed and is not plain to see, each with the option that says otherwise. */
  guesses: string[]
}

/** Cells that stand for nothing where nothing else is said. */
export const missingCells: readonly string[] = [
  '',
  ...[
    'NA',
    'N/A',
    'n/a',
    '<NA>',
    '#N/A',
    '#NA',
    'NaN',
    'nan',
    '-NaN',
    '-nan',
    'NaT',
    'null',
    'NULL',
    'None',
    '?',
    '\\N'
  ]
]

/** Records that are looked at. */
const PREVIEW = 100

/** How a text is written; undefined where it has no cells. `text` starts at the start of the file. */
export function dialectOf(
  path: string,
  text: string,
  lineEnd: number,
  options: DelimitedOptions
): Dialect | undefined {
  const end = String.fromCharCode(lineEnd)
  const lines = text.split(end, 4 * PREVIEW)
  const { said, comment, comments, title, ...start } = startOf(lines, options)
  const body = [...lines.entries()].filter(
    ([at, line]) => at >= start.skip && (comment === undefined || !line.startsWith(comment))
  )
  const rest = body.map(([, line]) => line).join(end)
  const delimiter =
    options.delimiter ?? said ?? (/\.(tsv|tab)$/i.test(path) ? '\t' : guessDelimiter(rest, end))
  const all = recordsOf(rest, delimiter, end)
  const before = options.skip === undefined && comments === 0 ? preamble(all) : 0
  // Comments between titles are lines to pass over, too.
  const passed = before > 0 ? body[all[before]!.line]![0] - start.skip : 0
  const [head, ...rows] = all
    .slice(before)
    .map(({ cells }) => cells.map((cell) => cell.trim()))
    .filter((cells) => cells.some((cell) => cell !== ''))
  if (!head) return undefined
  // R leaves the column of row names without one.
  const rowNames = options.header !== false && lacksName(head, rows)
  if (rowNames) head.unshift('')
  const trailing = endsBlank(head, rows)
  if (trailing && head.at(-1) === '') head.pop()
  const shown = trailing ? rows.map((cells) => cells.slice(0, -1)) : rows
  const meaning = new Meaning(options)
  const fromTitle =
    title === undefined || options.header === false ? undefined : titleNames(title, delimiter, head)
  const isHeader = rowNames || (options.header ?? meaning.areNames(head, shown))
  const hasTitle = fromTitle !== undefined && (!isHeader || head.every((cell) => meaning.isNumber(cell)))
  const header = isHeader && !hasTitle
  const names = (hasTitle ? fromTitle : header ? head : unnamed(head.length)).map(
    (name, i) => name || `x${i + 1}`
  )
  const first = shortened(head, delimiter)
  const guessed = options.header === undefined && !hasTitle
  const guesses = [
    passed > 0 &&
      `${passed} line${passed === 1 ? '' : 's'} before the table ${passed === 1 ? 'was' : 'were'} passed over; skip: 0 (--skip 0) ` +
        'reads them',
    rowNames &&
      'the first line has a name less than rows have cells: row names, as R writes them, are the first column, x1',
    trailing && 'every line ends with a separator after which nothing comes, which was passed over',
    hasTitle &&
      `the names were taken from line ${start.skip}, which begins with '${comment}'; header: false (--header no) passes it over`,
    guessed &&
      !header &&
      `the first line (${first}) was taken for a row, and the columns are x1, x2 …; header: true (--header yes) takes it for names`,
    guessed &&
      header &&
      head.some((cell) => meaning.isNumber(cell)) &&
      `the first line (${first}) was taken for names; header: false (--header no) takes it for a row`,
    comments > 0 &&
      options.comment === undefined &&
      `lines that begin with '${comment}' and are no rows are passed over, ${comments} of them at the start`,
    ...meaning.remarks(names, header ? shown : [head, ...shown])
  ].filter((guess) => guess !== false)
  const skip = start.skip + passed
  return { delimiter, skip, comment, names, named: header || hasTitle, header, trailing, guesses }
}

/** What stands before the table and can be told from its lines: a separator that is said, and comments. */
function startOf(lines: readonly string[], options: DelimitedOptions) {
  const said = options.skip === undefined ? /^sep=(.)\r?$/i.exec(lines[0]!)?.[1] : undefined
  let skip = said === undefined ? (options.skip ?? 0) : 1
  const comment = options.comment ?? (lines[skip]?.startsWith('#') ? '#' : undefined)
  const first = skip
  while (comment !== undefined && lines[skip]?.startsWith(comment)) skip++
  const comments = skip - first
  return {
    said,
    skip,
    comment,
    comments,
    /** The last comment, which may hold names. */
    title: comments > 0 ? lines[skip - 1]!.slice(comment!.length) : undefined
  }
}

function shortened(cells: readonly string[], delimiter: string): string {
  const text = cells.join(delimiter)
  return text.length > 60 ? `${text.slice(0, 60)}…` : text
}

interface TextRecord {
  cells: string[]
  /** The line that it starts on, counted from 0. */
  line: number
}

function recordsOf(text: string, delimiter: string, end: string): TextRecord[] {
  const spaced = delimiter === ' ' ? withSingleSpaces(text) : text
  const { data } = Papa.parse<string[]>(spaced, { delimiter, newline: end as '\n', preview: PREVIEW })
  let line = 0
  return data.map((cells) => {
    const start = line
    line += 1 + cells.reduce((sum, cell) => sum + cell.split(end).length - 1, 0)
    return { cells, line: start }
  })
}

/** Lines whose cells any number of spaces and tabs set apart, with one between them. */
export function withSingleSpaces(text: string): string {
  return text
    .replace(/[ \t]+/g, ' ')
    .replace(/(^|[\r\n]) /g, '$1')
    .replace(/ (?=[\r\n]|$)/g, '')
}

const candidates = ['\t', ';', '|', ',', '\x1e', '\x1f']

/** What cuts most records into as many cells, more than one; spaces where all of those are numbers. */
function guessDelimiter(text: string, end: string): string {
  let [best, most] = [',', 0]
  for (const delimiter of candidates) {
    const widths = recordsOf(text, delimiter, end)
      .filter(({ cells }) => cells.some((cell) => cell.trim() !== ''))
      .map(({ cells }) => cells.length)
    const width = commonest(widths.slice(Math.floor(widths.length / 2)))
    if (width === undefined || width < 2) continue
    const agreeing = widths.filter((one) => one === width).length / widths.length
    if (agreeing > most) [best, most] = [delimiter, agreeing]
  }
  const rows = recordsOf(text, ' ', end)
    .map(({ cells }) => cells)
    .filter((cells) => cells.length > 1 || cells[0] !== '')
  const width = rows.at(-1)?.length ?? 1
  const body = rows.slice(rows.length > 1 ? 1 : 0)
  const isNumber = (i: number) => (cells: readonly string[]) => !Number.isNaN(numberOf(cells[i]!))
  const isSpaced =
    width > 1 &&
    body.every((cells) => cells.length === width) &&
    [...body[0]!.keys()].every((i) => body.every(isNumber(i))) &&
    rows[0]!.length === width
  if (isSpaced && most < 1) return ' '
  // Text among numbers, under a line of names that lacks that of the row names, is R's.
  const isOfR =
    most === 0 && lacksName(rows[0] ?? [], body) && body[0]!.some((_, i) => body.every(isNumber(i)))
  return isOfR ? ' ' : best
}

function commonest(values: readonly number[]): number | undefined {
  const counts = new Map<number, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([, a], [, b]) => b - a)[0]?.[0]
}

/** How many records stand before a table: titles of one cell, and blank lines, above records of several cells each. */
function preamble(records: readonly TextRecord[]): number {
  const filled = (cells: readonly string[]) => cells.filter((cell) => cell.trim() !== '').length
  const lower = records.slice(Math.ceil(records.length / 2)).filter(({ cells }) => filled(cells) > 0)
  const width = lower[0]?.cells.length ?? 0
  if (width < 2 || lower.length < 2 || lower.some(({ cells }) => cells.length !== width)) return 0
  const isTitle = ({ cells }: TextRecord) =>
    filled(cells) === 0 ||
    (filled(cells) === 1 &&
      (cells.length < width || (width > 2 && cells[0]!.trim() !== '' && Number.isNaN(numberOf(cells[0]!)))))
  const start = records.findIndex((record) => !isTitle(record))
  return records.slice(0, Math.max(0, start)).some(({ cells }) => filled(cells) > 0) ? start : 0
}

function endsBlank(head: readonly string[], rows: readonly (readonly string[])[]): boolean {
  const width = rows[0]?.length ?? head.length
  if (width < 2 || !rows.every((cells) => cells.length === width && cells.at(-1) === '')) return false
  return rows.length > 0 && (head.length === width - 1 || (head.length === width && head.at(-1) === ''))
}

/** Whether a line of text has one cell less than all rows, which begin with names or with numbers that rise by one. */
function lacksName(head: readonly string[], rows: readonly (readonly string[])[]): boolean {
  const width = head.length + 1
  const first = rows.map((cells) => cells[0]!)
  const areNames = new Set(first).size === first.length && first.every((name) => Number.isNaN(numberOf(name)))
  return (
    rows.length > 1 &&
    (areNames || rise(first.map(Number))) &&
    rows.every((cells) => cells.length === width && cells.at(-1) !== '') &&
    head.every((cell) => cell !== '' && Number.isNaN(numberOf(cell)))
  )
}

/** Names in a line of comment right above the rows: '# size,year', as numpy.savetxt writes them. */
function titleNames(title: string, delimiter: string, head: readonly string[]): string[] | undefined {
  const text = delimiter === ' ' ? withSingleSpaces(title) : title
  const names = text.split(delimiter).map((name) => name.trim().replace(/^"(.*)"$/, '$1'))
  const fits =
    names.length === head.length && names.every((name) => name !== '' && Number.isNaN(numberOf(name)))
  return fits && new Set(names).size === names.length ? names : undefined
}

/** What cells are, as far as a look at the first of them tells. */
class Meaning {
  readonly #plain: (cell: string) => string
  readonly #missing: ReadonlySet<string>

  constructor(readonly options: DelimitedOptions) {
    this.#plain = hasNotation(options) ? plainly(options) : unmistakable
    this.#missing = new Set(options.missingCells ?? missingCells)
  }

  isNumber(cell: string): boolean {
    return !Number.isNaN(numberOf(this.#plain(cell)))
  }

  /**
   * Whether a line holds names: text above numbers; nothing but text; or whole numbers that rise by one, as pandas and years do,
   * and fractions below. Beside text years need no fractions below, but numbers that are no years, and three of any kind suffice.
   */
  areNames(head: readonly string[], rows: readonly (readonly string[])[]): boolean {
    const numbers = head.filter((cell) => this.isNumber(cell)).map(Number)
    const isText = (cell: string) => cell !== '' && !this.#missing.has(cell) && !this.isNumber(cell)
    const below = (i: number) =>
      rows.map((cells) => cells[i] ?? '').filter((cell) => !this.#missing.has(cell))
    const overNumbers = (i: number) => below(i).length > 0 && below(i).every((cell) => this.isNumber(cell))
    if (head.some((cell, i) => isText(cell) && overNumbers(i))) return true
    if (numbers.length === 0) return head.some((cell) => cell === '' || isText(cell))
    if (rows.length === 0) return head.some(isText)
    if (!rise(numbers)) return false
    const named = head.some(isText)
    const areUnlike = (test: (one: string) => boolean) =>
      head.every((cell, i) => !this.isNumber(cell) || (below(i).length > 0 && below(i).every(test)))
    if (areUnlike((one) => /[.,eE]/.test(one))) return numbers.length > 1 || numbers[0] === 0 || named
    if (!named || numbers.length < 2) return false
    // In a row of names, a level does not stand where levels stand below.
    const isLevel = head.some((cell, i) => isText(cell) && below(i).includes(cell))
    const places = [...head.keys()].filter((i) => this.isNumber(head[i]!))
    const risesBelow = rows.some((cells) => rise(places.map((i) => Number(cells[i]))))
    const areYears = numbers.every(isYear) && areUnlike((one) => !isYear(numberOf(this.#plain(one))))
    return !isLevel && (areYears || (numbers.length > 2 && !risesBelow))
  }

  /** Columns that are text and may be meant as something else. */
  remarks(names: readonly string[], rows: readonly (readonly string[])[]): string[] {
    return names.flatMap((name, i) => {
      const cells = rows.map((row) => row[i] ?? '')
      const there = cells.filter((cell) => !this.#missing.has(cell))
      const texts = there.filter((cell) => !this.isNumber(cell))
      const [first] = texts
      if (first === undefined) return []
      const notation = hasNotation(this.options) ? undefined : notationOf(there)
      if (notation !== undefined)
        return [`column '${name}' holds text like '${first}'; with ${notation} it holds numbers`]
      const word = cells.find((cell) => cell !== '' && this.#missing.has(cell))
      if (word === undefined || this.options.missingCells || texts.length < there.length) return []
      return [
        `cells '${word}' of column '${name}' were taken to be missing; missingCells: [''] (--missing-cells '') takes them for text`
      ]
    })
  }
}

function isYear(value: number): boolean {
  return Number.isInteger(value) && value >= 1800 && value <= 2200
}

/** Whether whole numbers rise by one. */
function rise(numbers: readonly number[]): boolean {
  return numbers.every((one, i) => Number.isInteger(one) && one === numbers[0]! + i)
}

export function hasNotation({ decimal, thousands, percent, currency }: Notation): boolean {
  return decimal === ',' || thousands !== undefined || percent === true || currency !== undefined
}

/** The character that ends lines. */
export function lineEndOf(lineEnd: number): '\n' | '\r' {
  return lineEnd === CARRIAGE_RETURN ? '\r' : '\n'
}
