import type { FitState } from '../flow/training-state'

/** Where a fit of an autoencoder stands. */
export interface VaeTrainingState extends FitState {
  /** Validations in a row without a new best, of those that count. */
  since: number
}
