import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { types } from 'node:util'
import { isTime } from '../data/clock'
import { unwritable } from '../file/file-errors'
import { discard, finish, unfinishedName } from '../file/whole-file'
import { cellText } from './cell-text'
import { ReaderGone } from './exit'
import type { OutputColumn, TableWriter } from './table-writer'

/** Text tables: a line of names, numbers with as many digits as tell them apart and the table's decimal sign. */
export class CsvWriter implements TableWriter {
  readonly #temporary: string
  #stream: NodeJS.WritableStream | undefined
  #failure: Error | undefined

  constructor(
    readonly path: string,
    readonly delimiter: string,
    readonly decimal: '.' | ',' = '.'
  ) {
    this.#temporary = path === '-' ? '' : unfinishedName(path)
  }

  async write(columns: readonly OutputColumn[]): Promise<void> {
    if (!this.#stream) {
      this.#stream = this.path === '-' ? process.stdout : createWriteStream(this.#temporary)
      this.#stream.on('error', (error: Error) => {
        this.#failure = error
      })
      await this.#put([columns.map(({ name }) => this.#quoted(name)).join(this.delimiter)])
    }
    const texts = columns.map((column) => this.#texts(column))
    const rows = columns[0]?.values.length ?? 0
    for (let first = 0; first < rows; first += 10_000) {
      const lines: string[] = []
      for (let row = first; row < Math.min(rows, first + 10_000); row++)
        lines.push(texts.map((text) => text(row)).join(this.delimiter))
      await this.#put(lines)
    }
  }

  async close(): Promise<void> {
    if (!this.#stream || this.path === '-') return
    const closed = once(this.#stream, 'close').catch(() => undefined) // #check tells what failed
    this.#stream.end()
    await closed
    this.#check()
    finish(this.#temporary, this.path)
  }

  async abandon(): Promise<void> {
    if (!this.#stream || this.path === '-') return
    // A file that is still being opened would appear after its removal.
    const stream = this.#stream as WriteStream
    if (!stream.closed) {
      const closed = once(stream, 'close').catch(() => undefined)
      stream.destroy()
      await closed
    }
    discard(this.#temporary)
  }

  async #put(lines: string[]): Promise<void> {
    this.#check()
    if (!this.#stream!.write(`${lines.join('\n')}\n`))
      await once(this.#stream!, 'drain').catch(() => undefined)
    this.#check()
  }

  #check(): void {
    if (!this.#failure) return
    if (this.path === '-' && (this.#failure as NodeJS.ErrnoException).code === 'EPIPE') throw new ReaderGone()
    throw unwritable(this.path === '-' ? 'standard output' : this.path, this.#failure)
  }

  #texts({ values, cells }: OutputColumn): (row: number) => string {
    // float32 numbers need nine digits to be told apart, float64 ones seventeen.
    if (types.isFloat32Array(values))
      return (row) =>
        Number.isNaN(values[row]) ? '' : this.#quoted(this.#signed(String(+values[row]!.toPrecision(9))))
    const text = cellText(cells)
    const [isDecimal, isDate] = [cells?.kind === 'decimal', cells !== undefined && isTime(cells)]
    return (row) => {
      const value = values[row]
      const cell = text(value)
      return this.#quoted((typeof value === 'number' && !isDate) || isDecimal ? this.#signed(cell) : cell)
    }
  }

  /** A number with the table's decimal sign. */
  #signed(number: string): string {
    return this.decimal === '.' ? number : number.replace('.', this.decimal)
  }

  #quoted(text: string): string {
    const plain = !text.includes(this.delimiter) && !/["\r\n]/.test(text)
    return plain ? text : `"${text.replaceAll('"', '""')}"`
  }
}
