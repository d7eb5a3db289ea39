import { open } from 'node:fs/promises'
import { types } from 'node:util'
import { isReal, sizeOf } from './batch'
import { filePath, integer, isObject, list, object, show, text } from './check'
import { FfjordError } from './errors'
import { unreadable } from './file-errors'
import { writeAtomically } from './whole-file'

/** Reads and writes safetensors: eight bytes of header length, a JSON header, then the tensors without gaps. */

export interface StoredTensor {
  shape: number[]
  /** F16 and BF16 are read as float32. */
  data: Float32Array | Float64Array | BigInt64Array
}

export interface SafetensorsFile {
  metadata: Record<string, string>
  tensors: Map<string, StoredTensor>
}

/** The format's own limit. */
const largestHeader = 100_000_000
const bytesOf: Record<string, number> = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8 }

/** @throws FfjordError FILE_NOT_FOUND, FILE_NOT_READABLE, INVALID_FILE */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const bytes = await readBytes(path)
  const invalid = (
    reason: string,
    remedy = 'it may be truncated or no safetensors file; write or fetch it again'
  ) => new FfjordError('INVALID_FILE', `${path}: ${reason}; ${remedy}`)

  if (bytes.length < 8) throw invalid(`it has ${bytes.length} bytes, and a header takes more`)
  const headerLength = bytes.readBigUInt64LE(0)
  if (headerLength > largestHeader || headerLength > bytes.length - 8)
    throw invalid(`its header claims ${headerLength} bytes, and the file has ${bytes.length}`)
  const bodyStart = 8 + Number(headerLength)
  const header = parseHeader(bytes.subarray(8, bodyStart))
  if (!header) throw invalid('its header is not a JSON object')
  const body = bytes.subarray(bodyStart)

  const file: SafetensorsFile = { metadata: {}, tensors: new Map() }
  const spans: { name: string; begin: number; end: number }[] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      file.metadata = metadataOf(entry) ?? fail(invalid('__metadata__ must hold strings'))
      continue
    }
    const tensor = entryOf(entry)
    if (!tensor) throw invalid(`the header's entry of '${name}' is malformed`)
    const { dtype, shape, begin, end } = tensor
    const bytesEach = bytesOf[dtype]
    if (!bytesEach)
      throw invalid(`'${name}' has dtype ${dtype}`, `store it as one of ${Object.keys(bytesOf).join(', ')}`)
    if (end > body.length) throw invalid(`'${name}' ends at byte ${end} of ${body.length}`)
    if (end - begin !== sizeOf(shape) * bytesEach)
      throw invalid(`'${name}' of shape [${shape}] and dtype ${dtype} does not fill its ${end - begin} bytes`)
    spans.push({ name, begin, end })
    file.tensors.set(name, { shape, data: decode(dtype, body.subarray(begin, end)) })
  }
  spans.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let reached = 0
  for (const { name, begin, end } of spans) {
    if (begin !== reached) throw invalid(`the bytes of '${name}' overlap others, or leave a gap`)
    reached = end
  }
  if (reached !== body.length) throw invalid(`${body.length - reached} bytes at its end belong to no tensor`)
  return file
}

function fail(error: FfjordError): never {
  throw error
}

async function readBytes(path: string): Promise<Buffer> {
  if (typeof path !== 'string')
    throw new FfjordError('INVALID_OPTION', `path is ${show(path)}; give a file's path`)
  try {
    const file = await open(path, 'r')
    try {
      return await file.readFile()
    } finally {
      await file.close()
    }
  } catch (error) {
    throw unreadable(path, error)
  }
}

function parseHeader(bytes: Buffer): Record<string, unknown> | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    const header: unknown = JSON.parse(text)
    return isObject(header) ? header : undefined
  } catch {
    return undefined
  }
}

function metadataOf(entry: unknown): Record<string, string> | undefined {
  if (!isObject(entry) || Object.values(entry).some((value) => typeof value !== 'string')) return undefined
  return entry as Record<string, string>
}

function entryOf(entry: unknown): { dtype: string; shape: number[]; begin: number; end: number } | undefined {
  if (!isObject(entry)) return undefined
  const { dtype, shape, data_offsets: offsets } = entry
  const counts = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((value) => Number.isSafeInteger(value) && value >= 0)
  if (typeof dtype !== 'string' || !counts(shape) || !counts(offsets) || offsets.length !== 2)
    return undefined
  const [begin, end] = offsets as [number, number]
  return begin <= end && Number.isSafeInteger(sizeOf(shape)) ? { dtype, shape, begin, end } : undefined
}

function decode(dtype: string, bytes: Buffer): StoredTensor['data'] {
  const copy = Uint8Array.from(bytes).buffer // aligned
  switch (dtype) {
    case 'F64':
      return new Float64Array(copy)
    case 'F32':
      return new Float32Array(copy)
    case 'I64':
      return new BigInt64Array(copy)
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(copy), (half) => half << 16)
      return new Float32Array(bits.buffer)
    }
    default:
      return Float32Array.from(new Uint16Array(copy), halfToFloat)
  }
}

/** IEEE 754 binary16. */
function halfToFloat(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction ? Number.NaN : sign * Infinity
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function checkTensor(name: string, value: unknown): StoredTensor {
  const given = object(value, `tensor ${show(name)}`, ['shape', 'data'])
  const shape = list(given.shape, `shape of ${show(name)}`, 'a list of lengths').map((length, i) =>
    integer(length, `shape[${i}] of ${show(name)}`)
  )
  const { data } = given
  if (!isReal(data) && !types.isBigInt64Array(data))
    throw new FfjordError(
      'INVALID_INPUT',
      `data of ${show(name)} is ${show(data)}; give a Float32Array, a Float64Array or a BigInt64Array`
    )
  if (data.length !== sizeOf(shape))
    throw new FfjordError(
      'INVALID_SHAPE',
      `${show(name)} has shape [${shape}], and ${data.length} numbers; make them agree`
    )
  return { shape, data }
}

/** Writes beside `path` and renames, so that `path` holds the whole file or what it held before. */
export async function writeSafetensors(path: string, file: SafetensorsFile): Promise<void> {
  filePath(path)
  const given = object(file, 'file', ['metadata', 'tensors'])
  const metadata = metadataOf(given.metadata ?? {})
  if (!metadata)
    throw new FfjordError(
      'INVALID_OPTION',
      'metadata holds something else than strings; give an object of strings'
    )
  if (!types.isMap(given.tensors))
    throw new FfjordError(
      'INVALID_OPTION',
      `tensors is ${show(given.tensors)}; give a Map of name → { shape, data }`
    )
  const header: Record<string, unknown> = { __metadata__: metadata }
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [key, tensor] of given.tensors) {
    const name = text(key, 'the name of a tensor', 'a string')
    const { shape, data } = checkTensor(name, tensor)
    const dtype = types.isFloat64Array(data) ? 'F64' : types.isFloat32Array(data) ? 'F32' : 'I64'
    header[name] = { dtype, shape, data_offsets: [offset, offset + data.byteLength] }
    parts.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    offset += data.byteLength
  }
  const json = Buffer.from(JSON.stringify(header))
  const padded = Buffer.alloc(8 * Math.ceil(json.length / 8), ' ')
  json.copy(padded)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(padded.length))
  await writeAtomically(path, [length, padded, ...parts])
}
