import { performance } from 'node:perf_hooks'
import type { Dataset } from '../data/dataset'
import { stoppable } from '../flow/compute'
import { normalizeOptimizer } from '../flow/normalize'
import { Optimizer, optimizerState, resetMoments } from '../flow/optimizer'
import type { Batch } from '../native/batch'
import { fail } from '../native/check'
import { isFfjordError, translatedSync } from '../native/errors'
import type { NativeRows, NativeVaeIteration } from '../native/interface'
import { turn } from '../native/turn'
import { VERSION } from '../native/version'
import type { TrainingRun } from '../training/fit'
import type { StopReason } from '../training/progress'
import { afterValidation, initialScheduleState, scheduleFactor } from '../training/schedule'
import { assertUsable, type VaeCore } from './core'
import { evaluateVae } from './evaluate'
import {
  betaOf,
  type NormalizedVaeFit,
  normalizeVaeFit,
  paperOptimizer,
  type VaeTrainingOptions
} from './fit-options'
import { type Images, toImages } from './images'
import { writeVae } from './model-file'
import { type VaeFitResult, type VaeIteration, type VaeProgress, vaeMeans } from './progress'
import type { VaeTrainingState } from './training-state'

/** How long the core works between two crossings into JavaScript, and a fit between two reports of progress. */
const burstSeconds = 0.05

/** One run of an autoencoder's `fit`: bursts of iterations in the core, and between them validation, checkpoints and progress. */
export class VaeTraining<M> implements TrainingRun<VaeProgress, VaeFitResult> {
  readonly #model: M
  readonly #core: VaeCore
  readonly #options: NormalizedVaeFit<M>
  readonly #images: Images
  readonly #state: VaeTrainingState
  readonly #optimizer: Optimizer
  readonly #startIteration: number
  readonly #startSeconds: number
  #rows: NativeRows | undefined
  #records: VaeIteration[] = []
  #last = vaeMeans([])
  /** Seconds of one iteration, for the size of a burst. */
  #pace = burstSeconds

  constructor(model: M, core: VaeCore, data: Dataset | Batch, given: VaeTrainingOptions<M>) {
    const options = normalizeVaeFit(given)
    this.#model = model
    this.#core = core
    this.#options = options
    this.#images = toImages(data, core.description.shape, 'data')
    if (options.validation) toImages(options.validation.data, core.description.shape, 'validation.data')
    if (options.resume) {
      if (!core.training || !core.optimizer)
        fail(
          'INVALID_OPTION',
          'there is no training to resume; leave out resume, or load a file that a fit has saved'
        )
      this.#state = core.training
      this.#optimizer = core.optimizer
      if (options.optimizer) this.#optimizer.state.options = normalizeOptimizer(options.optimizer)
      this.#images.feeding.restore(this.#state.data)
    } else {
      this.#optimizer = new Optimizer(core.native, optimizerState(options.optimizer ?? paperOptimizer))
      this.#state = {
        iteration: 0,
        skipped: 0,
        seconds: 0,
        data: this.#images.feeding.state(),
        schedule: initialScheduleState(),
        since: 0
      }
      resetMoments(core.native, this.#optimizer.state.options)
      core.optimizer = this.#optimizer
      core.training = this.#state
      delete core.provenance
    }
    this.#startIteration = this.#state.iteration
    this.#startSeconds = this.#state.seconds
  }

  /** Iterations of an epoch, whose last batch may be smaller. */
  get #epochLength(): number {
    return Math.ceil(this.#images.count / this.#options.feed.size)
  }

