import { types } from 'node:util'
import { fail, integer, isArray, isAttached, isObject, list, show } from './check'
import type { NativeArray, WantsFloat64 } from './interface'
import { assertRoom } from './room'

/** Where a JavaScript array becomes a batch. */

/** Numbers of either precision, one after the other. */
export type RealArray = Float32Array | Float64Array

export interface Tensor<A extends RealArray = Float32Array> {
  data: A
  /** Row-major. */
  shape: number[]
}

/** Something with the layout of a Tensor. */
export interface TensorLike {
  data: RealArray
  shape: readonly number[]
}

/** A tensor of samples, and the context of each, as the batches of a data set have it. */
export interface ConditionedTensor extends TensorLike {
  /** (rows, size) */
  context?: TensorLike
}

/** Samples: a flat array (its length divides by the size of a sample), a tensor, or one array a row. */
export type Batch = RealArray | ConditionedTensor | readonly (readonly number[] | RealArray)[]

/** float64 in, float64 out; everything else gives float32. */
export type ArrayOf<B> = B extends Float64Array | { data: Float64Array } ? Float64Array : Float32Array

export interface Rows {
  data: NativeArray
  count: number
}

export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** Zeros of a length that the caller decides. */
export function newArray<A extends RealArray | Uint32Array | Uint8Array>(
  kind: { new (length: number): A; readonly BYTES_PER_ELEMENT: number },
  length: number
): A {
  assertRoom(kind.BYTES_PER_ELEMENT * length)
  try {
    return new kind(length)
  } catch {
    return fail('OUT_OF_MEMORY', `no memory for an array of ${length} numbers; ask for fewer at a time`)
  }
}

export function isReal(value: unknown): value is RealArray {
  return (types.isFloat32Array(value) || types.isFloat64Array(value)) && isAttached(value)
}

export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value) && isAttached(value)
}

/** The numbers `first` … `last` − 1 of an array that its caller may have transferred or resized since it was checked. */
export function partOf(array: NativeArray, first: number, last: number, name: string): NativeArray {
  if (!isAttached(array) || array.length < last)
    fail('INVALID_INPUT', `the array of ${name} was transferred or resized meanwhile; give a copy`)
  return array.subarray(first, last)
}

/** Whether results should be float64 arrays, as ArrayOf says. */
export function wantsFloat64<B extends Batch>(batch: B): WantsFloat64<ArrayOf<B>> {
  const given: unknown = batch
  const wants = types.isFloat64Array(given) || (isObject(given) && types.isFloat64Array(given.data))
  return wants as WantsFloat64<ArrayOf<B>>
}

/** Checks a batch of samples of `shape` and flattens it. A `float64` row is kept as it is. */
export function toRows(batch: Batch, shape: readonly number[], name = 'batch'): Rows {
  const size = sizeOf(shape)
  const data = flatten(batch, shape, size, name)
  if (data.length === 0) fail('EMPTY_BATCH', `${name} is empty; give at least one row`)
  if (data.length % size !== 0)
    fail(
      'INVALID_SHAPE',
      `${name} holds ${data.length} numbers, which is no multiple of ${size}, the size of a sample [${shape}]`
    )
  const bad = firstNotFinite(data)
  if (bad >= 0) {
    const place = `row ${Math.floor(bad / size)}, column ${bad % size}`
    fail('NOT_FINITE', `${name} holds ${data[bad]} in ${place}; drop or fill such rows`)
  }
  return { data, count: data.length / size }
}

function flatten(batch: Batch, shape: readonly number[], size: number, name: string): NativeArray {
  if (isReal(batch)) return batch
  if (isArray(batch)) return flattenRows(batch, size, name)
  if (isObject(batch) && 'data' in batch) {
    const { data, shape: lengths } = batch as Partial<TensorLike>
    if (!isReal(data)) refuse(data, `${name}.data`)
    const given = isArray(lengths) ? Array.from(lengths) : []
    if (given.length === 0 || !given.every((length) => Number.isSafeInteger(length) && length >= 0))
      fail('INVALID_SHAPE', `${name}.shape is ${show(lengths)}; give [rows, ${shape.join(', ')}]`)
    if (sizeOf(given) !== data.length)
      fail(
        'INVALID_SHAPE',
        `${name}.shape is [${given}], but data holds ${data.length} numbers; make them agree`
      )
    const tail = given.slice(1)
    const flat = tail.length === 1 && tail[0] === size
    if (!flat && (tail.length !== shape.length || tail.some((length, i) => length !== shape[i])))
      fail(
        'INVALID_SHAPE',
        `${name}.shape is [${given}]; samples of this flow need [rows, ${shape.join(', ')}]`
      )
    return data
  }
  return refuse(batch, name)
}

