import Papa from 'papaparse'
import { alike, type CellType, written } from '../data/cell-type'
import { fail } from '../native/check'
import { hasUnmistakable, isPlainFraction, numberOf, plainly, unmistakable } from './notation'
import { parseNumbers } from './numbers'
import {
  type CellBatch,
  checkColumns,
  firstRepeated,
  type HowToRead,
  MOST_COLUMNS,
  type TableSource,
  type TextPlace,
  within
} from './source'
import {
  type DelimitedOptions,
  type Dialect,
  dialectOf,
  hasNotation,
  lineEndOf,
  missingCells,
  withSingleSpaces
} from './text-dialect'
import { textOf } from './text-encoding'
import { firstRecords, LINE_FEED, pieces, separators } from './text-pieces'

/** Text tables (CSV, TSV) by Papa Parse, in pieces that end with a record. */

export async function openDelimited(path: string, options: DelimitedOptions = {}): Promise<TableSource> {
  const { encoding, delimiter } = options
  const { bytes, lineEnd } = await firstRecords(path, encoding, delimiter)
  const first = textOf(path, bytes, 1).replace('\x1a', '')
  checkWidth(path, first, lineEnd)
  const dialect = dialectOf(path, first, lineEnd, options)
  if (!dialect) return fail('EMPTY_BATCH', `${path} is empty; give a file with at least one row`)
  const { names } = dialect
  checkColumns(path, names.length)
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail(
      'INVALID_FILE',
      `${path} has two columns named '${repeated}'; give every column a name of its own, or read it without names: ` +
        `header: false, skip: ${dialect.skip + 1} (--header no --skip ${dialect.skip + 1})`
    )
  return new DelimitedTable(path, dialect, lineEnd, options)
}

class DelimitedTable implements TableSource {
  /** Line of the first row of each batch read. */
  #lines: { row: number; line: number; exact: number[] | undefined }[] = []
  /** Where the pieces behind the header began. */
  #places: TextPlace[] = []
  /** Rows that the last reading left out, as `skipRagged` asks. */
  ragged = 0
  readonly names: readonly string[]
  readonly named: boolean
  readonly types: readonly CellType[]
  readonly guesses: readonly string[]
  readonly #missing: ReadonlySet<string>

  constructor(
    readonly path: string,
    readonly dialect: Dialect,
    readonly lineEnd: number,
    readonly options: DelimitedOptions
  ) {
    this.names = dialect.names
    this.named = dialect.named
    this.types = alike(dialect.names.length, written)
    this.guesses = dialect.guesses
    this.#missing = new Set(options.missingCells ?? missingCells)
  }

  async *batches({ asText = false, range }: HowToRead = {}): AsyncGenerator<CellBatch> {
    let first = range?.from?.row ?? 0
    for await (const batch of this.#wholeBatches(asText, range?.from)) {
      const wanted = within(batch, first, range)
      first += batch.count
      if (wanted) yield wanted
      if (range && first >= range.end) return
    }
  }

  placeBefore(row: number): TextPlace | undefined {
    return this.#places.filter((one) => one.row <= row).at(-1)
  }

