import { performance } from 'node:perf_hooks'
import type { Feed } from '../data/dataset'
import type { BatchOptions } from '../data/dataset-options'
import { stoppable, tellingStop } from '../flow/compute'
import { isFfjordError } from '../native/errors'
import type { NativeIteration } from '../native/interface'
import { turn } from '../native/turn'
import { VERSION } from '../native/version'
import type { TrainingRun } from './fit'
import type { StopReason } from './progress'
import { Ranks } from './ranks'
import { scheduleFactor } from './schedule'
import type { Trainee } from './trainee'
import { Validation } from './validation'

function firstBatches(feed: Feed, count: number): Feed {
  const sizes = feed.sizes.subarray(0, count)
  const rows = sizes.reduce((sum, size) => sum + size, 0)
  const { indices, epochs } = feed
  return {
    ...feed,
    sizes,
    indices: indices.subarray(0, rows),
    ...(epochs && { epochs: epochs.subarray(0, count) })
  }
}

/** How long the core works between two crossings into JavaScript, and a fit between two reports of progress. */
const burstSeconds = 0.05

/** How long JavaScript's thread may take for a burst: batches are put in order there, and their records read. */
const hostSeconds = 0.02

/** One run of `fit`: bursts of iterations in the core, and between them validation, checkpoints and progress. */
export class Training<
  M,
  N extends NativeIteration,
  I extends { learningRate: number; skipped: boolean },
  P,
  R
