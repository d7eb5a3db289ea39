import { type FileHandle, open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import type { AsyncRecordBatchFileReader, AsyncRecordBatchStreamReader, TypeMap } from 'apache-arrow'
import { isSystemError, unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import { type ColumnReading, fieldReading } from './arrow-cells'
import { checkColumn } from './arrow-columns'
import { CellMemory } from './cell-memory'
import { unpackLz4Frame } from './lz4-frame'
import { optional } from './optional'
import { type CellBatch, firstRepeated, plainRow, type TableSource, within } from './source'

type Reader = AsyncRecordBatchFileReader<TypeMap> | AsyncRecordBatchStreamReader<TypeMap>
type Library = typeof import('apache-arrow')

/** Arrow IPC files and streams (also Feather 2) by apache-arrow, a record batch at a time. */
export async function openArrow(path: string): Promise<TableSource> {
  const library = await optional(async () => load(), 'apache-arrow', path)
  await addCodecs(library)
  /** Runs `work` on a reader of the file, and closes both. */
  async function* reading<T>(work: (reader: Reader) => AsyncIterable<T>): AsyncGenerator<T> {
    const file = await open(path, 'r').catch((error: unknown) => {
      throw unreadable(path, error)
    })
    try {
      if (!(await file.stat()).isFile()) fail('FILE_NOT_READABLE', `${path} is no file; give an Arrow file`)
      if ((await file.read(Buffer.alloc(4), 0, 4, 0)).buffer.toString('latin1') === 'FEA1')
        fail(
          'UNSUPPORTED_FILE',
          `${path} is a Feather file of version 1; write it with version 2, or as Parquet`
        )
      const reader = await library.RecordBatchReader.from<TypeMap>(strict(file))
      await reader.open()
      yield* work(reader)
    } catch (cause) {
      if (isFfjordError(cause) || isSystemError(cause)) throw unreadable(path, cause)
      const { message } = cause as Error
      const unknown = /^Unrecognized type: "(\w+)"/.exec(message)?.[1]
      if (unknown)
        fail(
          'UNSUPPORTED_FILE',
          `${path} has columns of ${unknown}, which are not read; cast them to other types, or write it as Parquet`
        )
      throw new FfjordError('INVALID_FILE', `${path} cannot be read as Arrow (${message}); write it again`, {
        cause
      })
    } finally {
      await file.close().catch(() => undefined) // the reader may have closed it
    }
  }

  let names: string[] = []
  let readings: ColumnReading[] = []
  for await (const { fields } of reading(async function* ({ schema }) {
    yield schema
  })) {
    names = fields.map(({ name }) => name)
    readings = fields.map((field) => fieldReading(library, field))
  }
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  return {
    path,
    names,
    named: true,
    types: readings.map(({ type }) => type),
    place: plainRow,
    batches: ({ range } = {}) =>
      reading(async function* (reader): AsyncGenerator<CellBatch> {
        const memory = new CellMemory(path)
        let end = 0
        for await (const batch of reader) {
          const first = end
          end += batch.numRows
          if (range && first >= range.end) return
          if (range && end <= range.first) continue
          memory.clear()
          if (batch.numCols !== names.length)
            throw new Error(`a record batch has ${batch.numCols} columns of ${names.length}`)
          const columns = readings.map(({ cells }, c) => {
            const [part] = batch.getChildAt(c)!.data
            checkColumn(part!)
            memory.expect(batch.numRows)
            const found = cells(part!)
            if (found.length !== batch.numRows)
              throw new Error(`a column has ${found.length} cells in ${batch.numRows} rows`)
            return memory.keep(found)
          })
          const wanted = within({ count: batch.numRows, columns }, first, range)
          if (wanted && wanted.count > 0) yield wanted
        }
      })
  }
}

/** How often a sound file has any of its bytes read, and more. */
const MOST_READS = 64

/**
 * The library waits for ever for bytes beyond the end of a file, and reads a message over and over that is not of the kind
 * it looks for; here both are errors.
 */
function strict(file: FileHandle): FileHandle {
  const reads = new Map<number, number>()
  const handle: Pick<FileHandle, 'fd' | 'stat' | 'close'> & { read: unknown } = {
    fd: file.fd,
    stat: file.stat.bind(file),
    close: () => file.close(),
    async read(buffer: Uint8Array, offset: number, length: number, position: number) {
      const times = (reads.get(position) ?? 0) + 1
      if (times > MOST_READS)
        throw new Error(`the message at byte ${position} is of no kind that belongs there`)
      reads.set(position, times)
      const result = await file.read(buffer, offset, length, position)
      if (result.bytesRead === 0 && length > 0) throw new Error(`it ends before byte ${position + length}`)
      return result
    }
  }
  return handle as FileHandle
}

/** The library; in a thread that reads files, with buffers whose end is an error. */
function load(): Library {
  const from = createRequire(__filename)
  const library = from('apache-arrow') as Library
  if (!isMainThread) makeStrict(createRequire(from.resolve('apache-arrow')))
  return library
}

/** What unpacks compressed buffers; libraries of before version 21 have no place for it, and say what is missing. */
async function addCodecs(library: Library): Promise<void> {
  const { compressionRegistry: codecs, CompressionType: kinds } = library
  if (!codecs || codecs.get(kinds.ZSTD)) return
  const { decompressZstd } = await import('hyparquet-compressors')
  // A copy begins where numbers of eight bytes may.
  codecs.set(kinds.ZSTD, { decode: (bytes) => decompressZstd(bytes).slice() })
  codecs.set(kinds.LZ4_FRAME, { decode: unpackLz4Frame })
}

interface Bytes {
  bytes_: Uint8Array
}

/**
 * FlatBuffers, which hold the schema and the sizes, give 0 beyond their end, and believe any length of a list: a few bytes
 * can say that 2³¹ columns follow.
 */
function makeStrict(from: NodeJS.Require): void {
  const { ByteBuffer } = from('flatbuffers') as { ByteBuffer: { prototype: Bytes & Record<string, unknown> } }
  const { prototype } = ByteBuffer
  if (prototype.strict) return
  prototype.strict = true
  const widths = { readInt8: 1, readUint8: 1, readInt16: 2, readUint16: 2, readInt32: 4, readUint32: 4 }
  const wider = { readFloat32: 4, readFloat64: 8, readInt64: 8, readUint64: 8 }
  for (const [name, width] of Object.entries({ ...widths, ...wider })) {
    const read = prototype[name] as (this: Bytes, offset: number) => unknown
    prototype[name] = function (this: Bytes, offset: number) {
      if (!(offset >= 0 && offset + width <= this.bytes_.length))
        throw new Error(`byte ${offset} of ${this.bytes_.length}`)
      return read.call(this, offset)
    }
  }
  const size = prototype.__vector_len as (this: Bytes, offset: number) => number
  prototype.__vector_len = function (this: Bytes, offset: number) {
    const count = size.call(this, offset)
    if (!(count >= 0 && count <= this.bytes_.length))
      throw new Error(`a list of ${count} in ${this.bytes_.length} bytes`)
    return count
  }
}
