import type { Encoding } from '../data/reading'
import { fail } from '../native/check'
import { openText } from './text-encoding'

/** Text tables in pieces that end with a record. */

const PIECE = 2 ** 22 // bytes
/** Bytes that one record may have: a million cells of 60 digits. */
const MOST_RECORD = 2 ** 26
/** What may lie between cells where nothing else is said. */
export const separators = ',;\t|\x1e\x1f'
const QUOTE = 34
export const [LINE_FEED, CARRIAGE_RETURN] = [10, 13]
/** What DOS put at the end of a text. */
const END_OF_TEXT = 0x1a

/** How a file is cut into records. */
export interface Cutting {
  encoding: Encoding | undefined
  delimiter: string | undefined
  /** What ends a record: one for all of the file, so that the other is a character like any. */
  lineEnd: number
}

/**
 * The bytes of a file in pieces that end with a line outside quotes; each is good until the next one. The first begins behind `from` bytes
 * of UTF-8, where one began before.
 */
export async function* pieces(
  path: string,
  { encoding, delimiter, lineEnd }: Cutting,
  from = 0
): AsyncGenerator<Buffer> {
  const file = await openText(path, encoding, from)
  try {
    let bytes = Buffer.allocUnsafe(PIECE)
    let held = 0
    let lines = 0
    const records = new RecordEnds(delimiter, lineEnd)
    for (;;) {
      if (held === bytes.length) {
        if (held > MOST_RECORD) fail('INVALID_FILE', tooLong(path, lines + 1, records.quoted))
        bytes = Buffer.concat([bytes], Math.min(2 * held, MOST_RECORD + PIECE))
      }
      const count = await file.read(bytes, held)
      if (count === 0) break
      held += count
      const end = records.last(bytes, held)
      if (end === 0) continue
      yield bytes.subarray(0, end)
      for (let i = bytes.indexOf(lineEnd); i >= 0 && i < end; i = bytes.indexOf(lineEnd, i + 1)) lines++
      bytes.copyWithin(0, end, held)
      held -= end
      records.shift(end)
    }
    if (bytes[held - 1] === END_OF_TEXT) held--
    if (held > 0) yield bytes.subarray(0, held)
  } finally {
    await file.close()
  }
}

const HEAD = 2 ** 16 // bytes

/** The first records of a file, and what ends them. */
export async function firstRecords(
  path: string,
  encoding: Encoding | undefined,
  delimiter: string | undefined
): Promise<{ bytes: Buffer; lineEnd: number }> {
  const file = await openText(path, encoding)
  try {
    let bytes = Buffer.allocUnsafe(HEAD)
    let held = 0
    let whole = false
    for (;;) {
      if (held === bytes.length) {
        if (held > MOST_RECORD) fail('INVALID_FILE', tooLong(path, 1, false))
        bytes = Buffer.concat([bytes], 2 * held)
      }
      const count = await file.read(bytes, held)
      whole = count === 0
      held += count
      if (!whole && held < bytes.length) continue
      // A line feed outside quotes ends lines, whatever lies in cells; files without any are of old Macintoshes.
      for (const lineEnd of [LINE_FEED, CARRIAGE_RETURN]) {
        const end = new RecordEnds(delimiter, lineEnd).last(bytes, held)
        if (end > 0) return { bytes: bytes.subarray(0, whole ? held : end), lineEnd }
      }
      if (whole) return { bytes: bytes.subarray(0, held), lineEnd: LINE_FEED }
    }
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

/** Finds ends of lines outside quotes, looking at every byte once. */
class RecordEnds {
  quoted = false
  #seen = 0
  #end = 0
  #closed = -2
  readonly #separators: ReadonlySet<number>

  /** A quote opens a cell only where the cell starts: behind the delimiter, where it is known, or what may be one. */
  constructor(
    delimiter: string | undefined,
    readonly lineEnd: number
  ) {
    const after = delimiter ? Buffer.from(delimiter).subarray(-1) : Buffer.from(separators)
    this.#separators = new Set([...after, LINE_FEED, CARRIAGE_RETURN])
  }

  /** Where the last whole record of `bytes`, of which `held` are there, ends; 0 where none does. */
  last(bytes: Buffer, held: number): number {
    const fresh = bytes.subarray(this.#seen, held)
    if (!this.quoted && !fresh.includes(QUOTE)) {
      const at = fresh.lastIndexOf(this.lineEnd)
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
      } else if (byte === this.lineEnd && !this.quoted) this.#end = i + 1
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
