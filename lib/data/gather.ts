import type { NativeArray } from '../native/interface'

/** Parts of flat arrays of rows, as arrays of the same kind. */

/** Rows (n, width) by their indices. */
export function gatherRows<A extends NativeArray | Uint32Array | Uint16Array | Uint8Array>(
  values: A,
  width: number,
  indices: Uint32Array
): A {
  const gathered = zerosLike(values, indices.length * width)
  indices.forEach((row, i) => {
    gathered.set(values.subarray(row * width, (row + 1) * width), i * width)
  })
  return gathered
}

/** Columns of rows (n, width), in this order. */
export function pickColumns<A extends NativeArray>(values: A, width: number, columns: readonly number[]): A {
  const rows = values.length / width
  const picked = zerosLike(values, rows * columns.length)
  const into: NativeArray = picked
  for (let row = 0, to = 0; row < rows; row++)
    for (const column of columns) into[to++] = values[row * width + column]!
  return picked
}

/** The kind decides and not the class, as arrays of other realms have classes of their own. */
function zerosLike<A extends NativeArray | Uint32Array | Uint16Array | Uint8Array>(
  values: A,
  length: number
): A {
  const kinds = [Uint8Array, Uint16Array, Uint32Array, Float64Array]
  const kind = kinds.find(({ name }) => name === values[Symbol.toStringTag]) ?? Float32Array
  return new kind(length) as A
}
