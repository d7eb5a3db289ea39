import type { Batch, RealArray, TensorLike } from '../native/batch'
import { firstNotFinite, isReal } from '../native/batch'
import { binding } from '../native/binding'
import { fail, integer, isArray, isObject, number, object, show, signal } from '../native/check'
import { FfjordError, isFfjordError, translated } from '../native/errors'
import type { NativeArray, NativeNoise, NativeSettings, NativeStop } from '../native/interface'
import { normalizeTrace } from './normalize'
import type { Trace } from './options'

/** What every call that draws noise takes. */
export interface NoiseOptions {
  /**
   * Draws this seed's noise, always the same. Default: the flow's own seed; calls that train or sample then draw afresh each time, those that
   * evaluate given rows do not.
   */
  seed?: number
  /** ε of each CNF block in turn, (probes, batch, D), in place of drawn noise. */
  noise?: readonly (RealArray | TensorLike)[]
  /**
   * Number of the first row, where noise follows from rows' numbers: a batch cut in parts draws the noise of the whole. Evaluations of given
   * rows need none: their noise follows from the rows' values.
   */
  rowOffset?: number
}

/** What calls on a conditional flow take; others take none. */
export interface ContextOptions {
  /** c of every row, (B, size), or one row for all. */
  context?: Batch
}

export interface CallOptions extends NoiseOptions, ContextOptions {
  /** Ends the call after the running step; it rejects with code CANCELLED. */
  signal?: AbortSignal
}

/** Calls outside training may ask for another accuracy than the flow's. */
export interface EvaluationOptions extends CallOptions {
  trace?: Trace
  rtol?: number
  atol?: number
}

export const noiseKeys = ['seed', 'noise', 'rowOffset'] as const
export const callKeys = [...noiseKeys, 'context', 'signal'] as const
export const evaluationKeys = [...callKeys, 'trace', 'rtol', 'atol'] as const

/** Noise of a row's own values and a seed: equal rows get equal noise, in any call, place and company. */
export function noiseOfValues(options: NoiseOptions, seed: number): NativeNoise {
  return { ...noiseOf(options, seed, () => 0), byValues: true }
}

/** Draws are numbered: the flow's seed and its next call, or the first call of a given seed. */
export function noiseOf(options: NoiseOptions, seed: number, nextCall: () => number): NativeNoise {
  const rowOffset = integer(options.rowOffset ?? 0, 'rowOffset', 0, 2 ** 32 - 1)
  if (options.noise !== undefined) {
    if (options.seed !== undefined)
      fail(
        'CONTRADICTORY_OPTIONS',
        'seed and noise are both given; give the noise, or the seed to draw it from'
      )
    return { seed, call: 0, rowOffset, given: noiseArrays(options.noise) }
  }
  if (options.seed !== undefined) return { seed: integer(options.seed, 'seed'), call: 0, rowOffset }
  return { seed, call: nextCall(), rowOffset }
}

function noiseArrays(noise: unknown): NativeArray[] {
  if (!isArray(noise)) fail('INVALID_INPUT', `noise is ${show(noise)}; give one array a CNF block`)
  return Array.from(noise, (one: unknown, block) => {
    const data = isObject(one) ? one.data : one
    if (!isReal(data))
      fail(
        'INVALID_INPUT',
        `noise[${block}] is ${show(one)}; give a Float32Array or Float64Array of (probes, batch, D)`
      )
    if (firstNotFinite(data) >= 0)
      fail('NOT_FINITE', `noise[${block}] holds NaN or infinity; give finite numbers`)
    return data
  })
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

/** `options` checked against the keys that a call knows. */
export function checkOptions<T extends object>(
  options: T | undefined,
  name: string,
  known: readonly string[]
): T {
  if (options === undefined) return {} as T
  const given = object(options, `${name} options`, known)
  if (given.signal !== undefined) signal(given.signal)
  return given as T
}

/** Runs a native call that `signal` can end. */
export async function stoppable<T>(
  signal: AbortSignal | undefined,
  call: (stop: { stop?: NativeStop }) => Promise<T>
): Promise<T> {
  if (!signal) return translated(() => call({}))
  if (signal.aborted)
    throw new FfjordError('CANCELLED', 'the signal was aborted before the call; give a fresh one')
  const stop = new (binding().Stop)()
  const request = () => stop.request()
  signal.addEventListener('abort', request, { once: true })
  try {
    return await translated(() => call({ stop }))
  } catch (error) {
    if (!isFfjordError(error) || error.code !== 'CANCELLED') throw error
    throw new FfjordError('CANCELLED', 'the signal ended this call; repeat it for a result', { cause: error })
  } finally {
    signal.removeEventListener('abort', request)
  }
}

export type { Batch }
