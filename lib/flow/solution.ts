import {
  type Batch,
  type RealArray,
  sizeOf,
  type Tensor,
  toRows,
  toVector,
  wantsFloat64
} from '../native/batch'
import { boolean, choice, object } from '../native/check'
import { FfjordError, translated } from '../native/errors'
import type { NativeArray, NativeDescription, NativeFlow, NativeSolve } from '../native/interface'
import { type Regulariser, regularisers } from '../native/regularisers'
import { type CallOptions, callKeys, checkOptions, stoppable } from './call'
import { contextCall, contextGradientOf } from './context'
import { assertUsable, drawNoise, type FlowCore } from './core'
import { type SolverStatistics, type Statistics, solverStatistics, statisticsOf } from './statistics'

export interface SolveOptions extends CallOptions {
  /** Training's solver, regularisers and batch statistics, or evaluation's. Default: true. */
  training?: boolean
  /** Keep what pullback needs. Default: true. */
  differentiable?: boolean
}

/** Cotangents of what a solve returned; those left out are zero. */
interface SolutionBar {
  /** (B) */
  deltaLogp?: RealArray | readonly number[]
  /** (B) each, of those that the flow tracks. */
  regularisers?: { [name in Regulariser]?: RealArray | readonly number[] }
  /** Add to the flow's gradients. Default: true. */
  parameters?: boolean
}

interface SolutionCommon<A extends RealArray> {
  /** (B) */
  deltaLogp: A
  /** (B) each, of those that the flow tracks; none outside training. */
  regularisers: { [name in Regulariser]?: A }
  statistics: Statistics
  /** Frees what pullback needs, before the collector does. */
  dispose(): void
  [Symbol.dispose](): void
}

/** x → z with log p(x) = log N(z; 0, I) − deltaLogp. */
export interface ForwardSolution<A extends RealArray = Float32Array> extends SolutionCommon<A> {
  z: Tensor<A>
  /** Adds to the gradients and resolves to the cotangent of x. May be called again. */
  pullback(bar: SolutionBar & { z: Batch }): Promise<Tensor<A>>
  /** The cotangent of the context that the last pullback found, of a conditional flow: (B, size). */
  readonly contextBar?: Tensor<A>
}

/** z → x with log p(x) = log N(z; 0, I) + deltaLogp. */
export interface ReverseSolution<A extends RealArray = Float32Array> extends SolutionCommon<A> {
  x: Tensor<A>
  /** Adds to the gradients and resolves to the cotangent of z. May be called again. */
  pullback(bar: SolutionBar & { x: Batch }): Promise<Tensor<A>>
  /** The cotangent of the context that the last pullback found, of a conditional flow: (B, size). */
  readonly contextBar?: Tensor<A>
}

interface SolutionContext {
  native: NativeFlow
  shape: readonly number[]
  batch: number
  direction: 'forward' | 'reverse'
  tracked: readonly Regulariser[]
  float64: boolean
  description: NativeDescription
  report(backward: SolverStatistics): void
}

/** A solve and its derivative: the differentiable level under every loss. */
export class Solution {
  readonly z?: Tensor<NativeArray>
  readonly x?: Tensor<NativeArray>
  readonly deltaLogp: NativeArray
  readonly regularisers: { [name in Regulariser]?: NativeArray } = {}
  contextBar?: Tensor<NativeArray>
  readonly statistics: Statistics
  readonly #context: SolutionContext
  #tape: NativeSolve['tape']

  constructor(context: SolutionContext, solve: NativeSolve) {
    const rows = { data: solve.z, shape: [context.batch, ...context.shape] }
    if (context.direction === 'forward') this.z = rows
    else this.x = rows
    this.deltaLogp = solve.deltaLogp
    context.tracked.forEach((name, r) => {
      this.regularisers[name] = column(solve.regularisers, context.tracked.length, r)
    })
    this.statistics = statisticsOf(solve.statistics)
    this.#context = context
    this.#tape = solve.tape
  }

