import type { DatasetState } from './dataset'
import type { BudgetState } from './evaluation-budget'
import type { NativeArray } from './native'
import type { ObjectiveState } from './objective'
import type { ScheduleState } from './schedule'

/** Where a fit stands; saved with the model, so that `resume` goes on with the next iteration. */
export interface TrainingState {
  /** Iterations done. */
  iteration: number
  /** Batches whose solve failed. */
  skipped: number
  /** Spent in training. */
  seconds: number
  data: DatasetState
  objective: ObjectiveState
  schedule: ScheduleState
  evaluations: BudgetState
  validation?: number
  best?: { validation: number; iteration: number; parameters: NativeArray; statistics: NativeArray }
}
