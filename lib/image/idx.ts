import { damaged, fileBytes } from './file-bytes'

/**
 * The format of MNIST and its like: two zeros, the type of the numbers, how many dimensions, their sizes as 32-bit integers
 * with the high byte first, then the numbers.
 */
export interface Idx {
  shape: number[]
  data: Uint8Array
}

const UNSIGNED_BYTES = 0x08

/** Bytes of `dimensions` dimensions, from an IDX file or one packed by gzip. */
export async function readIdx(path: string, dimensions: number): Promise<Idx> {
  const bytes = await fileBytes(path)
  const [zero, other, type, count] = bytes
  if (bytes.length < 4 || zero !== 0 || other !== 0)
    damaged(
      path,
      `is no IDX file: it begins with ${hex(bytes.subarray(0, 4))} in place of 00 00 08 0${dimensions}`
    )
  if (type !== UNSIGNED_BYTES)
    damaged(
      path,
      `holds numbers of type ${hex(bytes.subarray(2, 3))}, not unsigned bytes (08)`,
      'give a file of bytes'
    )
  if (count !== dimensions)
    damaged(
      path,
      `has ${count} dimensions in place of ${dimensions}`,
      dimensions === 1 ? 'give the file of labels' : 'give the file of images'
    )
  const header = 4 + 4 * dimensions
  if (bytes.length < header) damaged(path, `ends within its header, after ${bytes.length} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const shape = Array.from({ length: dimensions }, (_, i) => view.getUint32(4 + 4 * i))
  const size = shape.reduce((product, length) => product * length, 1)
  const held = bytes.length - header
  if (held < size) {
    const width = size / shape[0]!
    damaged(
      path,
      `ends in entry ${Math.floor(held / width)} of ${shape[0]}: it holds ${held} bytes of ${size}`
    )
  }
  if (held > size) damaged(path, `holds ${held} bytes, and its header says ${size}`)
  if (size === 0) damaged(path, `holds nothing: its header says [${shape}]`)
  return { shape, data: bytes.subarray(header) }
}

function hex(bytes: Uint8Array): string {
  return bytes.length === 0
    ? 'nothing'
    : Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ')
}
