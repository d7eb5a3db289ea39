import { type FileHandle, open } from 'node:fs/promises'
import { alike, type CellType } from '../data/cell-type'
import { unnamed } from '../data/schema'
import { unreadable } from '../file/file-errors'
import { halfToFloat } from '../file/half'
import { fail } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import {
  batchRows,
  checkColumns,
  type NumberArray,
  plainRow,
  type RowBatch,
  type TableSource
} from './source'

/** NumPy's .npy, format 1.0 to 3.0: magic, version, header length, a Python dictionary, the numbers. */

const kinds: Record<string, (bytes: ArrayBuffer) => NumberArray> = {
  '<f2': (bytes) => Float32Array.from(new Uint16Array(bytes), halfToFloat),
  '<f4': (bytes) => new Float32Array(bytes),
  '<f8': (bytes) => new Float64Array(bytes),
  '|b1': (bytes) => new Uint8Array(bytes),
  '|i1': (bytes) => new Int8Array(bytes),
  '|u1': (bytes) => new Uint8Array(bytes),
  '<i2': (bytes) => new Int16Array(bytes),
  '<u2': (bytes) => new Uint16Array(bytes),
  '<i4': (bytes) => new Int32Array(bytes),
  '<u4': (bytes) => new Uint32Array(bytes),
  '<i8': (bytes) => new BigInt64Array(bytes),
  '<u8': (bytes) => new BigUint64Array(bytes)
}

const types: Record<string, CellType> = {
  f2: { kind: 'number', storage: 'float16' },
  f4: { kind: 'number', storage: 'float32' },
  f8: { kind: 'number', storage: 'float64' },
  b1: { kind: 'boolean' },
  i1: { kind: 'number', storage: 'int8' },
  u1: { kind: 'number', storage: 'uint8' },
  i2: { kind: 'number', storage: 'int16' },
  u2: { kind: 'number', storage: 'uint16' },
  i4: { kind: 'number', storage: 'int32' },
  u4: { kind: 'number', storage: 'uint32' },
  i8: { kind: 'number', storage: 'int64' },
  u8: { kind: 'number', storage: 'uint64' }
}

interface Header {
  /** Where the numbers start. */
  start: number
  shape: number[]
  /** Column by column. */
  fortran: boolean
  /** Bytes of one number. */
  width: number
  decode: (bytes: ArrayBuffer) => NumberArray
  type: CellType
}

/** Bytes that are read in order, in buffers of their own. */
export interface ByteSource {
  size: number
  /** Bytes are unpacked in their order: to read others means to start again. */
  sequential?: boolean
  /** `length` bytes from `position` on; fewer at the end. */
  read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>>
  close(): Promise<void>
}

export async function openNumpy(path: string): Promise<TableSource> {
  return numpyTable(path, () => openBytes(path))
}

/** The table in an .npy that `openSource` gives the bytes of. */
export async function numpyTable(path: string, openSource: () => Promise<ByteSource>): Promise<TableSource> {
  const source = await openSource()
  let header: Header
  try {
    header = await readHeader(path, source)
  } finally {
    await source.close()
  }
  const { start, shape, fortran, width, decode, type } = header
  const [rows, columns] = [shape[0]!, shape.slice(1).reduce((product, axis) => product * axis, 1)]
  checkColumns(path, columns)
  return {
    path,
    names: unnamed(columns),
    named: false,
    types: alike(columns, type),
    rows,
    place: plainRow,
    ...(shape.length > 2 && { shape: shape.slice(1) }),
    async *batches(): AsyncGenerator<RowBatch> {
      const opened = await openSource()
      try {
        // Column by column is no order that a batch of rows could be unpacked in.
        const bytes = fortran && opened.sequential ? await unpacked(opened) : opened
        const most = batchRows(columns)
        for (let row = 0; row < rows; row += most) {
          const count = Math.min(most, rows - row)
          const numbers = async (first: number, length: number) =>
            decode((await bytes.read(start + first * width, length * width)).buffer)
          if (!fortran) yield { count, matrix: await numbers(row * columns, count * columns) }
          else {
            const parts: NumberArray[] = []
            for (let c = 0; c < columns; c++) parts.push(await numbers(c * rows + row, count))
            yield { count, columns: parts }
          }
        }
      } finally {
        await opened.close()
      }
    }
  }
}

/** All bytes, in memory. */
async function unpacked(source: ByteSource): Promise<ByteSource> {
  const all = await source.read(0, source.size)
  return { ...source, read: async (position, length) => all.slice(position, position + length) }
}

async function readHeader(path: string, source: ByteSource): Promise<Header> {
  const invalid = (reason: string) =>
    new FfjordError(
      'INVALID_FILE',
      `${path}: ${reason}; write it with numpy.save as a C-ordered array of numbers`
    )
  const magic = Buffer.from(await source.read(0, 12))
  if (magic.length < 12 || magic.toString('latin1', 0, 6) !== '\x93NUMPY') throw invalid('it is no .npy file')
  const long = magic[6]! >= 2
  const start = (long ? 12 : 10) + (long ? magic.readUInt32LE(8) : magic.readUInt16LE(8))
  if (start > source.size) throw invalid('its header is truncated')
  if (start > MOST_HEADER) throw invalid(`its header claims ${start} bytes`)
  const text = Buffer.from(await source.read(long ? 12 : 10, start - (long ? 12 : 10))).toString('latin1')
  const kind = /'descr':\s*'([^']*)'/.exec(text)?.[1]
  const order = /'fortran_order':\s*(True|False)/.exec(text)?.[1]
  const axes = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1]
  const decode = kind === undefined ? undefined : kinds[kind]
  if (!decode || axes === undefined) throw invalid(`its numbers are of kind ${kind ?? 'unknown'}`)
  const shape = axes
    .split(',')
    .filter((axis) => axis.trim() !== '')
    .map(Number)
  const fortran = order === 'True' && shape.length > 1
  if (fortran && shape.length > 2) throw invalid('it has more than two axes in Fortran order')
  if (shape.length === 0) throw invalid('it holds a single number')
  const width = Number(kind!.slice(2))
  const size = shape.reduce((product, axis) => product * axis, 1) * width
  if (source.size - start !== size)
    throw invalid(`it holds ${source.size - start} bytes of numbers, and its shape (${shape}) takes ${size}`)
  return { start, shape, fortran, width, decode, type: types[kind!.slice(1)]! }
}

/** Bytes; NumPy's own take a hundred. */
const MOST_HEADER = 2 ** 20

export async function openBytes(path: string): Promise<ByteSource> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
  try {
    const kind = await file.stat()
    if (!kind.isFile()) fail('FILE_NOT_READABLE', `${path} cannot be read: it is no file; give one`)
    const { size } = kind
    return {
      size,
      close: () => file.close(),
      async read(position, length) {
        const bytes = new Uint8Array(new ArrayBuffer(Math.max(0, Math.min(length, size - position))))
        for (let done = 0; done < bytes.length; ) {
          const { bytesRead } = await file
            .read(bytes, done, bytes.length - done, position + done)
            .catch((error: unknown) => {
              throw unreadable(path, error)
            })
          if (bytesRead === 0) throw new FfjordError('INVALID_FILE', `${path} ends early; write it again`)
          done += bytesRead
        }
        return bytes
      }
    }
  } catch (error) {
    await file.close()
    throw isFfjordError(error) ? error : unreadable(path, error)
  }
}
