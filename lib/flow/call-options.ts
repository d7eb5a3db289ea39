import type { Batch, RealArray, TensorLike } from '../native/batch'
import { object, signal } from '../native/check'
import type { Trace } from './options'

/** What calls on a flow take besides their rows. */

/** What every call that draws noise takes. */
export interface NoiseOptions {
  /**
   * Draws this seed's noise, always the same. Default: the flow's own seed; calls that train or sample then draw afresh each time, those that
   * evaluate given rows do not.
   */
  seed?: number
  /** ε of each CNF block in turn, (probes, batch, D), in place of drawn noise. Default: drawn. */
  noise?: readonly (RealArray | TensorLike)[]
  /**
   * Number of the first row, where noise follows from rows' numbers: a batch cut in parts draws the noise of the whole. Evaluations of given
   * rows need none: their noise follows from the rows' values. Default: 0.
   */
  rowOffset?: number
}

/** What calls on a conditional flow take; others take none. */
export interface ContextOptions {
  /** c of every row, (B, size), or one row for all. Default: none. */
  context?: Batch
}

export interface CallOptions extends NoiseOptions, ContextOptions {
  /** Ends the call after the running step; it rejects with code CANCELLED. Default: none. */
  signal?: AbortSignal
}

/** Calls outside training may ask for another accuracy than the flow's. */
export interface EvaluationOptions extends CallOptions {
  /** Default: the flow's own. */
  trace?: Trace
  /** Default: the flow's own, of evaluation. */
  rtol?: number
  /** Default: the flow's own, of evaluation. */
  atol?: number
}

export const noiseKeys = ['seed', 'noise', 'rowOffset'] as const
export const callKeys = [...noiseKeys, 'context', 'signal'] as const
export const evaluationKeys = [...callKeys, 'trace', 'rtol', 'atol'] as const

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
