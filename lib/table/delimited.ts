import { open } from 'node:fs/promises'
import Papa from 'papaparse'
import { fail } from '../check'
import { unreadable } from '../file-errors'
import { parseNumbers } from './numbers'
import { type RowBatch, type TableSource, unnamed } from './source'

/** Text tables (CSV, TSV) by Papa Parse, in pieces that end with a record. */

const PIECE = 2 ** 22 // bytes
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
}

export async function openDelimited(path: string, options: DelimitedOptions = {}): Promise<TableSource> {
  const first = await firstRecords(path)
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
  const repeated = names.find((name, i) => names.indexOf(name) !== i)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  return new DelimitedTable(path, names, named, meta.delimiter, options.skipRagged ?? false)
}

class DelimitedTable implements TableSource {
  /** Line of the first row of each batch read. */
  #lines: { row: number; line: number; exact: number[] | undefined }[] = []

  constructor(
    readonly path: string,
    readonly names: readonly string[],
    readonly named: boolean,
    readonly delimiter: string,
    readonly skipRagged: boolean
  ) {}

  async *batches(): AsyncGenerator<RowBatch> {
    const width = this.names.length
    this.#lines = []
    let row = 0
    let line = 1
    let header = this.named
    for await (const bytes of pieces(this.path)) {
      if (!header) {
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
      yield { count, columns }
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

async function firstRecords(path: string): Promise<string> {
  for await (const bytes of pieces(path, 2 ** 16)) return textOf(bytes)
  return ''
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8').replace(/^\uFEFF/, '')
  return text.includes('\r') ? text.replaceAll('\r\n', '\n') : text
}

/** The bytes of a file in pieces that end with a line break outside quotes; each is good until the next one. */
async function* pieces(path: string, size = PIECE): AsyncGenerator<Buffer> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error)
  })
  try {
    let bytes = Buffer.allocUnsafe(size)
    let held = 0
    for (;;) {
      if (held === bytes.length) bytes = Buffer.concat([bytes, Buffer.allocUnsafe(size)])
      const { bytesRead } = await file.read(bytes, held, bytes.length - held).catch((error: unknown) => {
        throw unreadable(path, error)
      })
      if (bytesRead === 0) break
      held += bytesRead
      const end = lastRecordEnd(bytes.subarray(0, held))
      if (end === 0) continue
      yield bytes.subarray(0, end)
      bytes.copyWithin(0, end, held)
      held -= end
    }
    if (held > 0) yield bytes.subarray(0, held)
  } finally {
    await file.close()
  }
}

/** Where the last whole record ends: after a line break that an even number of quotes precedes. */
function lastRecordEnd(bytes: Buffer): number {
  if (!bytes.includes(QUOTE)) return bytes.lastIndexOf(BREAK) + 1
  let end = 0
  let quoted = false
  for (let i = 0; i < bytes.length; i++) {
    if (bytes[i] === QUOTE) quoted = !quoted
    else if (bytes[i] === BREAK && !quoted) end = i + 1
  }
  return end
}
