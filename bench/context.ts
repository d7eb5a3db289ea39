import type { Binding } from '../lib/native/interface'
import type { Machine } from './machine'

/** What every section of the benchmark is given. */
export interface Context {
  root: string
  binding: Binding
  machine: Machine
  /** A Python that has the peers, if one was named. */
  python?: string
  quick: boolean
  /** The engine that is measured. */
  device: string
}