> implements TrainingRun<P, R>
{
  readonly #trainee: Trainee<M, N, I, P, R>
  readonly #startIteration: number
  readonly #startSeconds: number
  readonly #ranks: Ranks
  readonly #validation: Validation
  #records: I[] = []
  /** Whether the best weights are in place. */
  #endsWithBest = false
  /** Seconds of one iteration, for the size of a burst: of the core, and of JavaScript's thread. */
  #pace = burstSeconds
  #hostPace = 0

  constructor(trainee: Trainee<M, N, I, P, R>) {
    this.#trainee = trainee
    this.#startIteration = trainee.state.iteration
    this.#startSeconds = trainee.state.seconds
    this.#ranks = new Ranks(trainee.options.group)
    this.#validation = new Validation(trainee, this.#ranks)
  }

  async *run(): AsyncGenerator<P, R> {
    const { options, state } = this.#trainee
    const { iterations, signal, keepBest } = options
    const ranks = this.#ranks
    let reported = performance.now()
    /** Whether other ranks come to another turn of the loop. */
    let goesOn = true
    let reason: StopReason | undefined
    ranks.enter()
    try {
      await this.#begin()
      reason = 'iterations'
      while (state.iteration < iterations) {
        if (await ranks.any(signal?.aborted ?? false)) {
          reason = 'signal'
          break
        }
        // Other work of the process has its turn between two bursts.
        if (state.iteration > this.#startIteration) await turn()
        const began = performance.now()
        const done = await this.#burst()
        if (done === 0 && (ranks.native || !signal?.aborted)) {
          reason = 'data'
          break
        }
        // Where a signal came before the first iteration of a burst, those before it have been validated and saved.
        const validation = done > 0 ? await this.#validation.run() : undefined
        state.seconds += (performance.now() - began) / 1000
        if (done > 0 && ranks.rank === 0) await this.#checkpoint()
        const outOfPatience = this.#outOfPatience()
        goesOn = !outOfPatience && state.iteration < iterations
        const isLate = performance.now() - reported >= 1000 * burstSeconds
        if (this.#records.length > 0 && (validation !== undefined || isLate)) {
          reported = performance.now()
          yield this.#progress(validation)
        }
        if (outOfPatience) {
          reason = 'patience'
          break
        }
      }
      goesOn = false
      if (this.#records.length > 0) yield this.#progress(undefined)
      // The best weights and the optimizer's last state are no continuation of an interrupted training.
      if (keepBest && reason !== 'signal') this.#endsWithBest = this.#validation.restoreBest()
      return this.result(reason)
    } catch (error) {
      goesOn = false
      reason = undefined
      return await ranks.fail(error)
    } finally {
      this.#noteProvenance()
      this.#trainee.release()
      await ranks.exit(goesOn, reason === undefined || reason === 'signal')
    }
  }

  async #begin(): Promise<void> {
    const { core, options, state, optimizer, data } = this.#trainee
    const { iterations, feed, schedule, validation, keepBest, skipFailures, checkpoint, shard } = options
    // Where each rank has rows of its own, their places differ.
    const ownState = shard && { data: 0, heldOut: 0 }
    await this.#ranks.meet()
    await this.#trainee.begin()
    await this.#ranks.requireSame({
      ...this.#trainee.common,
      iterations,
      'batch, shuffle or seed': feed,
      schedule,
      validation: { every: validation?.every, patience: validation?.patience },
      keepBest,
      skipFailures,
      checkpoint: checkpoint?.every,
      'solver, gradient, trace or regularize': core.settings.training,
      optimizer: optimizer.state,
      'the seed of the model': [core.seed, core.calls],
      'the state of the training': { ...state, best: state.best?.validation, seconds: 0, ...ownState },
      'the rows to train on': [shard || data.rows, data.shape]
    })
    await this.#ranks.begin(core, optimizer.state.options.averageDecay > 0)
  }

  /** The rows that this rank reads of every batch. */
  get #feed(): Required<BatchOptions> {
    const { feed, shard } = this.#trainee.options
    return shard ? { ...feed, size: this.#ranks.share(feed.size).rows } : feed
  }

  /** Whether validation has not got better for long, and nothing comes behind that. */
  #outOfPatience(): boolean {
    const { options, sinceBest } = this.#trainee
    return sinceBest >= (options.validation?.patience ?? Infinity) && !this.#trainee.goOn()
  }

  result(stopped: StopReason): R {
    const { iteration, validation, best, skipped, seconds } = this.#trainee.state
    return this.#trainee.result({
      iterations: iteration,
      ...(validation !== undefined && { validation }),
      ...(best && { best: { validation: best.validation, iteration: best.iteration } }),
      skipped,
      seconds,
      stopped
    })
  }

  /** Runs some iterations in the core; resolves to how many. */
  async #burst(): Promise<number> {
    const { core, options, state, optimizer, data } = this.#trainee
    const planned = await this.#ranks.fewest(this.#burstLength(this.#trainee.prepare()))
    const began = performance.eventLoopUtilization()
    const ahead = await data.peek(planned, this.#feed)
    const peeked = performance.eventLoopUtilization(began).active
    const left = { 'the batches that their data have left': ahead.sizes.length }
    if (!options.shard) await this.#ranks.requireSame(left)
    const feed = options.shard ? firstBatches(ahead, await this.#ranks.fewest(ahead.sizes.length)) : ahead
    if (feed.sizes.length === 0) return 0
    const learningRates = Float64Array.from(feed.sizes, (_, i) => this.#learningRate(state.iteration + i))
    const { options: steps, step } = optimizer.state
    const { native: group } = this.#ranks
    // A stop is told to the other ranks; alone, it ends the solve under way.
    const run = group ? tellingStop : stoppable
    let done: N[] = []
    try {
      done = await run(options.signal, (stop) =>
        this.#trainee.train(feed, {
          indices: feed.indices,
          batchSizes: feed.sizes,
          learningRates,
          settings: core.settings.training,
          optimizer: { ...steps, step: step + 1 },
          noiseSeed: core.seed,
          firstCall: core.calls,
          seconds: burstSeconds,
          skipFailures: options.skipFailures,
          ...(group && { group, sharded: options.shard ?? false }),
          ...stop
        })
      )
    } catch (error) {
      if (!isFfjordError(error) || error.code !== 'CANCELLED') throw error
    }
    const arrived = performance.now()
    this.#count(done, learningRates)
    data.advance(done.length, this.#feed)
    state.data = data.state()
    if (done.length > 0) {
      const counted = (performance.now() - arrived) / done.length
      this.#hostPace = (peeked / feed.sizes.length + counted) / 1000
    }
    return done.length
  }

  #count(done: readonly N[], learningRates: Float64Array): void {
    const { core, state, optimizer } = this.#trainee
    let seconds = 0
    done.forEach((one, i) => {
      this.#records.push(this.#trainee.describe(one, state.iteration + i + 1, learningRates[i]!))
      if (one.skipped) state.skipped++
      else optimizer.state.step++
      seconds += one.seconds
    })
    if (done.length > 0) this.#pace = seconds / done.length
    state.iteration += done.length
    core.calls += done.length
  }

  /** Counts iterations up to the next validation, checkpoint, change (`most`) or end, and not many more than fit into the time of a burst. */
  #burstLength(most: number): number {
    const { iterations, validation, checkpoint } = this.#trainee.options
    const { iteration } = this.#trainee.state
    const untilNext = (every: number | undefined) => (every ? every - (iteration % every) : Infinity)
    const fitting = Math.min(
      Math.ceil((1.2 * burstSeconds) / Math.max(this.#pace, 1e-6)),
      Math.ceil(hostSeconds / Math.max(this.#hostPace, 1e-6))
    )
    return Math.min(
      iterations - iteration,
      untilNext(validation?.every),
      untilNext(checkpoint?.every),
      most,
      fitting
    )
  }

  #learningRate(iteration: number): number {
    const { options, state, optimizer } = this.#trainee
    const factor = scheduleFactor(options.schedule, iteration, options.iterations, state.schedule)
    return optimizer.state.options.learningRate * factor
  }

  async #checkpoint(): Promise<void> {
    const { model, options, state } = this.#trainee
    const { checkpoint } = options
    if (!checkpoint || state.iteration % checkpoint.every !== 0) return
    if (typeof checkpoint.save !== 'string') return checkpoint.save(model)
    this.#noteProvenance()
    await this.#trainee.save(checkpoint.save)
  }

  /** What a model file should tell of its training. A test of earlier weights is no longer true. */
  #noteProvenance(): void {
    const { core, state, data, name } = this.#trainee
    const { iteration, validation, best } = state
    const called = name || core.provenance?.data
    const kept = this.#endsWithBest && best ? best.validation : validation
    core.provenance = {
      ...(called !== undefined && { data: called }),
      ...(Number.isFinite(data.rows) && { rows: data.rows }),
      iterations: iteration,
      ...(kept !== undefined && Number.isFinite(kept) && { validation: kept }),
      date: new Date().toISOString(),
      version: VERSION
    }
  }

  #progress(validation: number | undefined): P {
    this.#noteProvenance()
    const records = this.#records
    this.#records = []
    const { options, state } = this.#trainee
    const { iteration, skipped, seconds } = state
    const pace = (seconds - this.#startSeconds) / Math.max(1, iteration - this.#startIteration)
    const standing = {
      iteration,
      iterations: options.iterations,
      learningRate: records.at(-1)?.learningRate ?? this.#learningRate(iteration),
      ...(validation !== undefined && { validation }),
      skipped,
      seconds,
      etaSeconds: pace * (options.iterations - iteration)
    }
    return this.#trainee.progress(standing, records)
  }
}
