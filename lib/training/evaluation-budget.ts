import type { BudgetState } from '../flow/training-state'
import type { NativeOptimizer, NativeSettings } from '../native/interface'
import type { EvaluationsGrew } from './fit-warning'

/** Iterations whose mean is the start, and the memory of the running mean. */
const window = 20

/** The default budget, in evaluations of the start. Training that goes well doubles or trebles them. */
const growth = 4

/**
 * Counts an iteration. Solves take more evaluations as the field of a flow in training grows stiff, and nothing else shows it
 * before the time that they take: a warning, once for each doubling beyond the budget.
 */
export function watchEvaluations(
  state: BudgetState,
  iteration: { iteration: number; nfe: number; blockNfe: readonly number[] },
  budget: number | false | undefined,
  settings: NativeSettings,
  weightDecay: NativeOptimizer['weightDecay']
): EvaluationsGrew | undefined {
  const { nfe, blockNfe } = iteration
  state.counted = Math.min(state.counted + 1, window + 1)
  const starting = state.counted <= window
  const share = 1 / Math.min(state.counted, window)
  state.nfe += share * (nfe - state.nfe)
  state.blockNfe = blockNfe.map((one, block) => {
    const mean = state.blockNfe[block] ?? one
    return mean + share * (one - mean)
  })
  if (starting) {
    state.startNfe = state.nfe
    state.limit = budget === false ? Infinity : (budget ?? growth * state.startNfe)
    return undefined
  }
  if (state.nfe <= state.limit) return undefined
  const warning: EvaluationsGrew = {
    code: 'EVALUATIONS_GREW',
    iteration: iteration.iteration,
    nfe: state.nfe,
    blockNfe: [...state.blockNfe],
    startNfe: state.startNfe,
    budget: state.limit,
    message: describe(state, settings, weightDecay)
  }
  while (state.nfe > state.limit) state.limit *= 2
  return warning
}

function describe(state: BudgetState, settings: NativeSettings, weightDecay: number): string {
  const { nfe, startNfe, blockNfe, limit } = state
  const { regularize, solver } = settings
  const blocks = blockNfe.length > 1 ? ` (by block: ${blockNfe.map((one) => one.toFixed(0)).join(', ')})` : ''
  const weights = Object.entries(regularize).filter(([, weight]) => weight > 0)
  const regularise =
    weights.length > 0
      ? `more regularisation (now ${weights.map(([name, weight]) => `${name} ${weight}`).join(', ')})`
      : 'regularisation (regularize: { kinetic: 0.01, jacobian: 0.01 })'
  return (
    `a forward solve takes ${nfe.toFixed(0)} evaluations${blocks}, ` +
    `${(nfe / startNfe).toFixed(1)} times the ${startNfe.toFixed(0)} of the first iterations ` +
    `and over the budget of ${limit.toFixed(0)}; what helps: ${regularise}, ` +
    `weight decay (now ${weightDecay}), or a looser tolerance in training ` +
    `(now rtol ${solver.rtol}, atol ${solver.atol}; solver.evaluation keeps its own)`
  )
}
