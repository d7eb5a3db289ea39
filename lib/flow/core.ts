import type { TableSchema } from '../data/schema'
import { FfjordError } from '../native/errors'
import type { NativeDescription, NativeFlow, NativeTensors } from '../native/interface'
import type { NormalizedSettings } from './normalize-settings'
import type { Optimizer } from './optimizer'
import type { ComputeOptions } from './options'
import type { Provenance } from './provenance'
import type { Statistics } from './statistics'
import type { FitState, TrainingState } from './training-state'

/** What a model holds, shared with the modules that its methods live in: a flow, or an autoencoder. */
export interface ModelCore<S extends FitState = FitState> {
  readonly native: NativeTensors & Pick<NativeFlow, 'memory' | 'make' | 'step' | 'dispose'>
  readonly settings: NormalizedSettings
  readonly seed: number
  /** Bytes that it may take, where the caller said so. */
  readonly memory: number | undefined
  /** Number of the next iteration or loss that draws noise from the model's own seed, and of the next other call that does. */
  calls: number
  draws: number
  optimizer?: Optimizer
  training?: S
  /** What is known of the training; undefined where there was none. */
  provenance?: Provenance
  disposed: boolean
}

/** What a Flow holds. */
export interface FlowCore extends ModelCore<TrainingState> {
  readonly native: NativeFlow
  readonly description: NativeDescription
  readonly options: ComputeOptions
  /** The divergence that each CNF block uses in training: what 'auto' became. */
  readonly traces: string[]
  statistics?: Statistics
  /** Columns of the table that the flow was trained on. */
  table?: TableSchema
}

export function assertUsable(core: { readonly disposed: boolean }): void {
  if (core.disposed) throw new FfjordError('DISPOSED', 'this flow was disposed; create or load another one')
}
