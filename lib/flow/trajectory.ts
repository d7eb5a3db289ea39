import { type Batch, isReal, newArray, sizeOf, type Tensor, toRows } from '../native/batch'
import { choice, fail, integer, isArray, number, show } from '../native/check'
import type { NativeCall, NativeSolveArguments } from '../native/interface'
import { assertRoom } from '../native/room'
import { type EvaluationOptions, evaluationKeys } from './call-options'
import { compute } from './compute'
import { contextCall } from './context'
import type { FlowCore } from './core'
import { drawNoise, noiseOfValues } from './noise'
import { overrideSettings } from './prepare'
import { baseSamples } from './sample'

export type TrajectoryOptions = EvaluationOptions & {
  /** Flow times from 0 (data) to Σ T (base), or how many, equally spaced. They are put in the direction of the solve. */
  times: readonly number[] | number
} & Start

/** Data that flow to the base, base points that flow to the data, or base samples that `sample` would start from. */
type Start =
  | { x: Batch; z?: never; samples?: never }
  | { z: Batch; x?: never; samples?: never }
  | { samples: number; x?: never; z?: never }

export interface Trajectory {
  direction: 'forward' | 'reverse'
  /** They run in the direction of the solve. */
  times: number[]
  /** (times, B, shape): what the CNF blocks integrate. Transforms before the first block and after the last are outside. */
  states: Tensor
  /** (times, B): Δlogp gathered since the start. */
  deltaLogp: Tensor
}

export async function trajectory(core: FlowCore, options: TrajectoryOptions): Promise<Trajectory> {
  const { call, result } = await compute(core, {
    name: 'trajectory',
    known: [...evaluationKeys, 'times', 'x', 'z', 'samples'],
    options,
    prepare: (checked) => trajectoryCall(core, checked),
    run: (native, call) => native.solve<Float32Array>(call)
  })
  const { direction, times, batch } = call
  const { shape } = core.description
  return {
    direction,
    times: [...times],
    states: { data: result.trajectory!, shape: [times.length, batch, ...shape] },
    deltaLogp: { data: result.trajectoryDeltaLogp!, shape: [times.length, batch] }
  }
}

function trajectoryCall(core: FlowCore, given: TrajectoryOptions) {
  const starts = (['x', 'z', 'samples'] as const).filter((key) => given[key] !== undefined)
  if (starts.length !== 1)
    fail('CONTRADICTORY_OPTIONS', 'trajectory needs exactly one of x, z and samples to start from')
  const direction = choice(starts[0] === 'x' ? 'forward' : 'reverse', 'direction', ['forward', 'reverse'])
  const { shape } = core.description
  if (core.description.blocks.some(({ type }) => type === 'squeeze' || type === 'split'))
    fail(
      'UNSUPPORTED',
      'a flow with squeeze or split has no trajectory, as its state changes shape; use forward'
    )
  const settings = overrideSettings(core.settings.evaluation, given)
  const size = sizeOf(shape)
  const points = given.samples === undefined ? toRows(given.x ?? given.z ?? [], shape, starts[0]) : undefined
  const count = points?.count ?? integer(given.samples, 'samples', 1, 2 ** 31 - 1)
  const states = typeof given.times === 'number' ? integer(given.times, 'times', 2) : 1
  assertRoom(Float32Array.BYTES_PER_ELEMENT * states * count * (size + 1))
  const times = flowTimes(given.times, endTime(core), direction)
  const noise = points ? noiseOfValues(given, core.seed) : drawNoise(core, given)
  const rows = points ?? baseSamples(count, size, noise)
  const call: NativeCall<Float32Array> & NativeSolveArguments & { times: Float64Array } = {
    rows: rows.data,
    batch: rows.count,
    ...contextCall(core, given, rows.count, given.x ?? given.z),
    noise,
    settings,
    direction,
    training: false,
    keepTape: false,
    times
  }
  return call
}

/** Σ T over CNF blocks. */
export function endTime({ native }: FlowCore): number {
  const values = native.read('parameters')
  return native.parameters
    .filter(({ role }) => role === 'end_time')
    .reduce((sum, { offset }) => sum + values[offset]! ** 2, 0)
}

function flowTimes(times: unknown, end: number, direction: 'forward' | 'reverse'): Float64Array {
  const ordered = typeof times === 'number' ? spaced(integer(times, 'times', 2), end) : checked(times, end)
  return direction === 'forward' ? ordered : ordered.reverse()
}

function spaced(count: number, end: number): Float64Array {
  return newArray(Float64Array, count).map((_, i) => (end * i) / (count - 1))
}

function checked(times: unknown, end: number): Float64Array {
  if ((!isArray(times) && !isReal(times)) || times.length === 0)
    fail('INVALID_OPTION', `times is ${show(times)}; give a list of times in [0, ${end}], or how many`)
  // T is the square of a float32, so that the T that was asked for may lie a little beyond it.
  return Float64Array.from(times as ArrayLike<number>, (time, i) =>
    Math.min(number(time, `times[${i}]`, { least: 0, most: end * (1 + 1e-6) }), end)
  ).sort()
}
