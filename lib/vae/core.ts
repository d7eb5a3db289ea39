import type { NormalizedSettings } from '../flow/normalize'
import type { Optimizer } from '../flow/optimizer'
import type { Provenance } from '../flow/provenance'
import type { SolverStatistics } from '../flow/statistics'
import { FfjordError } from '../native/errors'
import type { NativeVae, NativeVaeDescription } from '../native/interface'
import type { VaeOptions } from './options'
import type { VaeTrainingState } from './training-state'

/** What a Vae holds, shared with the modules that its methods live in. */
export interface VaeCore {
  readonly native: NativeVae
  readonly description: NativeVaeDescription
  readonly options: Pick<VaeOptions, 'trace' | 'solver' | 'gradient'>
  readonly settings: NormalizedSettings
  readonly seed: number
  /** Number of the next iteration that draws noise from the model's own seed, and of the next other call that does. */
  calls: number
  draws: number
  statistics?: SolverStatistics
  optimizer?: Optimizer
  training?: VaeTrainingState
  /** What is known of the training; undefined where there was none. */
  provenance?: Provenance
  disposed: boolean
}

export function assertUsable(core: VaeCore): void {
  if (core.disposed)
    throw new FfjordError('DISPOSED', 'this autoencoder was disposed; create or load another one')
}
