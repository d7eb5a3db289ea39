import type { FeedingDataset } from '../data/dataset'
import type { ModelCore } from '../flow/core'
import { normalizeOptimizer } from '../flow/normalize-settings'
import { Optimizer, optimizerState, resetMoments } from '../flow/optimizer'
import type { OptimizerOptions } from '../flow/options'
import type { FitState } from '../flow/training-state'
import { fail } from '../native/check'
import { initialScheduleState } from './schedule'

/**
 * The state that a fit of a model begins in, and its optimizer: new ones, or with `resume` those of the last fit, with other options where some are given. `own`
 * makes what the state of such a model has besides.
 */
export function startingPoint<S extends FitState>(
  core: ModelCore<S>,
  data: FeedingDataset,
  options: { resume: boolean; optimizer: OptimizerOptions | undefined; usual: OptimizerOptions },
  own: (standing?: S) => Omit<S, keyof FitState>
): { state: S; optimizer: Optimizer } {
  if (options.resume) {
    const { training: state, optimizer } = core
    if (!state || !optimizer)
      fail(
        'INVALID_OPTION',
        'there is no training to resume; leave out resume, or load a file that a fit has saved'
      )
    const given = options.optimizer && normalizeOptimizer(options.optimizer)
    Object.assign(state, own(state))
    data.restore(state.data)
    if (given) optimizer.state.options = given
    return { state, optimizer }
  }
  const optimizer = new Optimizer(core.native, optimizerState(options.optimizer ?? options.usual))
  const state = {
    iteration: 0,
    skipped: 0,
    seconds: 0,
    data: data.state(),
    schedule: initialScheduleState(),
    ...own()
  } as S
  resetMoments(core.native, optimizer.state.options)
  core.optimizer = optimizer
  core.training = state
  delete core.provenance
  return { state, optimizer }
}
