import { types } from 'node:util'
import { toNumbers, toReals } from '../native/batch'
import { binding } from '../native/binding'
import { fail, isCallable, object, show } from '../native/check'
import { translatedSync } from '../native/errors'
import { normalizeSolver } from './normalize-settings'
import type { AdaptiveSolver, FixedStepSolver, TorchdiffeqSolver } from './options'
import { type SolverStatistics, solverStatistics } from './statistics'

/** A solver for one state: without `control`, which is about rows. */
export type OdeSolver = Omit<AdaptiveSolver, 'control'> | Omit<TorchdiffeqSolver, 'control'> | FixedStepSolver

export interface OdeSolution {
  /** One state a time; the first is y0. */
  y: Float64Array[]
  t: Float64Array
  statistics: SolverStatistics
}

/**
 * Solves dy/dt = f(t, y) in float64 on the caller's thread, with the solvers of the flows. Times rise or fall; `y0` is the state
 * at the first. Steps end on the last time exactly; states before it are the method's interpolant (of order 5 for dopri8, 4 for
 * dopri5 and tsit5, a cubic through the ends of the step for others), so more times cost no evaluations. Fixed-step methods
 * spread `steps` over the whole interval. Throws what `f` throws, and an FfjordError with code SOLVE_FAILED where the solver
 * cannot go on.
 */
export function odeint(
  f: (t: number, y: Float64Array) => ArrayLike<number>,
  y0: ArrayLike<number>,
  times: ArrayLike<number>,
  options: OdeSolver = {}
): OdeSolution {
  if (!isCallable(f)) fail('INVALID_OPTION', `f is ${show(f)}; give a function of (t, y)`)
  const start = numbers(y0, 'y0')
  const t = numbers(times, 'times')
  const rises = t.length < 2 || t[1]! > t[0]!
  if (t.some((time, i) => i > 0 && (rises ? time <= t[i - 1]! : time >= t[i - 1]!)))
    fail('INVALID_OPTION', 'times neither rise nor fall throughout; sort them and drop doubles')
  const solver = normalizeSolver(object(options, 'options', knownKeys), 'options')
  const rate = (time: number, y: Float64Array): Float64Array => {
    const result: unknown = f(time, y)
    if (types.isFloat64Array(result) && result.length === start.length) return result
    const values = toNumbers(result, 'f(t, y)')
    if (values.length !== start.length)
      fail('INVALID_SHAPE', `f returned ${show(result)}; give ${start.length} numbers, as many as y0 has`)
    return values
  }
  const { y, statistics } = translatedSync(() => binding().odeint(rate, start, t, solver))
  const size = start.length
  return {
    y: Array.from(t, (_, i) => y.subarray(i * size, (i + 1) * size)),
    t,
    statistics: solverStatistics(statistics)
  }
}

const knownKeys = ['method', 'rtol', 'atol', 'steps', 'controller', 'maxAttempts']

function numbers(values: unknown, name: string): Float64Array {
  const given = toReals(values, name)
  const copy = given.length === 0 ? new Float64Array() : Float64Array.from(given)
  if (copy.length === 0) fail('INVALID_INPUT', `${name} is empty; give a list of at least one number`)
  return copy
}
