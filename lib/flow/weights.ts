import { firstNotFinite, isReal, type RealArray, sizeOf, type Tensor } from '../native/batch'
import { fail, integer, isObject, list, nearest, show } from '../native/check'
import { translatedSync } from '../native/errors'
import type { NativeArray, NativeBuffer, NativeTensor, NativeTensors } from '../native/interface'
import { assertUsable } from './core'
import { impossible, impossibleNorm } from './impossible'

/** Tensors by the reference implementation's state-dict names. */
export type Weights = Record<string, Tensor<RealArray>>

/** What has tensors: a flow's core, or an autoencoder's. */
interface Owner {
  readonly native: NativeTensors
  readonly disposed: boolean
}

export function layoutOf(
  native: Pick<NativeTensors, 'parameters' | 'buffers'>,
  buffer: NativeBuffer
): NativeTensor[] {
  return buffer === 'statistics' ? native.buffers : native.parameters
}

/** One flat buffer of the flow cut into its tensors. */
export function readTensors(core: Owner, buffer: NativeBuffer): Weights {
  assertUsable(core)
  const { native } = core
  return translatedSync(() => cut(native.read(buffer), layoutOf(native, buffer)))
}

export function cut(values: NativeArray, layout: readonly NativeTensor[]): Weights {
  const entries = layout.map(({ name, shape, offset, size }) => [
    name,
    { data: values.slice(offset, offset + size), shape: [...shape] }
  ])
  return Object.fromEntries(entries)
}

/** Checks every tensor, then writes all of them. */
export function writeTensors(
  core: Owner,
  weights: Record<string, RealArray | { data: RealArray; shape?: readonly number[] }>
): void {
  assertUsable(core)
  if (!isObject(weights))
    fail('INVALID_INPUT', `weights is ${show(weights)}; give an object of name → { data, shape }`)
  const { native } = core
  const buffers = ['parameters', 'statistics'] as const
  const written = buffers.map((buffer) => ({ buffer, values: native.read(buffer), changed: false }))
  for (const [name, value] of Object.entries(weights)) {
    const found = buffers
      .map((buffer, i) => ({
        target: written[i]!,
        tensor: layoutOf(native, buffer).find((one) => one.name === name)
      }))
      .find(({ tensor }) => tensor)
    if (!found?.tensor) {
      const known = [...native.parameters, ...native.buffers].map((one) => one.name)
      const near = nearest(name, known)
      fail(
        'INVALID_OPTION',
        `this model has no tensor '${name}'; ${near ? `did you mean '${near}'?` : 'see parameters()'}`
      )
    }
    found.target.values.set(tensorData(name, value, found.tensor), found.tensor.offset)
    found.target.changed = true
  }
  const [parameters, statistics] = written.map(({ values }) => values) as [NativeArray, NativeArray]
  refuse(impossible(native, { parameters, statistics }))
  translatedSync(() => {
    const before = buffers.map((buffer) => ({ buffer, values: native.read(buffer) }))
    const write = ({ buffer, values }: { buffer: NativeBuffer; values: NativeArray }) => {
      if (values.length > 0) native.write(buffer, values)
    }
    for (const one of written) if (one.changed) write(one)
    const reason = impossibleNorm(native, native.read('statistics'))
    if (reason !== undefined) before.forEach(write)
    refuse(reason)
  })
}

function refuse(reason: string | undefined): void {
  if (reason !== undefined) fail('INVALID_INPUT', `${reason}; give weights that a flow can have`)
}

function tensorData(name: string, value: unknown, { shape, size }: NativeTensor): RealArray {
  const data = isObject(value) ? value.data : value
  if (!isReal(data))
    fail('INVALID_INPUT', `${name} is ${show(value)}; give a Float32Array or { data, shape }`)
  const given =
    isObject(value) && value.shape !== undefined
      ? list(value.shape, `the shape of ${name}`, 'a list of lengths').map((length) =>
          integer(length, `a length of ${name}`)
        )
      : [...shape]
  const same = given.length === shape.length && given.every((length, i) => length === shape[i])
  if (data.length !== size || sizeOf(given) !== size || !same)
    fail('INVALID_SHAPE', `${name} has shape [${given}] and ${data.length} numbers; it needs [${shape}]`)
  if (firstNotFinite(data) >= 0) fail('NOT_FINITE', `${name} holds NaN or infinity; give finite weights`)
  return data
}
