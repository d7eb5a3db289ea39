import { type Maker, type Pickled, unpickled } from '../file/pickle'
import { damaged, fileBytes } from './file-bytes'

/** A list of arrays of bytes that NumPy pickled as text, as the published Frey faces are. */

export interface PickledArray {
  shape: number[]
  data: Uint8Array
}

/** The names that NumPy's arrays are made of. */
const RECONSTRUCT = /^numpy\.(core|_core)\.multiarray _reconstruct$/
const ARRAY = 'numpy ndarray'
const TYPE = 'numpy dtype'

/** An array is empty, or a type, until it is told its state. */
class Made {
  type?: string
  array?: PickledArray
}

const maker: Maker<Made> = {
  knows: (name) => RECONSTRUCT.test(name) || name === ARRAY || name === TYPE,
  call(name, given) {
    const object = new Made()
    if (name === TYPE) object.type = String(given[0])
    return object
  },
  /** A type has a state, too, which says nothing of bytes. */
  build(object, state) {
    if (!(object instanceof Made) || !Array.isArray(state))
      throw new Error('it sets the state of what is no array')
    if (object.type === undefined) object.array = arrayOf(state)
  }
}

/** @throws FfjordError INVALID_FILE on anything else */
export async function readPickledArrays(path: string): Promise<PickledArray[]> {
  const bytes = await fileBytes(path)
  try {
    const list = unpickled(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1'),
      maker
    )
    const arrays = Array.isArray(list) ? list.map((one) => one instanceof Made && one.array) : []
    if (arrays.length === 0 || !arrays.every((one) => one))
      throw new Error('it holds no list of arrays of bytes')
    return arrays as PickledArray[]
  } catch (error) {
    return damaged(path, (error as Error).message.replace(/^it /, ''), 'give the file as it is published')
  }
}

function arrayOf([, shape, type, byColumns, data]: Pickled<Made>[]): PickledArray {
  if (!(type instanceof Made) || type.type !== 'u1') throw new Error('it holds an array that is not of bytes')
  if (byColumns !== false && byColumns !== 0) throw new Error('it holds an array by its columns')
  if (!Array.isArray(shape) || typeof data !== 'string') throw new Error('it holds an array without bytes')
  const sizes = shape.map(Number)
  if (sizes.reduce((product, size) => product * size, 1) !== data.length)
    throw new Error(`it has ${data.length} bytes in an array of ${sizes.join(' × ')}`)
  return { shape: sizes, data: Uint8Array.from(Buffer.from(data, 'latin1')) }
}
