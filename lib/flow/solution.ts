import {
  type ArrayOf,
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
import type { NativeArray, NativeSolve, WantsFloat64 } from '../native/interface'
import { type Regulariser, regularisers } from '../native/regularisers'
import { type CallOptions, callKeys } from './call-options'
import { compute } from './compute'
import { contextCall, contextGradientOf } from './context'
import type { FlowCore } from './core'
import { drawNoise } from './noise'
import { type Statistics, solverStatistics, statisticsOf } from './statistics'

export interface SolveOptions extends CallOptions {
  /** Training's solver, regularisers and batch statistics, or evaluation's. Default: true. */
  training?: boolean
  /** Keep what pullback needs. Default: true. */
  differentiable?: boolean
}

/** Cotangents of what a solve returned; those left out are zero. */
interface SolutionBar {
  /** (B). Default: zero. */
  deltaLogp?: RealArray | readonly number[]
  /** (B) each, of those that the flow tracks. Default: zero. */
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

/** What was solved, and of which flow. */
interface Solved<A extends NativeArray> {
  core: FlowCore
  batch: number
  direction: 'forward' | 'reverse'
  tracked: readonly Regulariser[]
  float64?: WantsFloat64<A>
}

/** A solve and its derivative: the differentiable level under every loss. */
export class Solution<A extends NativeArray> {
  readonly z?: Tensor<A>
  readonly x?: Tensor<A>
  readonly deltaLogp: A
  readonly regularisers: { [name in Regulariser]?: A } = {}
  contextBar?: Tensor<A>
  readonly statistics: Statistics
  readonly #solved: Solved<A>
  #tape: NativeSolve['tape']

  constructor(solved: Solved<A>, solve: NativeSolve<A>) {
    const { core, batch, direction, tracked } = solved
    const rows = { data: solve.z, shape: [batch, ...core.description.shape] }
    if (direction === 'forward') this.z = rows
    else this.x = rows
    this.deltaLogp = solve.deltaLogp
    tracked.forEach((name, r) => {
      this.regularisers[name] = column(solve.regularisers, tracked.length, r)
    })
    this.statistics = statisticsOf(solve.statistics)
    this.#solved = solved
    this.#tape = solve.tape
  }

  async pullback(bar: SolutionBar & { z?: Batch; x?: Batch }): Promise<Tensor<A>> {
    const { core, batch, direction, tracked, float64 } = this.#solved
    const { shape, context } = core.description
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
      core.native.pullback(tape, {
        zBar: rows.data,
        ...(deltaLogpBar && { deltaLogpBar }),
        ...(tracked.length > 0 && { regularisersBar: interleave(columns, batch) }),
        parameters: boolean(given.parameters ?? true, 'parameters'),
        contextGradient: context !== undefined,
        ...(float64 !== undefined && { float64 })
      })
    )
    this.statistics.backward = solverStatistics(statistics)
    if (core.statistics) core.statistics.backward = this.statistics.backward
    if (contextBar) this.contextBar = contextGradientOf(core, contextBar)
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

/** One column of (rows, width). */
function column<A extends NativeArray>(values: A, width: number, index: number): A {
  return values.filter((_, i) => i % width === index) as A
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

export async function solve<B extends Batch>(
  core: FlowCore,
  batch: B,
  options: SolveOptions & { direction?: 'forward' | 'reverse' }
): Promise<Solution<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: 'solve',
    known: [...callKeys, 'direction', 'training', 'differentiable'],
    options,
    prepare: (checked) => {
      const direction = choice(checked.direction ?? 'forward', 'direction', ['forward', 'reverse'])
      const training = boolean(checked.training ?? true, 'training')
      const keepTape = boolean(checked.differentiable ?? true, 'differentiable')
      const rows = toRows(batch, core.description.shape, direction === 'forward' ? 'x' : 'z')
      return {
        rows: rows.data,
        batch: rows.count,
        noise: drawNoise(core, checked),
        ...contextCall(core, checked, rows.count, batch),
        settings: training ? core.settings.training : core.settings.evaluation,
        float64: wantsFloat64(batch),
        direction,
        training,
        keepTape
      }
    },
    run: (native, call) => native.solve<ArrayOf<B>>(call)
  })
  const { batch: count, direction, float64, settings } = call
  const tracked = regularisers.filter((name) => settings.regularize[name] !== undefined)
  return new Solution({ core, batch: count, direction, tracked, float64 }, result)
}
