import { open } from 'node:fs/promises'
import Papa from 'papaparse'
import { alike, type CellType, written } from '../data/cell-type'
import { unnamed } from '../data/schema'
import { unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { parseNumbers } from './numbers'
import { checkColumns, firstRepeated, MOST_COLUMNS, type RowBatch, type TableSource } from './source'

/** Text tables (CSV, TSV) by Papa Parse, in pieces that end with a record. */

const PIECE = 2 ** 22 // bytes
/** Of one record, in bytes: a million cells of 60 digits. */
const MOST_RECORD = 2 ** 26
/** What may lie between cells where nothing else is said. */
const separators = ',;\t|\x1e\x1f'
const QUOTE = 34
const BREAK = 10

/** Cells that stand for nothing. */
const missing = new Set(['', 'NA', 'N/A', 'NaN', 'nan', 'null', 'NULL', 'None', '?'])

export function isMissingText(text: string): boolean {
  return missing.has(text)
}

export interface DelimitedOptions {
  /** Whether the first line holds names. Default: it does where one of its cells is no number. */
  header?: boolean
  /** What separates cells; default: found from the first lines. */
  delimiter?: string
  /** Of rows whose number of cells differs from the first one's: leave out in place of an error. */
  skipRagged?: boolean
  /** Batches hold the cells as they stand in the file besides (`written`). Default: false. */
  verbatim?: boolean
}

export async function openDelimited(path: string, options: DelimitedOptions = {}): Promise<TableSource> {
  const first = await firstRecords(path, options.delimiter)
  checkWidth(path, first)
  const { data, meta } = Papa.parse<string[]>(first, {
    delimiter: options.delimiter ?? (/\.(tsv|tab)$/i.test(path) ? '\t' : ''),
    skipEmptyLines: 'greedy',
    preview: 20
  })
  const head = data[0]?.map((cell) => cell.trim())
  if (!head) return fail('EMPTY_BATCH', `${path} is empty; give a file with at least one row`)
  const named =
    options.header ?? head.some((cell) => cell === '' || (!isMissingText(cell) && Number.isNaN(Number(cell))))
  const names = named ? head.map((name, i) => name || `x${i + 1}`) : unnamed(head.length)
  checkColumns(path, names.length)
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  return new DelimitedTable(
    path,
    names,
    named,
    meta.delimiter,
    options.skipRagged ?? false,
    options.verbatim ?? false
  )
}

class DelimitedTable implements TableSource {
  /** Line of the first row of each batch read. */
  #lines: { row: number; line: number; exact: number[] | undefined }[] = []
  readonly types: readonly CellType[]

  constructor(
    readonly path: string,
    readonly names: readonly string[],
    readonly named: boolean,
    readonly delimiter: string,
    readonly skipRagged: boolean,
    readonly verbatim: boolean
  ) {
    this.types = alike(names.length, written)
  }

  async *batches(): AsyncGenerator<RowBatch> {
    const width = this.names.length
    this.#lines = []
    let row = 0
    let line = 1
    let header = this.named
    for await (const bytes of pieces(this.path, this.delimiter)) {
      if (!header && !this.verbatim) {
        const matrix = parseNumbers(bytes, this.delimiter, width)
        if (matrix) {
          const count = matrix.length / width
          this.#lines.push({ row, line, exact: undefined })
          row += count
          line += count
          yield { count, matrix }
          continue
        }
      }
      const text = textOf(bytes)
      const { data } = Papa.parse<string[]>(text, { delimiter: this.delimiter })
      // Only quotes can hold a line break within a record, and blank lines set rows and lines apart.
      const plain = !text.includes('"')
      const lines: number[] = []
      const columns: string[][] = Array.from({ length: width }, () => [])
      let dense = true
      for (const [index, cells] of data.entries()) {
        const at = line
        line += plain ? 1 : 1 + cells.reduce((sum, cell) => sum + breaks(cell), 0)
        if (cells.length === 1 && cells[0]!.trim() === '') {
          // The last line of a piece ends with a break, after which nothing comes.
          if (index === data.length - 1) line--
          dense = false
          continue
        }
        if (header) {
          header = false
          dense = false
          continue
        }
        if (cells.length !== width) {
          if (this.skipRagged) {
            dense = false
            continue
          }
          fail(
            'INVALID_FILE',
            `${this.path}, line ${at}: ${cells.length} columns in place of ${width}; repair the line, or leave ` +
              "such rows out with invalid: 'drop'"
          )
        }
        for (let c = 0; c < width; c++) columns[c]!.push(cells[c]!)
        lines.push(at)
      }
      const count = lines.length
      if (count === 0) continue
      const exact = dense && plain ? undefined : lines
      this.#lines.push({ row, line: lines[0]!, exact })
      row += count
      yield { count, columns, ...(this.verbatim && { written: columns }) }
    }
  }

  place(row: number): string {
    const piece = this.#lines.filter((one) => one.row <= row).at(-1)
    if (!piece) return `row ${row + 1}`
    return `line ${piece.exact?.[row - piece.row] ?? piece.line + row - piece.row}`
  }
}

function breaks(cell: string): number {
  let count = 0
  for (let i = cell.indexOf('\n'); i >= 0; i = cell.indexOf('\n', i + 1)) count++
  return count
}

/** Refuses a first line of too many cells before it is cut into them, whatever separates them. */
function checkWidth(path: string, first: string): void {
  const end = first.indexOf('\n')
  const line = end < 0 ? first : first.slice(0, end)
  if (line.length < MOST_COLUMNS) return
  for (const separator of separators) {
    let cells = 1
    for (let i = line.indexOf(separator); i >= 0; i = line.indexOf(separator, i + 1)) cells++
    if (cells > MOST_COLUMNS) checkColumns(path, cells)
  }
}

async function firstRecords(path: string, delimiter: string | undefined): Promise<string> {
  for await (const bytes of pieces(path, delimiter, 2 ** 16)) return textOf(bytes)
  return ''
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  return text.includes('\r') ? text.replaceAll('\r\n', '\n') : text
}

/** The bytes of a file in pieces that end with a line break outside quotes; each is good until the next one. */
async function* pieces(path: string, delimiter: string | undefined, size = PIECE): AsyncGenerator<Buffer> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error)
  })
  try {
    let bytes = Buffer.allocUnsafe(size)
    let held = 0
    let lines = 0
    const records = new RecordEnds(delimiter)
    for (;;) {
      if (held === bytes.length) {
        if (held > MOST_RECORD) fail('INVALID_FILE', tooLong(path, lines + 1, records.quoted))
        bytes = Buffer.concat([bytes], Math.min(2 * held, MOST_RECORD + PIECE))
      }
      const { bytesRead } = await file.read(bytes, held, bytes.length - held).catch((error: unknown) => {
        throw unreadable(path, error)
      })
      if (bytesRead === 0) break
      held += bytesRead
      const end = records.last(bytes, held)
      if (end === 0) continue
      yield bytes.subarray(0, end)
      for (let i = bytes.indexOf(BREAK); i >= 0 && i < end; i = bytes.indexOf(BREAK, i + 1)) lines++
      bytes.copyWithin(0, end, held)
      held -= end
      records.shift(end)
    }
    if (held > 0) yield bytes.subarray(0, held)
  } finally {
    await file.close()
  }
}