  async pullback(bar: SolutionBar & { z?: Batch; x?: Batch }): Promise<Tensor<NativeArray>> {
    const { native, shape, batch, direction, tracked, float64, description, report } = this.#context
    const tape = this.#tape
    if (!tape)
      throw new FfjordError(
        'DISPOSED',
        'this solution keeps nothing to differentiate; solve again, without differentiable: false'
      )
    const name = direction === 'forward' ? 'z' : 'x'
    const given = object(bar, 'pullback', [name, 'deltaLogp', 'parameters', 'regularisers'])
    const regularisersBar = object(given.regularisers ?? {}, 'pullback.regularisers', tracked)
    const rows = toRows(given[name] as Batch, shape, name)
    if (rows.count !== batch)
      throw new FfjordError('INVALID_SHAPE', `${name} holds ${rows.count} rows; the solve had ${batch}`)
    const vector = (value: unknown, name: string) =>
      value === undefined ? undefined : toVector(value as RealArray, batch, name)
    const deltaLogpBar = vector(given.deltaLogp, 'deltaLogp')
    const columns = tracked.map((name) => vector(regularisersBar[name], name))
    const { rowsBar, contextBar, statistics } = await translated(() =>
      native.pullback(tape, {
        zBar: rows.data,
        ...(deltaLogpBar && { deltaLogpBar }),
        ...(tracked.length > 0 && { regularisersBar: interleave(columns, batch) }),
        parameters: boolean(given.parameters ?? true, 'parameters'),
        contextGradient: description.context !== undefined,
        float64
      })
    )
    this.statistics.backward = solverStatistics(statistics)
    report(this.statistics.backward)
    if (contextBar) this.contextBar = contextGradientOf({ description }, contextBar)
    return { data: rowsBar, shape: [batch, ...shape] }
  }

  dispose(): void {
    this.#tape?.release()
    this.#tape = undefined
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

function column(values: NativeArray, width: number, index: number): NativeArray {
  return values.filter((_, i) => i % width === index)
}

function interleave(columns: (NativeArray | undefined)[], rows: number): Float64Array {
  const values = new Float64Array(sizeOf([rows, columns.length]))
  columns.forEach((column, c) => {
    column?.forEach((value, row) => {
      values[row * columns.length + c] = value
    })
  })
  return values
}

export async function solve(
  core: FlowCore,
  batch: Batch,
  given: SolveOptions & { direction?: 'forward' | 'reverse' }
): Promise<Solution> {
  assertUsable(core)
  const options = checkOptions(given, 'solve', [...callKeys, 'direction', 'training', 'differentiable'])
  const direction = choice(options.direction ?? 'forward', 'direction', ['forward', 'reverse'])
  const training = boolean(options.training ?? true, 'training')
  const keepTape = boolean(options.differentiable ?? true, 'differentiable')
  const { shape } = core.description
  const rows = toRows(batch, shape, direction === 'forward' ? 'x' : 'z')
  const settings = training ? core.settings.training : core.settings.evaluation
  const float64 = wantsFloat64(batch)
  const noise = drawNoise(core, options)
  const call = {
    rows: rows.data,
    batch: rows.count,
    ...contextCall(core, options, rows.count, batch),
    noise,
    settings,
    float64,
    direction,
    training,
    keepTape
  }
  const result = await stoppable(options.signal, (stop) => core.native.solve({ ...call, ...stop }))
  const tracked = regularisers.filter((name) => settings.regularize[name] !== undefined)
  const report = (backward: SolverStatistics) => {
    if (core.statistics) core.statistics.backward = backward
  }
  const context = {
    native: core.native,
    shape,
    batch: rows.count,
    direction,
    tracked,
    float64,
    description: core.description,
    report
  }
  const solution = new Solution(context, result)
  core.statistics = { ...solution.statistics }
  return solution
}
