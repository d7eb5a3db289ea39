import type { TableSchema } from '../data/schema'
import { FfjordError } from '../native/errors'
import type { NativeDescription, NativeFlow } from '../native/interface'
import type { NormalizedSettings } from './normalize'
import type { Optimizer } from './optimizer'
import type { ComputeOptions } from './options'
import type { Provenance } from './provenance'
import type { Statistics } from './statistics'
import type { TrainingState } from './training-state'

/** What a Flow holds, shared with the modules that its methods live in. */
export interface FlowCore {
  readonly native: NativeFlow
  readonly description: NativeDescription
  readonly options: ComputeOptions
  readonly settings: NormalizedSettings
  /** The divergence that each CNF block uses in training: what 'auto' became. */
  readonly traces: string[]
  readonly seed: number
  /** Number of the next iteration or loss that draws noise from the flow's own seed, and of the next other call that does. */
  calls: number
  draws: number
  statistics?: Statistics
  optimizer?: Optimizer
  training?: TrainingState
  /** Columns of the table that the flow was trained on. */
  table?: TableSchema
  /** What is known of the training; undefined where there was none. */
  provenance?: Provenance
  disposed: boolean
}

export function assertUsable(core: { readonly disposed: boolean }): void {
  if (core.disposed) throw new FfjordError('DISPOSED', 'this flow was disposed; create or load another one')
}
