import { isUtf8 } from 'node:buffer'
import { type FileHandle, open } from 'node:fs/promises'
import type { Encoding } from '../data/reading'
import { unreadable } from '../file/file-errors'
import { fail } from '../native/check'

/** Text files of several encodings, as bytes of UTF-8. */

export interface TextFile {
  /** Fills `into` from `at` on, not always to its end, and gives how many bytes it wrote: 0 at the end of the file. */
  read(into: Buffer, at: number): Promise<number>
  close(): Promise<void>
  /** Whether its bytes are of another encoding in the file. */
  readonly decoded: boolean
}

/** What stands in front of a text and tells its encoding. */
const marks: readonly [bytes: readonly number[], encoding: string][] = [
  [[0xef, 0xbb, 0xbf], 'utf-8'],
  [[0xff, 0xfe], 'utf-16le'],
  [[0xfe, 0xff], 'utf-16be']
]

/**
 * `encoding` where it is given; otherwise what a mark at the start or zeros between letters tell, or UTF-8. The first `from` bytes of UTF-8
 * are passed over: in the file where it is UTF-8, otherwise once they are decoded.
 */
export async function openText(path: string, encoding: Encoding | undefined, from = 0): Promise<TextFile> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(path, error)
  })
  const bytesInto = async (into: Uint8Array, at: number, position: number) => {
    const { bytesRead } = await file.read(into, at, into.length - at, position).catch((error: unknown) => {
      throw unreadable(path, error)
    })
    return bytesRead
  }
  try {
    const head = Buffer.alloc(256)
    const held = await bytesInto(head, 0, 0)
    const [name, start] = codingOf(head.subarray(0, held), encoding)
    let position = start
    if (name === 'utf-8') {
      position += from
      return {
        decoded: false,
        close: () => file.close(),
        async read(into, at) {
          const count = await bytesInto(into, at, position)
          position += count
          return count
        }
      }
    }
    const text = decoding(file, name, async (into) => {
      const count = await bytesInto(into, 0, position)
      position += count
      return count
    })
    const passed = Buffer.allocUnsafe(Math.min(from, PIECE))
    for (let left = from; left > 0; ) {
      const count = await text.read(passed.subarray(0, Math.min(left, PIECE)), 0)
      if (count === 0) break
      left -= count
    }
    return text
  } catch (error) {
    await file.close()
    throw error
  }
}

/** Whether a file is text that needs no name of its encoding: it has a mark, or is UTF-8 throughout. */
export async function isPlainText(path: string): Promise<boolean> {
  const file = await openText(path, undefined)
  try {
    if (file.decoded) return true
    const bytes = Buffer.allocUnsafe(PIECE)
    for (let held = 0; ; ) {
      const count = await file.read(bytes, held)
      held += count
      const whole = count === 0 ? held : wholeLetters(bytes, held)
      const piece = bytes.subarray(0, whole)
      if (!isUtf8(piece) || piece.includes(0)) return false
      if (count === 0) return true
      bytes.copyWithin(0, whole, held)
      held -= whole
    }
  } finally {
    await file.close()
  }
}

/** How many of the first `held` bytes are whole letters: one of several bytes may end in the next piece. */
function wholeLetters(bytes: Buffer, held: number): number {
  let start = held - 1
  while (start > 0 && held - start < 4 && (bytes[start]! & 0xc0) === 0x80) start--
  return bytes[start]! >= 0xc0 ? start : held
}

