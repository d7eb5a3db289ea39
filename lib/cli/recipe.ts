import type { ArchitectureChoice } from './architecture'
import type { TrainingChoice } from './training-options'

/** The options of `train` that say when it validates, and what it does then. */
export interface ValidationChoice {
  validateEvery: number
  validationRows?: number
  stopAfter?: number
  keepBest?: boolean
}

/** The options of `train` whose defaults depend on the data. */
export type Recipe = ArchitectureChoice & Omit<TrainingChoice, 'seed'> & ValidationChoice
