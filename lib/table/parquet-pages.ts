/**
 * Checks the pages of a Parquet column before a library decodes them: their sizes must follow each other within the
 * column's bytes, and hold no more values than its row group has. The library believes what pages claim: a size that is
 * missing makes it read the same byte for ever, a run of 2³⁰ values takes the process down with it.
 */

/** What a file says of a column within a row group. */
export interface ColumnClaim {
  /** Values, with those that are null, in all pages together. */
  values: number
  /** Rows of the row group; no column that holds one value a row may have more values. */
  rows: number
  /** Whether a row may hold several values. */
  repeated: boolean
  /** Whether it is a part of another column: the library then reads pages to the end of its bytes. */
  nested: boolean
}

/** Most values that one row group of a column may hold: lists of the language grow by half, up to 2²⁷. */
const MOST_VALUES = 5e7

/** A compact Thrift structure: numbers by field, structures within it, and nothing of other fields. */
type Fields = Map<number, number | Fields>

/** A page as its header describes it. */
export interface PageClaim {
  kind: 'data' | 'data 2' | 'dictionary'
  values: number
  encoding: number
  /** Whether its content is packed by the column's codec. */
  packed: boolean
  /** Bytes that pages of version 2 have for levels of repetition and definition, which are never packed. */
  levels: readonly [repetition: number, definition: number]
  /** Its bytes as they lie in the file. */
  content: Uint8Array
}

/** The pages of a column's bytes. @throws Error that says what is wrong */
export function pagesOf(bytes: Uint8Array, { values, rows, repeated, nested }: ColumnClaim): PageClaim[] {
  const most = repeated ? MOST_VALUES : rows
  const pages: PageClaim[] = []
  if (!(values >= 0 && values <= Math.min(most, MOST_VALUES)))
    throw new Error(`a column of ${rows} rows claims ${values} values`)
  let found = 0
  const reader = new CompactReader(bytes)
  // A library stops at the last byte, and some writers pad with one.
  while ((found < values || nested) && reader.at < bytes.length - 1) {
    const header = reader.structure(0)
    const number = (fields: Fields | undefined, id: number): number => {
      const value = fields?.get(id)
      return typeof value === 'number' ? value : Number.NaN
    }
    const part = (id: number) => {
      const value = header.get(id)
      return value instanceof Map ? value : undefined
    }
    const [type, full, packed] = [1, 2, 3].map((id) => number(header, id)) as [number, number, number]
    if (!(packed >= 0 && packed <= bytes.length - reader.at))
      throw new Error(`a page claims ${packed} bytes of ${bytes.length - reader.at}`)
    if (!(full >= 0 && full <= MOST_BYTES)) throw new Error(`a page claims ${full} bytes when unpacked`)
    if (full > MOST_RATIO * packed + 2 ** 24)
      throw new Error(`a page of ${packed} bytes claims ${full} when unpacked`)
    const content = bytes.subarray(reader.at, reader.at + packed)
    if (type === DICTIONARY_PAGE) {
      const count = number(part(7), 1)
      pages.push({ kind: 'dictionary', values: count, encoding: 0, packed: true, levels: [0, 0], content })
      if (!(count >= 0 && count <= full))
        throw new Error(`a dictionary of ${full} bytes claims ${count} values`)
    } else if (type === DATA_PAGE || type === DATA_PAGE_2) {
      const page = part(type === DATA_PAGE ? 5 : 8)
      const count = number(page, 1)
      if (!(count >= 0 && found + count <= values))
        throw new Error(`its pages claim ${found + count} values, and the column ${values}`)
      let levels: PageClaim['levels'] = [0, 0]
      if (type === DATA_PAGE_2) {
        const [nulls, pageRows] = [number(page, 2), number(page, 3)]
        levels = [number(page, 6), number(page, 5)]
        if (!(nulls >= 0 && nulls <= count && pageRows >= 0 && pageRows <= rows))
          throw new Error(`a page of ${count} values claims ${nulls} nulls in ${pageRows} rows`)
        if (!(levels[0] >= 0 && levels[1] >= 0 && levels[0] + levels[1] <= Math.min(packed, full)))
          throw new Error(`levels of a page claim ${levels.join(' and ')} bytes of ${packed}`)
      }
      pages.push({
        kind: type === DATA_PAGE ? 'data' : 'data 2',
        values: count,
        encoding: number(page, type === DATA_PAGE ? 2 : 4),
        packed: type === DATA_PAGE || number(page, 7) !== 0,
        levels,
        content
      })
      found += count
    } else throw new Error(`a page is of type ${type}`)
    reader.at += packed
  }
  if (found !== values) throw new Error(`its pages hold ${found} values, and the column claims ${values}`)
  return pages
}

/** What levels and values of a page are coded with. */
export interface PageCoding {
  /** Most that levels of repetition and definition reach; none are stored where it is 0. */
  repetition: number
  definition: number
  boolean: boolean
}

