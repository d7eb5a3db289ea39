import { setImmediate } from 'node:timers'
import type { FitResult, Progress, StopReason } from './progress'

/** What a fit starts. */
export interface TrainingRun<P = Progress, R = FitResult> {
  run(): AsyncGenerator<P, R>
  /** What it has come to so far. */
  result(stopped: StopReason): R
}

/** What a promise may be rejected with, as the language types it. */
type Reason = Parameters<NonNullable<Parameters<Promise<unknown>['catch']>[0]>>[0]

/**
 * A training run, and a promise of its result. Iterate over it for progress, or await the result; it runs while either
 * waits, and the last progress goes to all that do. One that is neither iterated nor awaited by the next turn of the
 * event loop starts by itself. Errors reject.
 */
export class Fit<P = Progress, R = FitResult> implements AsyncIterable<P>, Promise<R> {
  readonly [Symbol.toStringTag] = 'Fit'
  readonly #assertUsable: () => void
  readonly #start: () => TrainingRun<P, R>
  #training: TrainingRun<P, R> | undefined
  #run: AsyncGenerator<P, R> | undefined
  /** What is asked of the run now, by all who wait. */
  #step: Promise<IteratorResult<P, R>> | undefined
  #asked = false
  #result: R | undefined
  #failure: { error: unknown } | undefined
  #awaited: Promise<R> | undefined

  /** Use flow.fit() or vae.fit(). */
  constructor(assertUsable: () => void, start: () => TrainingRun<P, R>) {
    this.#assertUsable = assertUsable
    this.#start = start
    setImmediate(() => {
      if (!this.#asked) this.#awaited ??= this.#drain()
    })
  }

  [Symbol.asyncIterator](): AsyncIterator<P, R> {
    return {
      next: () => this.#next(),
      return: async () => {
        await this.#run?.return(undefined as unknown as R)
        if (this.#training) this.#result ??= this.#training.result('break')
        return { done: true, value: this.#result as R }
      }
    }
  }

  // biome-ignore lint/suspicious/noThenProperty: a fit is a promise
  then<A = R, B = never>(
    onResult?: ((result: R) => A | PromiseLike<A>) | null,
    onError?: ((error: Reason) => B | PromiseLike<B>) | null
  ): Promise<A | B> {
    this.#awaited ??= this.#drain()
    return this.#awaited.then(onResult, onError)
  }

  catch<B = never>(onError?: ((error: Reason) => B | PromiseLike<B>) | null): Promise<R | B> {
    return this.then(undefined, onError)
  }

  finally(onEnd?: (() => void) | null): Promise<R> {
    return this.then().finally(onEnd)
  }

  #next(): Promise<IteratorResult<P, R>> {
    this.#asked = true
    this.#step ??= this.#advance().finally(() => {
      this.#step = undefined
    })
    return this.#step
  }

  async #advance(): Promise<IteratorResult<P, R>> {
    if (this.#failure) throw this.#failure.error
    if (this.#result) return { done: true, value: this.#result }
    try {
      // This holds where its last iteration is done, too: how far it has come must not decide.
      this.#assertUsable()
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

  async #drain(): Promise<R> {
    for (;;) {
      const next = await this.#next()
      if (next.done) return next.value
    }
  }
}
