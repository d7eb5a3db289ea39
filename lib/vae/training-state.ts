import type { DatasetState } from '../data/dataset-options'
import type { ScheduleState } from '../flow/training-state'
import type { NativeArray } from '../native/interface'

/** Where a fit of an autoencoder stands; plain data that model files keep, so that `resume` goes on with the next iteration. */
export interface VaeTrainingState {
  /** Iterations done. */
  iteration: number
  /** Batches whose loss failed. */
  skipped: number
  /** Spent in training. */
  seconds: number
  data: DatasetState
  schedule: ScheduleState
  /** Mean −ELBO of the last validation. */
  validation?: number
  /** Validations in a row without a new best, of those that count. */
  since: number
  best?: { validation: number; iteration: number; parameters: NativeArray }
}
