import { setImmediate } from 'node:timers'
import type { Dataset } from '../data/dataset'
import type { Flow } from '../flow'
import { assertUsable, type FlowCore } from '../flow/core'
import type { Batch } from '../native/batch'
import type { RegulariserMeans } from '../native/regularisers'
import type { FitOptions } from './fit-options'
import type { FitWarning } from './fit-warning'
import type { Phase } from './objective'
import { type StopReason, Training } from './training'

/** One iteration. */
export interface IterationRecord {
  /** Counted from 1. */
  iteration: number
  /** Flow matching, or maximum likelihood. */
  phase: Phase
  /** Of flow matching: the mean of ‖n T f − (z − x)‖². */
  loss: number
  /** NaN under flow matching. */
  negativeLogProb: number
  /** Means over the batch, without their weights. */
  regularisers: RegulariserMeans
  nfe: number
  /** Of each CNF block. */
  blockNfe: number[]
  backwardNfe: number
  accepted: number
  rejected: number
  /** ‖g‖₂ before clipping. */
  gradientNorm: number
  learningRate: number
  seconds: number
  /** What this iteration brought to light. */
  warning?: FitWarning
  /** Its solve failed and it changed nothing; its numbers are 0 and its lists empty. */
  skipped: boolean
}

/** Where training stands; losses and counts are means since the last progress. */
export interface Progress {
  /** Iterations done, of how many. */
  iteration: number
  iterations: number
  /** Of the last iteration: flow matching, or maximum likelihood. */
  phase: Phase
  loss: number
  negativeLogProb: number
  regularisers: RegulariserMeans
  nfe: number
  /** Of each CNF block. */
  blockNfe: number[]
  backwardNfe: number
  gradientNorm: number
  learningRate: number
  /** Validation loss, where this progress follows one; exact trace where `validation.trace` says so. */
  validation?: number
  /** In all. */
  skipped: number
  seconds: number
  etaSeconds: number
  /** Of the iterations since the last progress. */
  warnings: FitWarning[]
  /** Every iteration since the last progress. */
  records: IterationRecord[]
}

export interface FitResult {
  iterations: number
  /** Mean since the last progress. */
  loss: number
  validation?: number
  best?: { validation: number; iteration: number }
  skipped: number
  seconds: number
  /** All since this fit began. */
  warnings: FitWarning[]
  stopped: StopReason
}

/** What a promise may be rejected with, as the language types it. */
type Reason = Parameters<NonNullable<Parameters<Promise<unknown>['catch']>[0]>>[0]

/**
 * A training run, and a promise of its result. Iterate over it for progress, or await the result; it runs while either
 * waits, and the last progress goes to all that do. One that is neither iterated nor awaited by the next turn of the
 * event loop starts by itself. Errors reject.
 */
export class Fit implements AsyncIterable<Progress>, Promise<FitResult> {
  readonly [Symbol.toStringTag] = 'Fit'
  readonly #core: FlowCore
  readonly #start: () => Training
  #training: Training | undefined
  #run: AsyncGenerator<Progress, FitResult> | undefined
  /** What is asked of the run now, by all who wait. */
  #step: Promise<IteratorResult<Progress, FitResult>> | undefined
  #asked = false
  #result: FitResult | undefined
  #failure: { error: unknown } | undefined
  #awaited: Promise<FitResult> | undefined

  /** Use flow.fit(). */
  constructor(flow: Flow, core: FlowCore, data: Dataset | Batch, options: FitOptions) {
    this.#core = core
    this.#start = () => new Training(flow, core, data, options)
    setImmediate(() => {
      if (!this.#asked) this.#awaited ??= this.#drain()
    })
  }

  [Symbol.asyncIterator](): AsyncIterator<Progress, FitResult> {
    return {
      next: () => this.#next(),
      return: async () => {
        await this.#run?.return(undefined as unknown as FitResult)
        if (this.#training) this.#result ??= this.#training.result('break')
        return { done: true, value: this.#result as FitResult }
      }
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: a fit is a promise
  then<A = FitResult, B = never>(
    onResult?: ((result: FitResult) => A | PromiseLike<A>) | null,
    onError?: ((error: Reason) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.#awaited ??= this.#drain()
    return this.#awaited.then(onResult, onError)
  }

  catch<B = never>(onError?: ((error: Reason) => B | PromiseLike<B>) | null): Promise<FitResult | B> {
    return this.then(undefined, onError)
  }

  finally(onEnd?: (() => void) | null): Promise<FitResult> {
    return this.then().finally(onEnd)
  }

  #next(): Promise<IteratorResult<Progress, FitResult>> {
    this.#asked = true
    this.#step ??= this.#advance().finally(() => {
      this.#step = undefined
    })
    return this.#step
  }

  async #advance(): Promise<IteratorResult<Progress, FitResult>> {
    if (this.#failure) throw this.#failure.error
    if (this.#result) return { done: true, value: this.#result }
    try {
      // Also where its last iteration is done: whether it has come that far must not decide.
      assertUsable(this.#core)
      this.#training ??= this.#start()
      this.#run ??= this.#training.run()
      const next = await this.#run.next()
      if (!next.done) return next
      // Without a value where a loop over the run was left.
      this.#result ??= next.value ?? this.#training.result('break')
      return { done: true, value: this.#result }
    } catch (error) {
      this.#failure = { error }
      throw error
    }
  }

  async #drain(): Promise<FitResult> {
    for (;;) {
      const next = await this.#next()
      if (next.done) return next.value
    }
  }
}
