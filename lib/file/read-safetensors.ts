import { type FileHandle, open, stat } from 'node:fs/promises'
import { sizeOf } from '../native/batch'
import { filePath, isObject, show } from '../native/check'
import { FfjordError } from '../native/errors'
import { unreadable } from './file-errors'
import { halfToFloat } from './half'
import { parseJson } from './json'
import type { SafetensorsFile, StoredTensor } from './safetensors'

/** Reads safetensors, the header first: what it claims is checked against the file before anything else is read. */

/** Where a tensor stands in a file. */
export interface TensorEntry {
  dtype: string
  shape: number[]
  /** Counted in bytes, from the end of the header. */
  begin: number
  end: number
}

export interface OpenSafetensors {
  metadata: Record<string, string>
  entries: Map<string, TensorEntry>
  read(name: string): Promise<StoredTensor>
  close(): Promise<void>
}

/** The format allows 100 MB; ten thousand layers with all state of training take 10 MB, and a header is read at once. */
const largestHeader = 2 ** 24
const bytesOf = new Map([
  ['F64', 8],
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
  ['I64', 8]
])

/** @throws FfjordError FILE_NOT_FOUND, FILE_NOT_READABLE, INVALID_FILE */
export async function readSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await openSafetensors(path)
  try {
    const tensors = new Map<string, StoredTensor>()
    for (const name of file.entries.keys()) tensors.set(name, await file.read(name))
    return { metadata: file.metadata, tensors }
  } finally {
    await file.close()
  }
}

/** Reads the header; whoever gets it closes the file. */
export async function openSafetensors(path: string): Promise<OpenSafetensors> {
  const file = await openFile(filePath(path))
  try {
    const { size } = await file.stat()
    const headerLength = await headerLengthOf(path, file, size)
    const bytes = await readAt(path, file, 8, headerLength)
    const { metadata, entries } = checkHeader(path, bytes, size - 8 - headerLength)
    return {
      metadata,
      entries,
      read: async (name) => {
        const { dtype, shape, begin, end } = entries.get(name)!
        return { shape, data: decode(dtype, await readAt(path, file, 8 + headerLength + begin, end - begin)) }
      },
      close: () => file.close()
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

/** A pipe would be waited for, and a device may have no end. */
async function openFile(path: string): Promise<FileHandle> {
  try {
    const found = await stat(path)
    if (!found.isFile() && !found.isDirectory())
      throw new FfjordError('FILE_NOT_READABLE', `${path} is no regular file; give a file on a disk`)
    if (found.isDirectory()) throw Object.assign(new Error('a folder'), { code: 'EISDIR' })
    return await open(path, 'r')
  } catch (error) {
    throw unreadable(path, error)
  }
}

async function readAt(path: string, file: FileHandle, position: number, length: number): Promise<Uint8Array> {
  try {
    const bytes = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      // The system takes at most 2 GiB at a time.
      const { bytesRead } = await file.read(bytes, done, Math.min(length - done, 2 ** 30), position + done)
      if (bytesRead === 0) throw invalid(path, 'it became shorter while it was read')
      done += bytesRead
    }
    return bytes
  } catch (error) {
    if (error instanceof RangeError)
      throw new FfjordError('OUT_OF_MEMORY', `${path}: no memory for ${length} bytes of it; free some`)
    throw unreadable(path, error)
  }
}

function invalid(
  path: string,
  reason: string,
  remedy = 'it may be truncated or no safetensors file; write or fetch it again',
  cause?: unknown
): FfjordError {
  return new FfjordError('INVALID_FILE', `${path}: ${reason}; ${remedy}`, { cause })
}

async function headerLengthOf(path: string, file: FileHandle, size: number): Promise<number> {
  if (size < 8) throw invalid(path, `it has ${size} bytes, and a header takes more`)
  const bytes = await readAt(path, file, 0, 8)
  const length = new DataView(bytes.buffer).getBigUint64(0, true)
  if (length > size - 8) throw invalid(path, `its header claims ${length} bytes, and the file has ${size}`)
  if (length > largestHeader)
    throw invalid(path, `its header has ${length} bytes`, `store it with one of at most ${largestHeader}`)
  return Number(length)
}

function checkHeader(path: string, bytes: Uint8Array, bodyLength: number) {
  const header = parseHeader(path, bytes)
  let metadata: Record<string, string> = {}
  const entries = new Map<string, TensorEntry>()
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!holdsStrings(value)) throw invalid(path, '__metadata__ must hold strings')
      metadata = value
      continue
    }
    const entry = entryOf(value)
    if (!entry) throw invalid(path, `the header's entry of ${show(name)} is malformed`)
    const { dtype, shape, begin, end } = entry
    const bytesEach = bytesOf.get(dtype)
    if (!bytesEach)
      throw invalid(
        path,
        `${show(name)} has dtype ${show(dtype)}`,
        `store it as one of ${[...bytesOf.keys()].join(', ')}`
      )
    if (end > bodyLength) throw invalid(path, `${show(name)} ends at byte ${end} of ${bodyLength}`)
    if (end - begin !== sizeOf(shape) * bytesEach)
      throw invalid(
        path,
        `${show(name)} of shape ${show(shape)} and dtype ${dtype} does not fill its ${end - begin} bytes`
      )
    entries.set(name, entry)
  }
  checkSpans(path, entries, bodyLength)
  return { metadata, entries }
}

/** The tensors' bytes follow each other, from the header's end to the file's. */
function checkSpans(path: string, entries: ReadonlyMap<string, TensorEntry>, bodyLength: number): void {
  const spans = [...entries].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end)
  let reached = 0
  for (const [name, { begin, end }] of spans) {
    if (begin !== reached) throw invalid(path, `the bytes of ${show(name)} overlap others, or leave a gap`)
    reached = end
  }
  if (reached !== bodyLength)
    throw invalid(path, `${bodyLength - reached} bytes at its end belong to no tensor`)
}

function parseHeader(path: string, bytes: Uint8Array): Record<string, unknown> {
  let header: unknown
  try {
    header = parseJson(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  } catch (cause) {
    throw invalid(path, `its header is not JSON (${(cause as Error).message})`, undefined, cause)
  }
  if (!isObject(header)) throw invalid(path, 'its header is not a JSON object')
  return header
}

function holdsStrings(value: unknown): value is Record<string, string> {
  return isObject(value) && Object.values(value).every((one) => typeof one === 'string')
}

function entryOf(value: unknown): TensorEntry | undefined {
  if (!isObject(value)) return undefined
  const { dtype, shape, data_offsets: offsets } = value
  const counts = (list: unknown): list is number[] =>
    Array.isArray(list) && list.every((one) => Number.isSafeInteger(one) && one >= 0)
  if (typeof dtype !== 'string' || !counts(shape) || !counts(offsets) || offsets.length !== 2)
    return undefined
  const [begin, end] = offsets as [number, number]
  return begin <= end && Number.isSafeInteger(sizeOf(shape)) ? { dtype, shape, begin, end } : undefined
}

/** The bytes begin a buffer of their own. */
function decode(dtype: string, { buffer }: Uint8Array): StoredTensor['data'] {
  switch (dtype) {
    case 'F64':
      return new Float64Array(buffer)
    case 'F32':
      return new Float32Array(buffer)
    case 'I64':
      return new BigInt64Array(buffer)
    case 'BF16': {
      const bits = Uint32Array.from(new Uint16Array(buffer), (half) => half << 16)
      return new Float32Array(bits.buffer)
    }
    default:
      return Float32Array.from(new Uint16Array(buffer), halfToFloat)
  }
}
