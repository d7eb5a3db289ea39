import type { Dataset, Feed, FeedingDataset } from '../data/dataset'
import type { BatchOptions } from '../data/dataset-options'
import type { ModelCore } from '../flow/core'
import type { Optimizer } from '../flow/optimizer'
import type { FitState } from '../flow/training-state'
import type { NativeBurst, NativeIteration } from '../native/interface'
import type { Group } from './group'
import type { StopReason } from './progress'
import type { Ranks } from './ranks'
import type { Schedule } from './schedule'

/** What the loop of a fit goes by, whatever it trains; lengths are iterations. */
export interface LoopOptions<M> {
  iterations: number
  feed: Required<BatchOptions>
  schedule: Schedule
  validation?: { every: number; patience?: number } | undefined
  keepBest: boolean
  skipFailures: boolean
  checkpoint?: { every: number; save: string | ((model: M) => void | Promise<void>) } | undefined
  signal?: AbortSignal | undefined
  group?: Group | undefined
  /** The rows of each rank are its own part of them. */
  shard?: boolean
}

/** What every fit tells of its progress. */
export interface Standing {
  iteration: number
  iterations: number
  learningRate: number
  validation?: number
  skipped: number
  seconds: number
  etaSeconds: number
}

/** What every fit ends with. */
export interface Ending {
  iterations: number
  validation?: number
  best?: { validation: number; iteration: number }
  skipped: number
  seconds: number
  stopped: StopReason
}

/**
 * What a fit trains, a model of type M, and all of training that is its own: losses and their numbers. `Training` has the rest: batches,
 * steps, validation, checkpoints, the end. An iteration is N as the core reports it and I as users see it.
 */
export interface Trainee<M, N extends NativeIteration, I extends { learningRate: number }, P, R> {
  readonly model: M
  readonly core: ModelCore
  readonly options: LoopOptions<M>
  readonly state: FitState
  readonly optimizer: Optimizer
  /** What it learns from. */
  readonly data: FeedingDataset
  /** Of what it learns from, as its model file tells it. */
  readonly name: Dataset['name']

  /** Before the first burst. */
  begin(): Promise<void>
  /** Plain data that the ranks of a group must have the same of, besides what every fit has. */
  readonly common: Record<string, unknown>
  /** Before a burst: how many iterations its loss stays what it is. */
  prepare(): number
  /** Iterations in the core. */
  train(feed: Feed, burst: NativeBurst): Promise<N[]>
  /** One of them, number `iteration` from 1 on. */
  describe(done: N, iteration: number, learningRate: number): I

  /** The loss of the rows to validate on, of which each rank computes its share; undefined where there are none. */
  validate(ranks: Ranks): Promise<number | undefined>
  /** After a validation. */
  noteValidation?(validation: number, isBest: boolean): void
  /** Validations in a row without a new best, as patience counts them. */
  readonly sinceBest: number
  /** Where patience ends: goes on to what comes next, or tells that nothing does. */
  goOn(): boolean

  progress(standing: Standing, records: readonly I[]): P
  result(ending: Ending): R
  /** Writes the model file. */
  save(path: string): Promise<void>
  /** After the last burst. */
  release(): void
}
