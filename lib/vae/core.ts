import type { ModelCore } from '../flow/core'
import type { SolverStatistics } from '../flow/statistics'
import { FfjordError } from '../native/errors'
import type { NativeVae, NativeVaeDescription } from '../native/interface'
import type { VaeOptions } from './options'
import type { VaeTrainingState } from './training-state'

/** What a Vae holds, shared with the modules that its methods live in. */
export interface VaeCore extends ModelCore<VaeTrainingState> {
  readonly native: NativeVae
  readonly description: NativeVaeDescription
  readonly options: Pick<VaeOptions, 'trace' | 'solver' | 'gradient'>
  statistics?: SolverStatistics
}

export function assertUsable(core: VaeCore): void {
  if (core.disposed)
    throw new FfjordError('DISPOSED', 'this autoencoder was disposed; create or load another one')
}