function flattenRows(rows: readonly unknown[], size: number, name: string): NativeArray {
  const data = newArray(Float64Array, rows.length * size)
  // A loop and not forEach, which passes over holes.
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r]
    if (!isArray(row) && !isReal(row))
      fail('INVALID_INPUT', `${name}[${r}] is ${show(row)}; give an array of ${size} numbers a row`)
    if (row.length !== size)
      fail('INVALID_SHAPE', `${name}[${r}] holds ${row.length} numbers; a sample has ${size}`)
    for (let c = 0; c < size; c++) {
      const value: unknown = row[c]
      if (typeof value !== 'number')
        fail('INVALID_INPUT', `${name}[${r}][${c}] is ${show(value)}; give a number`)
      data[r * size + c] = value
    }
  }
  return data
}

function refuse(value: unknown, name: string): never {
  return fail(
    'INVALID_INPUT',
    `${name} is ${show(value)}; give a Float32Array, a Float64Array, { data, shape } or an array of rows`
  )
}

/** The index of the first NaN or infinity, −1 if there is none. */
export function firstNotFinite(values: NativeArray): number {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return i
  return -1
}

/** A list of finite numbers: an array of them, or a typed array. Float arrays come back as they are. */
export function toReals(value: unknown, name: string): NativeArray {
  const data = isReal(value) ? value : toNumbers(value, name)
  const bad = firstNotFinite(data)
  if (bad >= 0) fail('NOT_FINITE', `${name}[${bad}] is ${data[bad]}; give finite numbers`)
  return data
}

/** A copy of the same, finite or not. Nothing that is no number passes for one, as null would for 0. */
export function toNumbers(value: unknown, name: string): Float64Array {
  const typed = types.isTypedArray(value) && !types.isBigInt64Array(value) && !types.isBigUint64Array(value)
  // One that was transferred is empty, and cannot be read.
  if (typed && isAttached(value))
    return value.length === 0 ? new Float64Array() : Float64Array.from(value as Int32Array)
  if (!isArray(value)) fail('INVALID_INPUT', `${name} is ${show(value)}; give an array of numbers`)
  const numbers: number[] = []
  for (let i = 0; i < value.length; i++) {
    const entry = value[i]
    if (typeof entry !== 'number') fail('INVALID_INPUT', `${name}[${i}] is ${show(entry)}; give a number`)
    numbers.push(entry)
  }
  return Float64Array.from(numbers)
}

/** A vector of `count` finite numbers, one a row. */
export function toVector(value: unknown, count: number, name: string): NativeArray {
  const data = toReals(value, name)
  if (data.length !== count)
    fail('INVALID_SHAPE', `${name} holds ${data.length} numbers; give one a row, ${count}`)
  return data
}

/** Checks the shape of one sample. */
export function checkShape(value: unknown): number[] {
  const shape = list(value, 'shape', 'the shape of one sample, like [2]')
  if (shape.length === 0) fail('INVALID_SHAPE', 'shape is []; give the shape of one sample, like [2]')
  return shape.map((size, i) => integer(size, `shape[${i}]`, 1, 2 ** 31 - 1))
}

/** The rows of a batch that says itself how long a row is. */
export function rowsOf(x: Batch): { data: Float32Array | Float64Array; dimension: number; count: number } {
  const first: unknown = isArray(x) ? x[0] : undefined
  const shape: unknown =
    isArray(first) || isReal(first) ? [0, first.length] : isObject(x) && !isReal(x) ? x.shape : undefined
  if (!isArray(shape) || shape.length < 2)
    fail(
      'INVALID_SHAPE',
      `x is ${show(x)}, and the length of a row is not known; give { data, shape: [rows, D] } or an array of rows`
    )
  const dimension = sizeOf(checkShape(shape.slice(1)))
  return { ...toRows(x, [dimension], 'x'), dimension }
}