/** The encoding by its full name, and where the text starts. */
function codingOf(head: Buffer, encoding: Encoding | undefined): [name: string, start: number] {
  const [mark, marked] = marks.find(([bytes]) => bytes.every((byte, i) => head[i] === byte)) ?? []
  if (marked !== undefined && (encoding === undefined || marked.startsWith(encoding)))
    return [marked, mark!.length]
  // What calls itself Latin-1 is Windows-1252 as often, which has letters where the other has nothing.
  if (encoding !== undefined && encoding !== 'utf-16')
    return [encoding === 'latin-1' ? 'windows-1252' : encoding, 0]
  // Letters, digits and separators of UTF-16 are a byte of zeros and one that is none.
  const zeros = (first: number) => {
    let count = 0
    for (let i = first; i < head.length; i += 2) if (head[i] === 0) count++
    return count > 0.4 * (head.length / 2)
  }
  if (zeros(1) && !zeros(0)) return ['utf-16le', 0]
  if (zeros(0) && !zeros(1)) return ['utf-16be', 0]
  return [encoding === 'utf-16' ? 'utf-16le' : 'utf-8', 0]
}

const PIECE = 2 ** 20 // bytes

function decoding(
  file: FileHandle,
  name: string,
  bytesInto: (into: Uint8Array) => Promise<number>
): TextFile {
  const decoder = new TextDecoder(name)
  const raw = Buffer.allocUnsafe(PIECE)
  let ready = Buffer.alloc(0)
  let ended = false
  return {
    decoded: true,
    close: () => file.close(),
    async read(into, at) {
      while (ready.length === 0 && !ended) {
        const count = await bytesInto(raw)
        ended = count === 0
        ready = Buffer.from(decoder.decode(raw.subarray(0, count), { stream: !ended }))
      }
      const count = ready.copy(into, at)
      ready = ready.subarray(count)
      return count
    }
  }
}

/** What files called .csv are now and then. */
const packings: readonly { mark: readonly number[]; is: string; remedy: string }[] = [
  { mark: [0x1f, 0x8b], is: 'packed by gzip', remedy: 'unpack it first, as gunzip does' },
  { mark: [0x42, 0x5a, 0x68], is: 'packed by bzip2', remedy: 'unpack it first, as bunzip2 does' },
  { mark: [0xfd, 0x37, 0x7a, 0x58, 0x5a], is: 'packed by xz', remedy: 'unpack it first, as unxz does' },
  { mark: [0x28, 0xb5, 0x2f, 0xfd], is: 'packed by zstd', remedy: 'unpack it first, as unzstd does' },
  {
    mark: [0x50, 0x4b, 3, 4],
    is: 'a zip archive or a workbook',
    remedy: 'unpack it, or save the sheet as CSV'
  },
  { mark: [0xd0, 0xcf, 0x11, 0xe0], is: 'an old workbook', remedy: 'save the sheet as CSV' },
  { mark: [0x50, 0x41, 0x52, 0x31], is: 'a Parquet file', remedy: 'give it a name that ends in .parquet' }
]

/** Text of bytes that follow line `line`. @throws FfjordError INVALID_FILE where they are no text */
export function textOf(path: string, bytes: Buffer, line: number): string {
  const packed =
    line === 1 ? packings.find(({ mark }) => mark.every((byte, i) => bytes[i] === byte)) : undefined
  if (packed) fail('UNSUPPORTED_FILE', `${path} is ${packed.is}, and no text; ${packed.remedy}`)
  const isText = isUtf8(bytes)
  if (isText && !bytes.includes(0)) return bytes.toString('utf8')
  let at = line
  for (let start = 0; ; at++) {
    const end = bytes.indexOf(10, start)
    const one = bytes.subarray(start, end < 0 ? bytes.length : end)
    if (!isUtf8(one))
      fail(
        'INVALID_FILE',
        `${path}, line ${at} has bytes that are no UTF-8; say what they are: encoding: 'latin-1' (--encoding latin-1), ` +
          "which most old files are, or 'utf-16'"
      )
    if (one.includes(0))
      fail(
        'INVALID_FILE',
        `${path}, line ${at} holds a byte of zero, which is no text; write the table again, or say that it is encoding: 'utf-16' ` +
          '(--encoding utf-16)'
      )
    if (end < 0) return bytes.toString('utf8')
    start = end + 1
  }
}