  get #iterations(): number {
    return this.#options.epochs * this.#epochLength
  }

  async *run(): AsyncGenerator<VaeProgress, VaeFitResult> {
    const { signal, keepBest } = this.#options
    const { native } = this.#core
    let reported = performance.now()
    try {
      const { count, data } = this.#images
      this.#rows = translatedSync(() => native.upload(count, data))
      let reason: StopReason = 'iterations'
      while (this.#state.iteration < this.#iterations) {
        if (signal?.aborted) {
          reason = 'signal'
          break
        }
        if (this.#state.iteration > this.#startIteration) await turn()
        const began = performance.now()
        const done = await this.#burst()
        const validation = done > 0 ? await this.#validate() : undefined
        this.#state.seconds += (performance.now() - began) / 1000
        await this.#checkpoint(done)
        if (validation !== undefined || performance.now() - reported >= 1000 * burstSeconds) {
          reported = performance.now()
          yield this.#progress(validation)
        }
        if (this.#state.since >= (this.#options.validation?.patience ?? Infinity)) {
          reason = 'patience'
          break
        }
      }
      if (this.#records.length > 0) yield this.#progress(undefined)
      // The best weights and the optimizer's last state are no continuation of an interrupted training.
      const { best } = this.#state
      if (keepBest && best && reason !== 'signal') native.write('parameters', best.parameters)
      return this.result(reason)
    } finally {
      this.#noteProvenance()
      this.#rows?.release()
      this.#rows = undefined
    }
  }

  result(stopped: StopReason): VaeFitResult {
    const { iteration, validation, best, skipped, seconds } = this.#state
    const { loss, negativeElbo } = this.#last
    return {
      iterations: iteration,
      loss,
      negativeElbo,
      ...(validation !== undefined && { validation }),
      ...(best && { best: { validation: best.validation, iteration: best.iteration } }),
      skipped,
      seconds,
      stopped
    }
  }

  /** Runs some iterations in the core, of one epoch; resolves to how many. */
  async #burst(): Promise<number> {
    const { feed: batches, skipFailures, signal, schedule, warmup } = this.#options
    const { iteration } = this.#state
    const left = this.#epochLength - (iteration % this.#epochLength)
    const planned = Math.min(left, Math.ceil((1.2 * burstSeconds) / Math.max(this.#pace, 1e-6)))
    const { indices, sizes } = await this.#images.feeding.peek(planned, batches)
    const { options, step } = this.#optimizer.state
    const learningRates = Float64Array.from(
      sizes,
      (_, i) =>
        options.learningRate * scheduleFactor(schedule, iteration + i, this.#iterations, this.#state.schedule)
    )
    const beta = betaOf(this.#epochAt(iteration), warmup)
    let records: NativeVaeIteration[] = []
    try {
      records = await stoppable(signal, (stop) =>
        this.#core.native.train({
          images: this.#rows!,
          binarize: this.#images.binarize,
          indices,
          batchSizes: sizes,
          learningRates,
          betas: new Float64Array(sizes.length).fill(beta),
          settings: this.#core.settings.training,
          optimizer: { ...options, step: step + 1 },
          noiseSeed: this.#core.seed,
          firstCall: this.#core.calls,
          seconds: burstSeconds,
          skipFailures,
          ...stop
        })
      )
    } catch (error) {
      if (!isFfjordError(error) || error.code !== 'CANCELLED') throw error
    }
    this.#count(records, learningRates, beta)
    this.#images.feeding.advance(records.length, batches)
    this.#state.data = this.#images.feeding.state()
    return records.length
  }

  #count(records: readonly NativeVaeIteration[], learningRates: Float64Array, beta: number): void {
    let seconds = 0
    records.forEach((record, i) => {
      const { loss, reconstruction, kl, evaluations, backwardEvaluations, gradientNorm, skipped } = record
      this.#records.push({
        iteration: this.#state.iteration + i + 1,
        loss,
        reconstruction,
        kl,
        beta,
        nfe: evaluations,
        backwardNfe: backwardEvaluations,
        gradientNorm,
        learningRate: learningRates[i]!,
        seconds: record.seconds,
        skipped
      })
      if (skipped) this.#state.skipped++
      else this.#optimizer.state.step++
      seconds += record.seconds
    })
    if (records.length > 0) this.#pace = seconds / records.length
    this.#state.iteration += records.length
    this.#core.calls += records.length
  }

  /** Counted from 1, of the iteration that comes after so many. */
  #epochAt(iteration: number): number {
    return Math.floor(iteration / this.#epochLength) + 1
  }

  /** Whether a number of whole epochs, a multiple of `every`, is done. */
  #isDue(every: number): boolean {
    const { iteration } = this.#state
    return iteration > 0 && iteration % (every * this.#epochLength) === 0
  }

  async #validate(): Promise<number | undefined> {
    const { validation, schedule, keepBest, warmup } = this.#options
    if (!validation || !this.#isDue(validation.every)) return undefined
    const { iteration } = this.#state
    const { negativeElbo } = await evaluateVae(this.#core, validation.data)
    const best = this.#state.best?.validation ?? Infinity
    if (negativeElbo < best) {
      const parameters = keepBest ? this.#core.native.read('parameters') : new Float32Array()
      this.#state.best = { validation: negativeElbo, iteration, parameters }
      this.#state.since = 0
    } else if (iteration / this.#epochLength >= warmup) {
      this.#state.since++
    }
    this.#state.schedule = afterValidation(schedule, this.#state.schedule, negativeElbo)
    this.#state.validation = negativeElbo
    return negativeElbo
  }

  async #checkpoint(done: number): Promise<void> {
    const { checkpoint } = this.#options
    if (!checkpoint || done === 0 || !this.#isDue(checkpoint.every)) return
    if (typeof checkpoint.save !== 'string') return checkpoint.save(this.#model)
    assertUsable(this.#core)
    this.#noteProvenance()
    await writeVae(checkpoint.save, this.#core, false)
  }

  #noteProvenance(): void {
    const { iteration, validation } = this.#state
    const data = this.#core.provenance?.data
    this.#core.provenance = {
      ...(data !== undefined && { data }),
      rows: this.#images.count,
      iterations: iteration,
      ...(validation !== undefined && { validation }),
      date: new Date().toISOString(),
      version: VERSION
    }
  }

  #progress(validation: number | undefined): VaeProgress {
    this.#noteProvenance()
    const records = this.#records
    this.#records = []
    const { iteration, skipped, seconds } = this.#state
    const pace = (seconds - this.#startSeconds) / Math.max(1, iteration - this.#startIteration)
    if (records.some((record) => !record.skipped)) this.#last = vaeMeans(records)
    const last = records.at(-1)
    return {
      iteration,
      iterations: this.#iterations,
      epoch: this.#epochAt(Math.max(0, iteration - 1)),
      epochs: this.#options.epochs,
      ...this.#last,
      beta: last?.beta ?? 1,
      learningRate: last?.learningRate ?? this.#optimizer.state.options.learningRate,
      ...(validation !== undefined && { validation }),
      skipped,
      seconds,
      etaSeconds: pace * (this.#iterations - iteration),
      records
    }
  }
}
