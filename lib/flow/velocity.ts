import {
  type ArrayOf,
  type Batch,
  type RealArray,
  type Tensor,
  toRows,
  toVector,
  wantsFloat64
} from '../native/batch'
import { boolean, fail, integer, number } from '../native/check'
import type { NativeDescription } from '../native/interface'
import { type ContextOptions, type NoiseOptions, noiseKeys } from './call-options'
import { compute } from './compute'
import { contextCall, contextGradientOf, wantsContextGradient } from './context'
import type { FlowCore } from './core'
import { drawNoise } from './noise'
import { normalizeTrace } from './normalize-settings'
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
  /** Default: the flow's own. */
  trace?: Trace
}

export interface Velocity<A extends RealArray = Float32Array> {
  /** dz/dt, in the shape of z. */
  f: Tensor<A>
  /** (B), where it was asked for. */
  divergence?: A
}

export interface VelocityPullbackOptions extends NoiseOptions, ContextOptions {
  /** Time within the block, as of `velocity`. */
  t: number | RealArray | readonly number[]
  /** Counted among the CNF blocks. Default: 0. */
  block?: number
  /** Default: the flow's own. */
  trace?: Trace
  /** Cotangent of f, in the shape of z. */
  f: Batch
  /** Cotangent of the divergence (B). Default: zero. */
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

export async function velocity<B extends Batch>(
  core: FlowCore,
  z: B,
  options: VelocityOptions
): Promise<Velocity<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: 'velocity',
    known: [...noiseKeys, 'context', 't', 'block', 'divergence', 'trace'],
    options,
    prepare: (checked) => ({
      ...point(core, z, checked),
      divergence: boolean(checked.divergence ?? false, 'divergence')
    }),
    run: (native, { shape: _, ...call }) => native.velocity<ArrayOf<B>>(call)
  })
  return {
    f: { data: result.f, shape: call.shape },
    ...(result.divergence && { divergence: result.divergence })
  }
}

export async function velocityPullback<B extends Batch>(
  core: FlowCore,
  z: B,
  options: VelocityPullbackOptions
): Promise<VelocityPullback<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: 'velocityPullback',
    known: [
      ...noiseKeys,
      'context',
      't',
      'block',
      'trace',
      'f',
      'divergence',
      'parameters',
      'contextGradient'
    ],
    options,
    prepare: ({ f, divergence, ...checked }) => {
      const at = point(core, z, checked)
      const fBar = toRows(f, at.shape.slice(1), 'f')
      if (fBar.count !== at.batch)
        fail('INVALID_SHAPE', `f holds ${fBar.count} rows, and z ${at.batch}; make them agree`)
      return {
        ...at,
        fBar: fBar.data,
        ...(divergence !== undefined && { divergenceBar: toVector(divergence, at.batch, 'divergence') }),
        parameters: boolean(checked.parameters ?? true, 'parameters'),
        contextGradient: wantsContextGradient(core, checked)
      }
    },
    run: (native, { shape: _, ...call }) => native.velocityPullback<ArrayOf<B>>(call)
  })
  const { zBar, contextBar } = result
  return {
    z: { data: zBar, shape: call.shape },
    ...(contextBar && { context: contextGradientOf(core, contextBar) })
  }
}

/** Where the field is asked for: points of one CNF block at their times, and the shape of them all. */
function point<B extends Batch>(core: FlowCore, z: B, options: Omit<VelocityOptions, 'divergence'>) {
  const shapes = cnfShapes(core.description)
  const block = integer(options.block ?? 0, 'block', 0, shapes.length - 1)
  const shape = shapes[block]!
  const rows = toRows(z, shape, 'z')
  return {
    block,
    times: timesOf(options.t, rows.count),
    steer: core.settings.training.steer,
    batch: rows.count,
    z: rows.data,
    ...contextCall(core, options, rows.count, z),
    noise: drawNoise(core, options),
    trace: options.trace === undefined ? core.settings.training.trace : normalizeTrace(options.trace),
    float64: wantsFloat64(z),
    shape: [rows.count, ...shape]
  }
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
