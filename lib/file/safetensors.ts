import { types } from 'node:util'
import { isReal, sizeOf } from '../native/batch'
import { filePath, integer, isAttached, isObject, list, object, show, text } from '../native/check'
import { FfjordError } from '../native/errors'
import { writeAtomically } from './whole-file'

/** Safetensors: eight bytes of header length, a JSON header, then the tensors without gaps. */

export interface StoredTensor {
  shape: number[]
  /** F16 and BF16 are read as float32. */
  data: Float32Array | Float64Array | BigInt64Array
}

export interface SafetensorsFile {
  metadata: Record<string, string>
  tensors: Map<string, StoredTensor>
}

function metadataOf(entry: unknown): Record<string, string> | undefined {
  if (!isObject(entry)) return undefined
  // A copy, which holds what was checked and is written as it stands, whatever the object does when it is asked again.
  const entries = Object.entries(entry)
  if (entries.some(([, value]) => typeof value !== 'string')) return undefined
  return Object.fromEntries(entries) as Record<string, string>
}

function checkTensor(name: string, value: unknown): StoredTensor {
  const given = object(value, `tensor ${show(name)}`, ['shape', 'data'])
  const shape = list(given.shape, `shape of ${show(name)}`, 'a list of lengths').map((length, i) =>
    integer(length, `shape[${i}] of ${show(name)}`)
  )
  const { data } = given
  if (!isReal(data) && !(types.isBigInt64Array(data) && isAttached(data)))
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
