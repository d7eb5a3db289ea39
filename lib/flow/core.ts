import type { TableSchema } from '../data/schema'
import { type Batch, type Rows, toRows, wantsFloat64 } from '../native/batch'
import { FfjordError } from '../native/errors'
import type { NativeArray, NativeDescription, NativeFlow, NativeSettings } from '../native/interface'
import { type EvaluationOptions, type NoiseOptions, noiseOf, noiseOfValues, overrideSettings } from './call'
import { contextCall } from './context'
import type { NormalizedSettings } from './normalize'
import type { Optimizer } from './optimizer'
import type { ComputeOptions } from './options'
import type { Statistics } from './statistics'
import type { TrainingState } from './training-state'

/** What a Flow holds, shared with the modules that its methods live in. */
export interface FlowCore {
  readonly native: NativeFlow
  readonly description: NativeDescription
  readonly options: ComputeOptions
  readonly settings: NormalizedSettings
  /** The divergence that each CNF block uses in training: what 'auto' became. */
  readonly traces: string[]
  readonly seed: number
  /** Number of the next iteration or loss that draws noise from the flow's own seed, and of the next other call that does. */
  calls: number
  draws: number
  statistics?: Statistics
  optimizer?: Optimizer
  training?: TrainingState
  /** Columns of the table that the flow was trained on. */
  table?: TableSchema
  disposed: boolean
}

export function assertUsable(core: FlowCore): void {
  if (core.disposed) throw new FfjordError('DISPOSED', 'this flow was disposed; create or load another one')
}

/** Noise of a loss. */
export function lossNoise(core: FlowCore, options: NoiseOptions) {
  return noiseOf(options, core.seed, () => core.calls++)
}

/** Noise of other calls that draw by number: they have the upper half of the numbers, so that training goes on as without them. */
export function drawNoise(core: FlowCore, options: NoiseOptions) {
  return noiseOf(options, core.seed, () => 2 ** 31 + (core.draws++ % 2 ** 31))
}

export interface PreparedCall {
  rows: Rows
  float64: boolean
  settings: NativeSettings
  context: { context?: NativeArray }
}

/** Checks of a call on a batch, before anything is drawn. */
export function prepare(
  core: FlowCore,
  batch: Batch,
  name: string,
  options: EvaluationOptions
): PreparedCall {
  assertUsable(core)
  const rows = toRows(batch, core.description.shape, name)
  return {
    rows,
    context: contextCall(core, options, rows.count, batch),
    float64: wantsFloat64(batch),
    settings: overrideSettings(core.settings.evaluation, options)
  }
}

/** The arguments of an evaluation of the binding. */
export function evaluationCall(core: FlowCore, batch: Batch, name: string, options: EvaluationOptions) {
  const { rows, context, float64, settings } = prepare(core, batch, name, options)
  return {
    rows: rows.data,
    batch: rows.count,
    noise: noiseOfValues(options, core.seed),
    settings,
    float64,
    ...context
  }
}
