import { type FileHandle, open } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { isMainThread } from 'node:worker_threads'
import type {
  AsyncRecordBatchFileReader,
  AsyncRecordBatchStreamReader,
  DataType,
  TypeMap,
  Vector
} from 'apache-arrow'
import { alike, written } from '../data/cell-type'
import { isSystemError, unreadable } from '../file/file-errors'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import { checkColumn } from './arrow-columns'
import { CellMemory } from './cell-memory'
import { optional } from './optional'
import { firstRepeated, plainRow, type RowBatch, type TableSource } from './source'

type Reader = AsyncRecordBatchFileReader<TypeMap> | AsyncRecordBatchStreamReader<TypeMap>
type Library = typeof import('apache-arrow')

/** Arrow IPC files and streams (also Feather 2) by apache-arrow, a record batch at a time. */
export async function openArrow(path: string): Promise<TableSource> {
  const library = await optional(async () => load(), 'apache-arrow', path)
  /** Runs `work` on a reader of the file, and closes both. */
  async function* reading<T>(work: (reader: Reader) => AsyncIterable<T>): AsyncGenerator<T> {
    const file = await open(path, 'r').catch((error: unknown) => {
      throw unreadable(path, error)
    })
    try {
      if (!(await file.stat()).isFile()) fail('FILE_NOT_READABLE', `${path} is no file; give an Arrow file`)
      const reader = await library.RecordBatchReader.from<TypeMap>(strict(file))
      await reader.open()
      yield* work(reader)
    } catch (cause) {
      if (isFfjordError(cause) || isSystemError(cause)) throw unreadable(path, cause)
      const { message } = cause as Error
      throw new FfjordError(
        'INVALID_FILE',
        `${path} cannot be read as Arrow (${message}); write it again, uncompressed`,
        { cause }
      )
    } finally {
      await file.close().catch(() => undefined) // the reader may have closed it
    }
  }

  let names: string[] = []
  for await (const found of reading(async function* ({ schema }) {
    yield schema.fields.map(({ name }) => name)
  }))
    names = found
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  return {
    path,
    names,
    named: true,
    types: alike(names.length, written),
    place: plainRow,
    batches: () =>
      reading(async function* (reader): AsyncGenerator<RowBatch> {
        const memory = new CellMemory(path)
        for await (const batch of reader) {
          memory.clear()
          if (batch.numCols !== names.length)
            throw new Error(`a record batch has ${batch.numCols} columns of ${names.length}`)
          const columns = names.map((_, c) => {
            const column = batch.getChildAt(c)!
            const misread = misreadKind(column.type)
            if (misread)
              fail(
                'UNSUPPORTED_FILE',
                `${path}, column '${names[c]}' holds ${misread}, which are not read; write it as float64`
              )
            for (const data of column.data) checkColumn(data)
            memory.expect(batch.numRows)
            return memory.keep(cellsOf(column, batch.numRows))
          })
          if (batch.numRows > 0) yield { count: batch.numRows, columns }
        }
      })
  }
}

/** Kinds of numbers whose storage the library gives in place of their values. */
function misreadKind({ typeId, precision }: DataType & { precision?: number }): string | undefined {
  if (typeId === DECIMAL) return 'decimals'
  return typeId === FLOAT && precision === HALF ? 'numbers of float16' : undefined
}

const [FLOAT, DECIMAL, HALF] = [3, 7, 0] // Type.Float, Type.Decimal, Precision.HALF

function cellsOf(column: Vector, rows: number): ArrayLike<unknown> {
  const cells: ArrayLike<unknown> =
    column.nullCount > 0 ? [...column] : (column.toArray() as ArrayLike<unknown>)
  if (cells.length !== rows) throw new Error(`a column has ${cells.length} cells in ${rows} rows`)
  // Lists and structures are views of the library's own, which no other thread can be sent.
  const nested = column.type.children?.length > 0
  return nested ? Array.from(cells, (cell) => (cell === null ? null : String(cell))) : cells
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