  async *#wholeBatches(asText: boolean, from: TextPlace | undefined): AsyncGenerator<CellBatch> {
    const { path, lineEnd, dialect, options, names } = this
    const { delimiter } = dialect
    const { encoding, verbatim = false } = options
    const isPlain = !asText && !verbatim && !hasNotation(options) && lineEnd === LINE_FEED
    this.#lines = []
    this.#places = []
    this.ragged = 0
    let { row, line, byte } = from ?? { row: 0, line: 1, byte: 0 }
    let [header, toSkip] = from ? [false, 0] : [dialect.header, dialect.skip]
    for await (const piece of pieces(path, { encoding, delimiter, lineEnd }, byte)) {
      let bytes = piece
      if (!header && toSkip === 0) this.#places.push({ row, line, byte })
      byte += piece.length
      for (; toSkip > 0 && bytes.length > 0; toSkip--, line++) {
        const end = bytes.indexOf(lineEnd)
        bytes = bytes.subarray(end < 0 ? bytes.length : end + 1)
      }
      if (bytes.length === 0) continue
      const numbers = !header && isPlain ? parseNumbers(bytes, delimiter, names.length) : undefined
      if (numbers) {
        const { values: matrix, digits } = numbers
        const count = matrix.length / names.length
        this.#lines.push({ row, line, exact: undefined })
        row += count
        line += count
        yield { count, matrix, digits }
        continue
      }
      const text = textOf(path, bytes, line)
      const { columns, lines, next, ...found } = this.#records(text, line, header)
      line = next
      header = found.header
      const count = lines.length
      if (count === 0) continue
      const dense = lines.at(-1)! - lines[0]! === count - 1
      this.#lines.push({ row, line: lines[0]!, exact: dense ? undefined : lines })
      row += count
      const fraction = this.#mixed(columns)
      if (fraction)
        fail(
          'INVALID_FILE',
          `${path}, line ${lines[fraction.row]!}, column ${fraction.column + 1} ('${names[fraction.column]}'): '${fraction.cell}' is no number ` +
            `of decimal: ','; ${this.#remedy(fraction.cell)}`
        )
      const plain = hasNotation(options) ? plainly(options) : hasUnmistakable(text) ? unmistakable : undefined
      const meant = columns.map((cells) => this.#meanings(cells, plain))
      yield { count, columns: meant, ...(verbatim && { written: columns }) }
    }
  }

  /** The cells of a text that starts in a line, by columns, the lines that their rows start in, and that of what follows. */
  #records(text: string, first: number, headed: boolean) {
    const { path, dialect, names, options } = this
    const { delimiter, comment, trailing } = dialect
    const width = names.length
    const parsed = delimiter === ' ' ? withSingleSpaces(text) : text
    const newline = lineEndOf(this.lineEnd)
    const { data, errors, starts } =
      options.comment === undefined
        ? { ...Papa.parse<string[]>(parsed, { delimiter, newline: newline as '\n' }), starts: undefined }
        : withoutComments(parsed, { delimiter, newline, comment: options.comment })
    // A quote that is not closed, or not where a cell ends, takes the lines up to another quote into its cell.
    const stray = errors.find(
      ({ code, row }) =>
        code === 'MissingQuotes' ||
        (code === 'InvalidQuotes' && data[row!]?.some((cell) => cell.includes('"') && cell.includes(newline)))
    )
    if (stray)
      fail(
        'INVALID_FILE',
        `${path}, line ${first + breaks(parsed.slice(0, stray.index), this.lineEnd)}: a cell opens with a quote that is not closed ` +
          'where a cell ends; close it, take it away, or write quotes within a cell twice and the cell in quotes'
      )
    // Only quotes can hold a line break within a record.
    const quoted = text.includes('"')
    const columns: string[][] = names.map(() => [])
    const lines: number[] = []
    let [line, header] = [first, headed]
    for (const [index, cells] of data.entries()) {
      if (starts) line = first + starts[index]!
      const at = line
      line += quoted ? 1 + cells.reduce((sum, cell) => sum + breaks(cell, this.lineEnd), 0) : 1
      // Lines end with a line feed, and many have a carriage return before it.
      const last = cells.at(-1)!
      if (last.endsWith('\r')) cells[cells.length - 1] = last.slice(0, -1)
      if (cells.length === 1 && cells[0]!.trim() === '') {
        // The last line of a piece ends with a break, after which nothing comes.
        if (index === data.length - 1) line--
        continue
      }
      if (header) {
        header = cells.every((cell) => cell.trim() === '')
        continue
      }
      if (trailing && cells.length === width + 1 && cells[width]!.trim() === '') cells.pop()
      if (cells.length !== width) {
        // What was guessed to be a comment is one unless it has the cells of a row, such as '#N/A,1'.
        if (comment !== undefined && cells[0]!.startsWith(comment)) continue
        if (options.skipRagged) {
          this.ragged++
          continue
        }
        fail(
          'INVALID_FILE',
          `${path}, line ${at}: ${cells.length} columns in place of ${width}; ${commentRemedy(cells[0]!)}${quoteRemedy(cells)}repair the line, or leave such ` +
            "rows out with invalid: 'drop'"
        )
      }
      for (let c = 0; c < width; c++) columns[c]!.push(cells[c]!)
      lines.push(at)
    }
    return { columns, lines, next: starts ? first + breaks(parsed, this.lineEnd) : line, header }
  }

  /** A cell that would be a fraction by its point, where a comma is the decimal sign; columns of text may have some. */
  #mixed(columns: readonly (readonly string[])[]): { row: number; column: number; cell: string } | undefined {
    if (this.options.decimal !== ',') return undefined
    const plain = plainly(this.options)
    for (const [column, cells] of columns.entries()) {
      const row = cells.findIndex(
        (cell) => isPlainFraction(cell) && plain(cell) === cell && !this.#missing.has(cell.trim())
      )
      if (row < 0) continue
      const present = cells.filter((cell) => cell.trim() !== '' && !this.#missing.has(cell.trim()))
      const texts = present.filter((cell) => Number.isNaN(numberOf(plain(cell))))
      const mixed = cells.some((cell) => cell.includes(',') && plain(cell) !== cell)
      if (mixed || 2 * texts.length <= present.length) return { row, column, cell: cells[row]! }
    }
    return undefined
  }

  #remedy(cell: string): string {
    const grouped = { ...this.options, thousands: '.' } as const
    const groups = this.options.thousands === undefined && plainly(grouped)(cell) !== cell
    return groups
      ? "say that its point groups digits, thousands: '.' (--thousands .), or write the fraction with a comma"
      : 'repair it'
  }

  #meanings(cells: readonly string[], plain: ((cell: string) => string) | undefined): (string | null)[] {
    return cells.map((cell) => (this.#missing.has(cell.trim()) ? null : plain ? plain(cell) : cell))
  }

  place(row: number): string {
    const piece = this.#lines.filter((one) => one.row <= row).at(-1)
    if (!piece) return `row ${row + 1}`
    return `line ${piece.exact?.[row - piece.row] ?? piece.line + row - piece.row}`
  }
}

