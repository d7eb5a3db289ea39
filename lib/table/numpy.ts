import { alike } from '../data/cell-type'
import { unnamed } from '../data/schema'
import { fail } from '../native/check'
import { FfjordError } from '../native/errors'
import { type ByteSource, openBytes } from './byte-source'
import {
  arrayBatch,
  type Coding,
  codingOf,
  type Field,
  fieldCells,
  fieldsOf,
  ofArray,
  UnreadKind
} from './numpy-types'
import { type PythonValue, pythonLiteral } from './python-literal'
import { batchRows, type CellBatch, checkColumns, firstRepeated, plainRow, type TableSource } from './source'

/** NumPy's .npy, format 1.0 to 3.0: magic, version, header length, a Python dictionary, the cells. */

interface Header {
  /** Where the cells start. */
  start: number
  shape: number[]
  /** The first axis varies fastest. */
  fortran: boolean
  /** Bytes of one cell, or of one record. */
  width: number
  /** How the cells of a plain array are coded. */
  coding?: Coding
  /** What a record is made of. */
  fields?: Field[]
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
  const { shape, fields } = header
  const rows = shape[0]!
  const columns = fields ? fields.length : sizeOf(shape.slice(1))
  checkColumns(path, columns)
  const names = fields ? fields.map(({ name }) => name) : unnamed(columns)
  const repeated = firstRepeated(names)
  if (repeated !== undefined)
    fail('INVALID_FILE', `${path} has two columns named '${repeated}'; give every column a name of its own`)
  return {
    path,
    names,
    named: fields !== undefined,
    types: fields ? fields.map(({ coding }) => coding.type) : alike(columns, header.coding!.type),
    rows,
    place: plainRow,
    ...(shape.length > 2 && !fields && { shape: shape.slice(1) }),
    async *batches({ range = { first: 0, end: rows } } = {}): AsyncGenerator<CellBatch> {
      const opened = await openSource()
      try {
        // Cells of a row lie far apart where the first axis varies fastest, and no batch could be unpacked in order.
        const bytes = header.fortran && opened.sequential ? await unpacked(opened) : opened
        const most = batchRows(columns)
        for (let row = range.first; row < range.end; row += most) {
          const count = Math.min(most, range.end - row)
          if (fields) yield { count, columns: await recordCells(bytes, header, row, count) }
          else if (header.fortran) yield { count, columns: await columnCells(bytes, header, row, count) }
          else yield await rowCells(bytes, header, row, count)
        }
      } finally {
        await opened.close()
      }
    }
  }
}

async function rowCells(
  bytes: ByteSource,
  { start, shape, width, coding }: Header,
  row: number,
  count: number
): Promise<CellBatch> {
  const columns = sizeOf(shape.slice(1))
  const cells = await bytes.read(start + row * columns * width, count * columns * width)
  return arrayBatch(coding!.decode(cells), count)
}

async function columnCells(
  bytes: ByteSource,
  { start, shape, width, coding }: Header,
  row: number,
  count: number
): Promise<ArrayLike<unknown>[]> {
  const parts: ArrayLike<unknown>[] = []
  for (const place of fortranOrder(shape.slice(1)))
    parts.push(coding!.decode(await bytes.read(start + (place * shape[0]! + row) * width, count * width)))
  return parts
}

/** Where the cells of a row, in C order, stand among its cells in Fortran order. */
function fortranOrder(axes: readonly number[]): number[] {
  const backwards = [...axes].reverse()
  return Array.from({ length: sizeOf(axes) }, (_, cell) => {
    let [place, rest, scale] = [0, cell, sizeOf(axes)]
    for (const axis of backwards) {
      scale /= axis
      place += (rest % axis) * scale
      rest = Math.floor(rest / axis)
    }
    return place
  })
}

async function recordCells(
  bytes: ByteSource,
  { start, width, fields }: Header,
  row: number,
  count: number
): Promise<ArrayLike<unknown>[]> {
  const records = await bytes.read(start + row * width, count * width)
  return fields!.map((field) => fieldCells(records, width, field))
}

function sizeOf(axes: readonly number[]): number {
  return axes.reduce((product, axis) => product * axis, 1)
}

/** All bytes, in memory. */
async function unpacked(source: ByteSource): Promise<ByteSource> {
  const all = await source.read(0, source.size)
  return { ...source, read: async (position, length) => all.slice(position, position + length) }
}

async function readHeader(path: string, source: ByteSource): Promise<Header> {
  const invalid = (reason: string) =>
    new FfjordError('INVALID_FILE', `${path}: ${reason}; write it again with numpy.save`)
  const magic = Buffer.from(await source.read(0, 12))
  if (magic.length < 12 || magic.toString('latin1', 0, 6) !== '\x93NUMPY') throw invalid('it is no .npy file')
  const long = magic[6]! >= 2
  const start = (long ? 12 : 10) + (long ? magic.readUInt32LE(8) : magic.readUInt16LE(8))
  if (start > source.size) throw invalid('its header is truncated')
  if (start > MOST_HEADER) throw invalid(`its header claims ${start} bytes`)
  const text = Buffer.from(await source.read(long ? 12 : 10, start - (long ? 12 : 10))).toString(
    magic[6]! >= 3 ? 'utf8' : 'latin1'
  )
  const explained = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      const { message } = error as Error
      if (error instanceof UnreadKind) throw new FfjordError('UNSUPPORTED_FILE', `${path}: ${message}`)
      throw invalid(`its header cannot be read (${message})`)
    }
  }
  const header = explained(() => pythonLiteral(text))
  const entry = (key: string): PythonValue => (header instanceof Map ? (header.get(key) ?? null) : null)
  const axes = entry('shape')
  const kind = entry('descr')
  if (!Array.isArray(axes) || !axes.every((axis) => typeof axis === 'number' && axis >= 0))
    throw invalid('its header gives no shape')
  const shape = axes as number[]
  if (shape.length === 0) throw invalid('it holds a single number')
  const records = Array.isArray(kind) ? explained(() => fieldsOf(kind)) : undefined
  const coding = records ? undefined : explained(() => ofArray(codingOf(String(kind))))
  if (records && sizeOf(shape.slice(1)) !== 1)
    throw invalid(`it holds records in ${shape.length} axes, and a table has one: save a.ravel()`)
  const width = records?.width ?? coding!.width
  const size = sizeOf(shape) * width
  if (source.size - start !== size)
    throw invalid(`it holds ${source.size - start} bytes of cells, and its shape (${shape}) takes ${size}`)
  const fortran = entry('fortran_order') === true && shape.length > 1 && !records
  return {
    start,
    shape,
    fortran,
    width,
    ...(coding && { coding }),
    ...(records && { fields: records.fields })
  }
}

/** Bytes; NumPy's own take a hundred. */
const MOST_HEADER = 2 ** 20
