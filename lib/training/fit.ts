import { setImmediate } from 'node:timers'
import { assertUsable, type FlowCore } from '../flow/core'
import type { FitResult, Progress, StopReason } from './progress'

/** What a fit starts. */
export interface TrainingRun {
  run(): AsyncGenerator<Progress, FitResult>
  /** What it has come to so far. */
  result(stopped: StopReason): FitResult
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
  readonly #start: () => TrainingRun
  #training: TrainingRun | undefined
  #run: AsyncGenerator<Progress, FitResult> | undefined
  /** What is asked of the run now, by all who wait. */
  #step: Promise<IteratorResult<Progress, FitResult>> | undefined
  #asked = false
  #result: FitResult | undefined
  #failure: { error: unknown } | undefined
  #awaited: Promise<FitResult> | undefined

  /** Use flow.fit(). */
  constructor(core: FlowCore, start: () => TrainingRun) {
    this.#core = core
    this.#start = start
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
      // This holds where its last iteration is done, too: how far it has come must not decide.
      assertUsable(this.#core)
      this.#training ??= this.#start()
      this.#run ??= this.#training.run()
      const next = await this.#run.next()
      if (!next.done) return next
      // There is no value where a loop over the run was left.
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
