import { type ArrayOf, type Batch, type Rows, toRows, wantsFloat64 } from '../native/batch'
import { fail, number } from '../native/check'
import type { NativeArray, NativeCall, NativeSettings, WantsFloat64 } from '../native/interface'
import type { EvaluationOptions } from './call-options'
import { contextCall } from './context'
import type { FlowCore } from './core'
import { noiseOfValues } from './noise'
import { normalizeTrace } from './normalize-settings'

/** What a caller hands over, as the core takes it. */

export interface Prepared<B extends Batch> {
  rows: Rows
  float64: WantsFloat64<ArrayOf<B>>
  settings: NativeSettings
  context: { context?: NativeArray }
}

/** Checks of a call on a batch, before anything is drawn. */
export function prepare<B extends Batch>(
  core: FlowCore,
  batch: B,
  name: string,
  options: EvaluationOptions
): Prepared<B> {
  const rows = toRows(batch, core.description.shape, name)
  return {
    rows,
    context: contextCall(core, options, rows.count, batch),
    float64: wantsFloat64(batch),
    settings: overrideSettings(core.settings.evaluation, options)
  }
}

/** The arguments of an evaluation of given rows. */
export function evaluationCall<B extends Batch>(
  core: FlowCore,
  batch: B,
  name: string,
  options: EvaluationOptions
): NativeCall<ArrayOf<B>> & { rows: NativeArray } {
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

/** `settings` with the trace and tolerances of one call. */
export function overrideSettings(settings: NativeSettings, options: EvaluationOptions): NativeSettings {
  const { trace, rtol, atol } = options
  if (trace === undefined && rtol === undefined && atol === undefined) return settings
  const changed = { ...settings, solver: { ...settings.solver } }
  if (trace !== undefined) changed.trace = normalizeTrace(trace)
  if ((rtol !== undefined || atol !== undefined) && settings.solver.steps > 0)
    fail(
      'CONTRADICTORY_OPTIONS',
      `rtol and atol have no meaning with ${settings.solver.method}, whose steps are fixed`
    )
  if (rtol !== undefined) changed.solver.rtol = number(rtol, 'rtol', { least: 0 })
  if (atol !== undefined) changed.solver.atol = number(atol, 'atol', { least: 0 })
  if (changed.solver.rtol === 0 && changed.solver.atol === 0)
    fail('CONTRADICTORY_OPTIONS', 'rtol and atol are both 0; give at least one above 0')
  return changed
}