/** The option under which a line that begins like a comment is one. */
function commentRemedy(first: string): string {
  const mark = /^(#|%|\/\/|;|!)/.exec(first)?.[0]
  return mark === undefined
    ? ''
    : `say that lines which begin so are comments, comment: '${mark}' (--comment '${mark}'), `
}

/** What to do where quotes of another dialect open no cell, or close none, so that separators within them cut it. */
function quoteRemedy(cells: readonly string[]): string {
  if (cells.some((cell) => /^\s+"/.test(cell)))
    return 'take away the spaces before quotes, which open a cell only where it begins; else '
  if (cells.some((cell) => /\\("|$)/.test(cell)))
    return 'write quotes within a cell twice ("") in place of \\"; else '
  return ''
}

/** The records of a text but for lines of comment, and the lines that they start on, counted from 0. */
function withoutComments(
  text: string,
  { delimiter, newline, comment }: { delimiter: string; newline: '\n' | '\r'; comment: string }
) {
  const [data, errors, starts]: [string[][], Papa.ParseError[], number[]] = [[], [], []]
  let [line, at] = [0, 0]
  Papa.parse<string[]>(text, {
    delimiter,
    newline: newline as '\n',
    comments: comment,
    step: ({ data: cells, errors: found, meta: { cursor } }) => {
      line += breaksIn(text.slice(at, cursor), newline)
      const ended = cursor > at && text[cursor - 1] === newline ? 1 : 0
      at = cursor
      starts.push(line - ended - cells.reduce((sum, cell) => sum + breaksIn(cell, newline), 0))
      errors.push(...found.map((error) => ({ ...error, row: data.length })))
      data.push(cells)
    }
  })
  return { data, errors, starts }
}

function breaks(cell: string, lineEnd: number): number {
  return breaksIn(cell, lineEndOf(lineEnd))
}

function breaksIn(text: string, end: string): number {
  let count = 0
  for (let i = text.indexOf(end); i >= 0; i = text.indexOf(end, i + 1)) count++
  return count
}

/** Refuses a first line of too many cells before it is cut into them, whatever separates them. */
function checkWidth(path: string, first: string, lineEnd: number): void {
  const end = first.indexOf(lineEndOf(lineEnd))
  const line = end < 0 ? first : first.slice(0, end)
  if (line.length < MOST_COLUMNS) return
  for (const separator of separators) {
    let cells = 1
    for (let i = line.indexOf(separator); i >= 0; i = line.indexOf(separator, i + 1)) cells++
    if (cells > MOST_COLUMNS) checkColumns(path, cells)
  }
}
