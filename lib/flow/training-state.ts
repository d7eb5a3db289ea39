import type { DatasetState } from '../data/dataset'
import type { NativeArray } from '../native/interface'
import type { BudgetState } from '../training/evaluation-budget'
import type { ObjectiveState } from '../training/objective'
import type { ScheduleState } from '../training/schedule'

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