/** Checks the runs within the unpacked `bytes` of a page, its levels included in version 1. @throws Error */
export function checkContent(bytes: Uint8Array, page: PageClaim, coding: PageCoding): void {
  if (page.kind === 'dictionary' || page.values === 0) return
  const reader = new CompactReader(bytes)
  if (page.kind === 'data')
    for (const level of [coding.repetition, coding.definition]) {
      if (level === 0) continue
      const end = reader.sized()
      checkRuns(reader, end, bitsOf(level), page.values)
      reader.at = end
    }
  if (page.encoding === RLE_DICTIONARY || page.encoding === PLAIN_DICTIONARY)
    checkRuns(reader, bytes.length, reader.byte(), page.values)
  else if (page.encoding === RLE && coding.boolean) checkRuns(reader, reader.sized(), 1, page.values)
  else if (page.encoding >= DELTA_BINARY_PACKED && page.encoding <= DELTA_BYTE_ARRAY) {
    const [block, parts] = [reader.varint(), reader.varint()]
    if (!(parts > 0 && block > 0 && block % parts === 0 && block <= 2 ** 20))
      throw new Error(`differences come in ${parts} parts of blocks of ${block}`)
  }
}

/** Checks levels of version 2 likewise, which lie before the packed values. @throws Error */
export function checkLevels(page: PageClaim, coding: PageCoding): void {
  let at = 0
  const { repetition, definition } = coding
  for (const [i, level] of [repetition, definition].entries()) {
    const reader = new CompactReader(page.content)
    reader.at = at
    at += page.levels[i]!
    if (level > 0) checkRuns(reader, at, bitsOf(level), page.values)
  }
}

const [PLAIN_DICTIONARY, RLE, DELTA_BINARY_PACKED, DELTA_BYTE_ARRAY, RLE_DICTIONARY] = [2, 3, 5, 7, 8]

/** Values that a run of single bits may have beyond the last one: padding. */
const MOST_PADDING = 1024

/** Runs of `width` bits: no longer together than the values they stand for. */
function checkRuns(reader: CompactReader, end: number, width: number, values: number): void {
  if (width > 32) throw new Error(`a page claims values of ${width} bits`)
  let seen = 0
  while (seen < values && reader.at < end) {
    const head = reader.varint()
    const single = head % 2 === 1
    const count = Math.floor(head / 2) * (single ? 8 : 1)
    if (count > values - seen + (single ? MOST_PADDING : 0))
      throw new Error(`a run of ${count} values lies in a page of ${values}`)
    reader.at += single ? (count / 8) * width : Math.ceil(width / 8)
    seen += count
  }
}

function bitsOf(level: number): number {
  return 32 - Math.clz32(level)
}

const [DATA_PAGE, DICTIONARY_PAGE, DATA_PAGE_2] = [0, 2, 3]

/** How large an unpacked page may be: a thousand times what writers make. */
const MOST_BYTES = 2 ** 31 - 1

/** What deflate packs at most, and more than the other codecs reach on anything but zeros; Brotli and Zstandard pack those further. */
const MOST_RATIO = 2 ** 16

const DEEPEST = 16

/** Reads Thrift's compact protocol, as far as page headers use it. Reading past the end throws. */
class CompactReader {
  at = 0

  constructor(readonly bytes: Uint8Array) {}

  /** The end of a part whose size in bytes stands before it. */
  sized(): number {
    const size = this.byte() + 2 ** 8 * this.byte() + 2 ** 16 * this.byte() + 2 ** 24 * this.byte()
    if (size > this.bytes.length - this.at) throw new Error('the levels of a page end early')
    return this.at + size
  }

  structure(depth: number): Fields {
    if (depth > DEEPEST) throw new Error('a page header is nested too deeply')
    const fields: Fields = new Map()
    let id = 0
    for (;;) {
      const head = this.byte()
      const type = head & 0x0f
      if (type === 0) return fields
      id = head >> 4 ? id + (head >> 4) : this.#zigzag()
      const value = this.#value(type, depth)
      if (value !== undefined) fields.set(id, value)
    }
  }

  #value(type: number, depth: number): number | Fields | undefined {
    switch (type) {
      case 1: // booleans lie in the type itself
        return 1
      case 2:
        return 0
      case 3:
        return this.byte()
      case 4:
      case 5:
      case 6:
        return this.#zigzag()
      case 7:
        return this.#skip(8)
      case 8:
        return this.#skip(this.varint())
      case 9: {
        const head = this.byte()
        const count = head >> 4 === 15 ? this.varint() : head >> 4
        // Elements of the smallest kinds take a byte each.
        if (count > this.bytes.length - this.at) throw new Error('a page header ends early')
        for (let i = 0; i < count; i++) {
          const element = head & 0x0f
          if (element === 1 || element === 2) this.byte()
          else this.#value(element, depth + 1)
        }
        return undefined
      }
      case 12:
        return this.structure(depth + 1)
      default:
        throw new Error(`a page header holds a field of type ${type}`)
    }
  }

  byte(): number {
    const byte = this.bytes[this.at++]
    if (byte === undefined) throw new Error('a page header ends early')
    return byte
  }

  #skip(count: number): undefined {
    if (count > this.bytes.length - this.at) throw new Error('a page header ends early')
    this.at += count
    return undefined
  }

  varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = this.byte()
      value += (byte & 0x7f) * scale
      if (byte < 128) return value
      if (scale > 2 ** 63) throw new Error('a page header holds a number of more than 64 bits')
    }
  }

  #zigzag(): number {
    const value = this.varint()
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
}
