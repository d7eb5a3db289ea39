import { inflateSync } from 'node:zlib'
import { FfjordError } from '../native/errors'
import { damaged, fileBytes } from './file-bytes'

/**
 * MATLAB's MAT-files of level 5: a header of 128 bytes, then variables. Each element begins with its type and how many bytes
 * follow; a variable is an element of elements (flags, sizes, name, numbers), packed by zlib or not.
 */

/** A variable, its numbers column after column as the file has them. */
export interface MatVariable {
  /** Rows, columns … */
  shape: number[]
  data: Uint8Array | Float64Array
}

/** What a variable may be: numbers, text, a list of them, or what is passed over. */
type MatValue = MatVariable | string | MatValue[] | undefined

const COMPRESSED = 15
const MATRIX = 14
const [CELLS, CHARACTERS] = [1, 4]
const isNumeric = (kind: number) => kind >= 6 && kind <= 13
const COMPLEX = 0x08

/** What a name or a text is cut to. */
const MOST_CHARACTERS = 4096

/** The most that a variable may unpack to. */
const MOST_BYTES = 2 ** 32

type Reader = (view: DataView, at: number, little: boolean) => number
const numbers: Record<number, { bytes: number; read: Reader } | undefined> = {
  1: { bytes: 1, read: (view, at) => view.getInt8(at) },
  2: { bytes: 1, read: (view, at) => view.getUint8(at) },
  3: { bytes: 2, read: (view, at, little) => view.getInt16(at, little) },
  4: { bytes: 2, read: (view, at, little) => view.getUint16(at, little) },
  5: { bytes: 4, read: (view, at, little) => view.getInt32(at, little) },
  6: { bytes: 4, read: (view, at, little) => view.getUint32(at, little) },
  7: { bytes: 4, read: (view, at, little) => view.getFloat32(at, little) },
  9: { bytes: 8, read: (view, at, little) => view.getFloat64(at, little) },
  // Text in UTF-8 and UTF-16.
  16: { bytes: 1, read: (view, at) => view.getUint8(at) },
  17: { bytes: 2, read: (view, at, little) => view.getUint16(at, little) }
}
const BYTES = 2

interface Element {
  type: number
  bytes: Uint8Array
  /** Where the next one begins. */
  end: number
}

/** The variables of a file by their names; those that are neither numbers, text nor lists of them are left out. */
export async function readMat5(path: string): Promise<Map<string, MatVariable | string | MatValue[]>> {
  const file = await fileBytes(path)
  const mark = String.fromCharCode(file[126] ?? 0, file[127] ?? 0)
  if (file.length < 128 || (mark !== 'IM' && mark !== 'MI'))
    damaged(
      path,
      'is no MAT-file of level 5',
      "save it anew (save('-v7', …) in MATLAB, scipy.io.savemat in Python)"
    )
  const little = mark === 'IM'
  const variables = new Map<string, MatVariable | string | MatValue[]>()
  for (let at = 128; at < file.length; ) {
    const element = elementAt(file, at)
    const { type, bytes } = element.type === COMPRESSED ? elementAt(unpacked(element.bytes), 0) : element
    if (type === MATRIX) {
      const { name, value } = matrix(bytes)
      if (value !== undefined) variables.set(name, value)
    }
    // What is packed is not filled up to whole words.
    at = element.type === COMPRESSED ? at + 8 + element.bytes.length : element.end
  }
  return variables

  function elementAt(within: Uint8Array, at: number): Element {
    if (at + 8 > within.length) damaged(path, `ends within the head of an element, at byte ${at}`)
    const view = new DataView(within.buffer, within.byteOffset, within.length)
    const first = view.getUint32(at, little)
    // Up to four bytes stand in the head itself.
    const isSmall = first >>> 16 !== 0
    const type = isSmall ? first & 0xffff : first
    const length = isSmall ? first >>> 16 : view.getUint32(at + 4, little)
    const begin = isSmall ? at + 4 : at + 8
    if (begin + length > within.length || (isSmall && length > 4))
      damaged(path, `ends within an element of ${length} bytes, at byte ${at}`)
    const end = isSmall ? at + 8 : begin + Math.ceil(length / 8) * 8
    return { type, bytes: within.subarray(begin, begin + length), end }
  }

  function unpacked(bytes: Uint8Array): Uint8Array {
    try {
      return inflateSync(bytes, { maxOutputLength: MOST_BYTES })
    } catch (cause) {
      throw new FfjordError(
        'INVALID_FILE',
        `${path} cannot be unpacked (${(cause as Error).message}): it is cut short or damaged; fetch it again`,
        { cause }
      )
    }
  }

  function matrix(bytes: Uint8Array): { name: string; value: MatValue } {
    if (bytes.length === 0) return { name: '', value: undefined }
    const flags = elementAt(bytes, 0)
    const sizes = elementAt(bytes, flags.end)
    const name = elementAt(bytes, sizes.end)
    const kind = flags.bytes[little ? 0 : 3]!
    const isComplex = (flags.bytes[little ? 1 : 2]! & COMPLEX) !== 0
    const shape = Array.from(valuesOf(sizes))
    const value = contentOf(kind, isComplex, shape, bytes, name.end)
    return { name: String.fromCharCode(...name.bytes.subarray(0, MOST_CHARACTERS)), value }
  }

  function contentOf(
    kind: number,
    isComplex: boolean,
    shape: number[],
    bytes: Uint8Array,
    at: number
  ): MatValue {
    const count = shape.reduce((product, size) => product * size, 1)
    if (kind === CELLS) {
      const list: MatValue[] = []
      for (let next = at; next < bytes.length && list.length < count; ) {
        const cell = elementAt(bytes, next)
        list.push(matrix(cell.bytes).value)
        next = cell.end
      }
      return list
    }
    if (kind === CHARACTERS)
      return String.fromCharCode(...valuesOf(elementAt(bytes, at)).subarray(0, MOST_CHARACTERS))
    if (!isNumeric(kind) || isComplex) return undefined
    const data = valuesOf(elementAt(bytes, at))
    if (data.length !== count)
      damaged(path, `has ${data.length} numbers in a variable of ${shape.join(' × ')}`)
    return { shape, data }
  }

  function valuesOf({ type, bytes }: Element): Uint8Array | Float64Array {
    if (type === BYTES) return bytes
    const number = numbers[type]
    if (!number) return damaged(path, `has numbers of type ${type}, which are not known`)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    return Float64Array.from({ length: Math.floor(bytes.length / number.bytes) }, (_, i) =>
      number.read(view, i * number.bytes, little)
    )
  }
}