function tooLong(path: string, line: number, quoted: boolean): string {
  const reason = quoted ? 'a quote that opens there is never closed' : 'it holds no line breaks'
  return (
    `${path}, line ${line} takes more than ${MOST_RECORD / 2 ** 20} MiB: ${reason}; ` +
    'repair it, or write the table again with a line a row'
  )
}

/** Finds line breaks outside quotes, looking at every byte once. */
class RecordEnds {
  quoted = false
  #seen = 0
  #end = 0
  #closed = -2
  readonly #separators: ReadonlySet<number>

  /** A quote opens a cell only where the cell starts: behind the delimiter, where it is known, or what may be one. */
  constructor(delimiter: string | undefined) {
    const after = delimiter ? Buffer.from(delimiter).subarray(-1) : Buffer.from(separators)
    this.#separators = new Set([...after, BREAK, 13, 0xbf]) // 0xbf ends a byte order mark
  }

  /** Where the last whole record of `bytes`, of which `held` are there, ends; 0 where none does. */
  last(bytes: Buffer, held: number): number {
    const fresh = bytes.subarray(this.#seen, held)
    if (!this.quoted && !fresh.includes(QUOTE)) {
      const at = fresh.lastIndexOf(BREAK)
      if (at >= 0) this.#end = this.#seen + at + 1
      this.#seen = held
      return this.#end
    }
    for (let i = this.#seen; i < held; i++) {
      const byte = bytes[i]!
      if (byte === QUOTE) {
        // Two quotes within a cell stand for one, and close and open it here.
        if (this.quoted) {
          this.quoted = false
          this.#closed = i
        } else if (i === 0 || this.#closed === i - 1 || this.#separators.has(bytes[i - 1]!))
          this.quoted = true
      } else if (byte === BREAK && !this.quoted) this.#end = i + 1
    }
    this.#seen = held
    return this.#end
  }

  /** The first `count` bytes are gone. */
  shift(count: number): void {
    this.#seen -= count
    this.#closed -= count
    this.#end = 0
  }
}
