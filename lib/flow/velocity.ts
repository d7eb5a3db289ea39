import { type Batch, type RealArray, type Tensor, toRows, toVector, wantsFloat64 } from '../native/batch'
import { boolean, fail, integer, number } from '../native/check'
import { translated } from '../native/errors'
import type { NativeDescription } from '../native/interface'
import { type ContextOptions, checkOptions, type NoiseOptions, noiseKeys } from './call'
import { contextCall, contextGradientOf, wantsContextGradient } from './context'
import { assertUsable, drawNoise, type FlowCore } from './core'
import { normalizeTrace } from './normalize'
import type { Trace } from './options'

export interface VelocityOptions extends NoiseOptions, ContextOptions {
  /**
   * Time within the block: one, or one a row, in [0, T], where the field is trained, give or take a rounding (1e-5 T); with
   * `regularize.steer` up to T (1 + steer), where end times of training lie. Others are refused with INVALID_ARGUMENT.
   */
  t: number | RealArray | readonly number[]
  /** Counted among the CNF blocks. Default: 0. */
  block?: number
  /** Compute the divergence too. Default: false. */
  divergence?: boolean
  trace?: Trace
}

export interface Velocity<A extends RealArray = Float32Array> {
  /** dz/dt, in the shape of z. */
  f: Tensor<A>
  /** (B), where it was asked for. */
  divergence?: A
}

export interface VelocityPullbackOptions extends NoiseOptions, ContextOptions {
  t: number | RealArray | readonly number[]
  block?: number
  trace?: Trace
  /** Cotangent of f, in the shape of z. */
  f: Batch
  /** Cotangent of the divergence (B). */
  divergence?: RealArray | readonly number[]
  /** Add to the flow's gradients. Default: true. */
  parameters?: boolean
  /** Resolve to the cotangent of the context too. Default: false. */
  contextGradient?: boolean
}

export interface VelocityPullback<A extends RealArray = Float32Array> {
  z: Tensor<A>
  /** (B, size), where it was asked for. */
  context?: Tensor<A>
}

export async function velocity<A extends RealArray>(
  core: FlowCore,
  z: Batch,
  given: VelocityOptions
): Promise<Velocity<A>> {
  const options = checkOptions(given, 'velocity', [
    ...noiseKeys,
    'context',
    't',
    'block',
    'divergence',
    'trace'
  ])
  const { call, shape } = point(core, z, options)
  const divergence = boolean(options.divergence ?? false, 'divergence')
  const result = await translated(() => core.native.velocity({ ...call, divergence }))
  const found: Velocity<A> = { f: { data: result.f as A, shape } }
  if (divergence) found.divergence = result.divergence as A
  return found
}

export async function velocityPullback<A extends RealArray>(
  core: FlowCore,
  z: Batch,
  given: VelocityPullbackOptions
): Promise<VelocityPullback<A>> {
  const options = checkOptions(given, 'velocityPullback', [
    ...noiseKeys,
    'context',
    't',
    'block',
    'trace',
    'f',
    'divergence',
    'parameters',
    'contextGradient'
  ])
  const { call, shape } = point(core, z, options)
  const fBar = toRows(options.f, shape.slice(1), 'f')
  if (fBar.count !== call.batch)
    fail('INVALID_SHAPE', `f holds ${fBar.count} rows, and z ${call.batch}; make them agree`)
  const divergenceBar =
    options.divergence === undefined ? undefined : toVector(options.divergence, call.batch, 'divergence')
  const parameters = boolean(options.parameters ?? true, 'parameters')
  const contextGradient = wantsContextGradient(core, options)
  const { zBar, contextBar } = await translated(() =>
    core.native.velocityPullback({
      ...call,
      fBar: fBar.data,
      ...(divergenceBar && { divergenceBar }),
      parameters,
      contextGradient
    })
  )
  const found: VelocityPullback<A> = { z: { data: zBar as A, shape } }
  if (contextBar) found.context = contextGradientOf(core, contextBar) as Tensor<A>
  return found
}

function point(core: FlowCore, z: Batch, options: Omit<VelocityOptions, 'divergence'>) {
  assertUsable(core)
  const shapes = cnfShapes(core.description)
  const block = integer(options.block ?? 0, 'block', 0, shapes.length - 1)
  const shape = shapes[block]!
  const rows = toRows(z, shape, 'z')
  const call = {
    block,
    times: timesOf(options.t, rows.count),
    steer: core.settings.training.steer,
    batch: rows.count,
    z: rows.data,
    ...contextCall(core, options, rows.count, z),
    noise: drawNoise(core, options),
    trace: options.trace === undefined ? core.settings.training.trace : normalizeTrace(options.trace),
    float64: wantsFloat64(z)
  }
  return { call, shape: [rows.count, ...shape] }
}

function timesOf(t: unknown, rows: number): Float64Array {
  if (typeof t === 'number') return Float64Array.of(number(t, 't'))
  return Float64Array.from(toVector(t, rows, 't'))
}

/** Shapes of a sample before each CNF block; squeezes and splits change them. */
function cnfShapes({ shape, blocks }: NativeDescription): number[][] {
  const shapes: number[][] = []
  let current = [...shape]
  for (const block of blocks) {
    if (block.type === 'cnf') shapes.push(current)
    const [channels = 0, height = 0, width = 0] = current
    if (block.type === 'squeeze') current = [4 * channels, height / 2, width / 2]
    if (block.type === 'split') current = [channels / 2, height, width]
  }
  if (shapes.length === 0) fail('INVALID_OPTION', 'this flow has no CNF block, so it has no velocity')
  return shapes
}
