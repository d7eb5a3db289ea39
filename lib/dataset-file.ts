import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import type { RealArray } from './batch'
import { fail, object } from './check'
import { ArrayDataset } from './dataset'
import { FfjordError } from './errors'
import { unreadable } from './safetensors'

export interface FileOptions {
  /** Of one sample; default: the columns of a .csv file, all axes but the first of a .npy file. */
  shape?: readonly number[]
}

/** Reads a .csv file of numbers (a first line of names is taken as such), or a .npy file. */
export async function fromFile(path: string, options: FileOptions = {}): Promise<ArrayDataset> {
  object(options, 'fromFile options', ['shape'])
  if (typeof path !== 'string') fail('INVALID_OPTION', `path is ${String(path)}; give a file's path`)
  const kind = extname(path).toLowerCase()
  if (kind !== '.csv' && kind !== '.npy')
    fail('UNSUPPORTED_FILE', `${path} is of no known kind; give a .csv or a .npy file`)
  const bytes = await readFile(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (kind === '.csv') {
    const { data, width, columns } = parseCsv(path, bytes.toString('utf8'))
    return new ArrayDataset(data, options.shape ?? [width], columns)
  }
  const { data, shape } = parseNpy(path, bytes)
  return new ArrayDataset(data, options.shape ?? (shape.length > 1 ? shape.slice(1) : [1]))
}

function parseCsv(path: string, text: string): { data: Float32Array; width: number; columns?: string[] } {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/)
  const cells = (line: string) => line.split(',').map((cell) => cell.trim().replace(/^"(.*)"$/, '$1'))
  const first = lines.findIndex((line) => line.trim() !== '')
  if (first < 0) return fail('EMPTY_BATCH', `${path} is empty; give a file with at least one row`)
  const head = cells(lines[first]!)
  const named = head.some((cell) => cell === '' || Number.isNaN(Number(cell)))
  const width = head.length
  const values: number[] = []
  for (let i = named ? first + 1 : first; i < lines.length; i++) {
    if (lines[i]!.trim() === '') continue
    const row = cells(lines[i]!)
    if (row.length !== width)
      fail(
        'INVALID_FILE',
        `${path}, line ${i + 1}: ${row.length} columns in place of ${width}; repair the line`
      )
    row.forEach((cell, c) => {
      const value = cell === '' ? Number.NaN : Number(cell)
      if (!Number.isFinite(value))
        fail(
          'INVALID_FILE',
          `${path}, line ${i + 1}, column ${c + 1}: '${cell}' is no finite number; drop or fill it`
        )
      values.push(value)
    })
  }
  if (values.length === 0) fail('EMPTY_BATCH', `${path} has no rows; give a file with at least one row`)
  return { data: Float32Array.from(values), width, ...(named && { columns: head }) }
}

const npyKinds: Record<string, (buffer: ArrayBuffer) => RealArray> = {
  '<f4': (buffer) => new Float32Array(buffer),
  '<f8': (buffer) => new Float64Array(buffer),
  '|u1': (buffer) => Float32Array.from(new Uint8Array(buffer)),
  '<i4': (buffer) => Float64Array.from(new Int32Array(buffer)),
  '<i8': (buffer) => Float64Array.from(new BigInt64Array(buffer), Number)
}

/** NumPy's format 1.0 to 3.0: magic, version, header length, a Python dictionary, the numbers. */
function parseNpy(path: string, bytes: Buffer): { data: RealArray; shape: number[] } {
  const invalid = (reason: string) =>
    new FfjordError('INVALID_FILE', `${path}: ${reason}; write it with numpy.save as a C-ordered float array`)
  if (bytes.length < 12 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY') throw invalid('it is no .npy file')
  const long = bytes[6]! >= 2
  const start = (long ? 12 : 10) + (long ? bytes.readUInt32LE(8) : bytes.readUInt16LE(8))
  if (start > bytes.length) throw invalid('its header is truncated')
  const header = bytes.toString('latin1', long ? 12 : 10, start)
  const kind = /'descr':\s*'([^']*)'/.exec(header)?.[1]
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1]
  const axes = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1]
  const read = kind === undefined ? undefined : npyKinds[kind]
  if (!read || axes === undefined) throw invalid(`its numbers are of kind ${kind ?? 'unknown'}`)
  const shape = axes
    .split(',')
    .filter((axis) => axis.trim() !== '')
    .map(Number)
  if (order === 'True' && shape.length > 1) throw invalid('it is stored in Fortran order')
  if (shape.length === 0) throw invalid('it holds a single number')
  const body = Uint8Array.from(bytes.subarray(start)).buffer
  const width = Number(kind!.slice(2))
  const count = shape.reduce((product, axis) => product * axis, 1)
  if (body.byteLength !== count * width)
    throw invalid(
      `it holds ${body.byteLength} bytes of numbers, and its shape (${shape}) takes ${count * width}`
    )
  return { data: read(body), shape }
}
