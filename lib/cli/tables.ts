import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { extname } from 'node:path'
import { WrongCall } from './exit'
import { replaceFile } from './run-directory'

/** Files of numbers that this command line writes, and `fromFile` reads. */
const KINDS = ['.csv', '.npy']

/** Refuses a name that writeTable could not write, before work starts. */
export function checkTableName(path: string): void {
  if (path === '-' || KINDS.includes(extname(path).toLowerCase())) return
  throw new WrongCall(`--out ${path} is of no known kind; give a .csv or a .npy file, or - for CSV on stdout`)
}

/** Writes rows (n, shape) as CSV with a line of names, or as NumPy's .npy. */
export async function writeTable(
  path: string,
  data: Float32Array | Float64Array,
  shape: readonly number[],
  names: readonly string[]
): Promise<void> {
  if (path === '-') return writeCsv(process.stdout, data, names)
  if (extname(path).toLowerCase() === '.npy') return replaceFile(path, npy(data, shape))
  const stream = createWriteStream(path)
  const opened = once(stream, 'open')
  await opened
  await writeCsv(stream, data, names)
  stream.end()
  await once(stream, 'close')
}

async function writeCsv(
  stream: NodeJS.WritableStream,
  data: Float32Array | Float64Array,
  names: readonly string[]
): Promise<void> {
  const width = names.length
  // float32 numbers need nine digits to be told apart, float64 ones seventeen.
  const text = data instanceof Float32Array ? (value: number) => String(+value.toPrecision(9)) : String
  let lines = [names.map(quoted).join(',')]
  for (let row = 0; row * width < data.length; row++) {
    lines.push(Array.from(data.subarray(row * width, (row + 1) * width), text).join(','))
    if (lines.length < 10_000) continue
    if (!stream.write(`${lines.join('\n')}\n`)) await once(stream, 'drain')
    lines = []
  }
  if (lines.length > 0 && !stream.write(`${lines.join('\n')}\n`)) await once(stream, 'drain')
}

function quoted(name: string): string {
  return /[",\n]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name
}

function npy(data: Float32Array | Float64Array, shape: readonly number[]): Uint8Array {
  const kind = data instanceof Float32Array ? '<f4' : '<f8'
  const axes = shape.length === 1 ? `${shape[0]},` : shape.join(', ')
  const dictionary = `{'descr': '${kind}', 'fortran_order': False, 'shape': (${axes}), }`
  const padded = dictionary.padEnd(Math.ceil((dictionary.length + 11) / 64) * 64 - 11, ' ')
  const head = Buffer.concat([
    Buffer.from('\x93NUMPY\x01\x00', 'latin1'),
    Buffer.alloc(2),
    Buffer.from(`${padded}\n`)
  ])
  head.writeUInt16LE(padded.length + 1, 8)
  return Buffer.concat([head, Buffer.from(data.buffer, data.byteOffset, data.byteLength)])
}
