import { binding } from '../native/binding'
import { FfjordError, isFfjordError, translated, translatedSync } from '../native/errors'
import type { NativeFlow, NativeSolveStatistics, NativeStop } from '../native/interface'
import { type CallOptions, checkOptions } from './call-options'
import { assertUsable, type FlowCore } from './core'
import { type Statistics, statisticsOf } from './statistics'

/** One call of a flow, as its method describes it. */
export interface Computation<O extends CallOptions, C extends object, R> {
  /** The name of the method, and the options that it knows. */
  name: string
  known: readonly string[]
  options: O | undefined
  /** Checks the batch and what else was given, draws noise, and makes what the core takes. */
  prepare(options: O): C
  run(native: NativeFlow, call: C & { stop?: NativeStop }): R
  /** What `flow.statistics` says afterwards. Default: what the result has as `statistics`, if it has any. */
  counts?(result: Awaited<R>): Statistics
}

/**
 * Every method of a flow that computes goes through here: its options are checked, the core's call waits for those before
 * it, the caller's signal ends it, errors are translated, and its counts become `flow.statistics`.
 */
export async function compute<O extends CallOptions, C extends object, R>(
  core: FlowCore,
  { name, known, options, prepare, run, counts }: Computation<O, C, Promise<R>>
): Promise<{ call: C; result: R }> {
  assertUsable(core)
  const checked = checkOptions(options, name, known)
  const call = prepare(checked)
  const result = await stoppable(checked.signal, (stop) => run(core.native, { ...call, ...stop }))
  note(core, counts ? counts(result as Awaited<R>) : countsOf(result))
  return { call, result }
}

/** Does the same on the caller's thread, where no signal can arrive. */
export function computeSync<O extends CallOptions, C extends object, R>(
  core: FlowCore,
  { name, known, options, prepare, run }: Omit<Computation<O, C, R>, 'counts'>
): { call: C; result: R } {
  assertUsable(core)
  const call = prepare(checkOptions(options, name, known))
  const result = translatedSync(() => run(core.native, call))
  note(core, countsOf(result))
  return { call, result }
}

function countsOf(result: unknown): Statistics | undefined {
  const { statistics } = result as { statistics?: NativeSolveStatistics }
  return statistics && statisticsOf(statistics)
}

function note(core: FlowCore, statistics: Statistics | undefined): void {
  if (statistics) core.statistics = statistics
}

/** Runs a call of the core that is told of `signal`, also of one that was aborted before. */
export async function tellingStop<T>(
  signal: AbortSignal | undefined,
  call: (stop: { stop?: NativeStop }) => Promise<T>
): Promise<T> {
  if (!signal) return translated(() => call({}))
  const stop = new (binding().Stop)()
  const request = () => stop.request()
  signal.addEventListener('abort', request, { once: true })
  if (signal.aborted) stop.request()
  try {
    return await translated(() => call({ stop }))
  } finally {
    signal.removeEventListener('abort', request)
  }
}

/** Runs a call of the core that `signal` can end. */
export async function stoppable<T>(
  signal: AbortSignal | undefined,
  call: (stop: { stop?: NativeStop }) => Promise<T>
): Promise<T> {
  if (!signal) return translated(() => call({}))
  if (signal.aborted)
    throw new FfjordError('CANCELLED', 'the signal was aborted before the call; give a fresh one')
  try {
    return await tellingStop(signal, call)
  } catch (error) {
    if (!isFfjordError(error) || error.code !== 'CANCELLED') throw error
    throw new FfjordError('CANCELLED', 'the signal ended this call; repeat it for a result', { cause: error })
  }
}
