import type { DatasetState } from '../data/dataset-options'
import type { NativeArray } from '../native/interface'

/** What a model keeps of its training, plain data that its model files hold. */

/** Where a fit stands, whatever it trains; saved with the model, so that `resume` goes on with the next iteration. */
export interface FitState {
  /** Iterations done. */
  iteration: number
  /** Batches whose loss failed. */
  skipped: number
  /** Spent in training. */
  seconds: number
  data: DatasetState
  schedule: ScheduleState
  /** Of the last validation. */
  validation?: number
  /** Its arrays are empty where the weights were not kept. */
  best?: { validation: number; iteration: number; parameters: NativeArray; statistics: NativeArray }
}

/** Where a fit of a flow stands. */
export interface TrainingState extends FitState {
  /** Where the rows begin that validation took from data that do not end. */
  heldOut?: DatasetState
  objective: ObjectiveState
  evaluations: BudgetState
}

/** Which base point flow matching draws a line to: any, or the nearest by minibatch optimal transport. */
export type Coupling = 'independent' | 'optimal'

/** What is minimised, and for how long. */
export interface ObjectiveState {
  type: 'ml' | 'fm' | 'fm+ml'
  coupling: Coupling
  /** Iterations of flow matching before maximum likelihood, of 'fm+ml'. */
  matching: number
}

/** What a plateau remembers; nothing else has state. */
export interface ScheduleState {
  factor: number
  best: number
  since: number
}

/** Saved with training, so that a resumed one warns as one that was never interrupted. */
export interface BudgetState {
  /** Iterations counted so far, as far as they make the start. */
  counted: number
  startNfe: number
  /** Running means. */
  nfe: number
  blockNfe: number[]
  /** A warning comes where evaluations exceed it; it doubles with each, and is Infinity where none are wanted. */
  limit: number
}

/** The state before anything is counted. */
export function initialBudgetState(): BudgetState {
  return { counted: 0, startNfe: 0, nfe: 0, blockNfe: [], limit: 0 }
}
