import { performance } from 'node:perf_hooks'
import type { Dataset, FeedingDataset } from '../data/dataset'
import { tableOf, toDataset } from '../data/flow-data'
import { stoppable } from '../flow/compute'
import { assertUsable, type FlowCore } from '../flow/core'
import { writeModel } from '../flow/model-file'
import { normalizeOptimizer } from '../flow/normalize'
import { Optimizer, optimizerState, resetMoments } from '../flow/optimizer'
import { initialBudgetState, type ObjectiveState, type TrainingState } from '../flow/training-state'
import type { Batch } from '../native/batch'
import { fail } from '../native/check'
import { isFfjordError } from '../native/errors'
import type { NativeIteration } from '../native/interface'
import type { Regulariser } from '../native/regularisers'
import { turn } from '../native/turn'
import { VERSION } from '../native/version'
import { DeviceRows } from './device-rows'
import { watchEvaluations } from './evaluation-budget'
import type { TrainingRun } from './fit'
import { type NormalizedFitOptions, normalizeFitOptions, type TrainingOptions } from './fit-options'
import type { FitWarning } from './fit-warning'
import { normalizeObjective, type Phase, phaseOf } from './objective'
import { type FitResult, type IterationRecord, meansOf, type Progress, type StopReason } from './progress'
import { checkScale } from './scale-check'
import { initialScheduleState, scheduleFactor } from './schedule'
import { Validation } from './validation'

/** How long the core works between two crossings into JavaScript, and a fit between two reports of progress. */
const burstSeconds = 0.05

/** How long JavaScript's thread may take for a burst: batches are put in order there, and their records read. */
const hostSeconds = 0.02

/** One run of `fit`: bursts of iterations in the core, and between them validation, checkpoints and progress. */
export class Training<M> implements TrainingRun {
  readonly #model: M
  readonly #core: FlowCore
  readonly #options: NormalizedFitOptions<M>
  readonly #data: FeedingDataset
  readonly #state: TrainingState
  readonly #optimizer: Optimizer
  readonly #startIteration: number
  readonly #startSeconds: number
  readonly #rows: DeviceRows
  readonly #validation: Validation
  readonly #name: string | undefined
  #records: IterationRecord[] = []
  #warnings: FitWarning[] = []
  /** What the size of the first rows gave cause to say; told with the first iteration. */
  #scale: FitWarning | undefined
  #loss = Number.NaN
  /** Whether the best weights are in place. */
  #endsWithBest = false
  /** Seconds of one iteration, for the size of a burst: of the core, and of JavaScript's thread. */
  #pace = burstSeconds
  #hostPace = 0

  constructor(model: M, core: FlowCore, data: Dataset | Batch, given: TrainingOptions<M>) {
    const dataset = toDataset(data, core, 'data')
    const options = normalizeFitOptions(given, dataset)
    this.#model = model
    this.#core = core
    this.#options = options
    this.#data = options.data
    const table = core.table ?? tableOf(dataset)
    if (options.validation)
      toDataset(options.validation.data, { ...core, ...(table && { table }) }, 'validation.data')
    const objective = (standing?: ObjectiveState) =>
      options.objective === undefined && standing
        ? standing
        : normalizeObjective(options.objective ?? 'ml', options.iterations)
    if (options.resume) {
      if (!core.training || !core.optimizer)
        fail(
          'INVALID_OPTION',
          'there is no training to resume; leave out resume, or load a file that a fit has saved'
        )
      this.#state = core.training
      this.#optimizer = core.optimizer
      if (options.optimizer) this.#optimizer.state.options = normalizeOptimizer(options.optimizer)
      this.#state.objective = objective(this.#state.objective)
      this.#data.restore(this.#state.data)
    } else {
      this.#optimizer = new Optimizer(core.native, optimizerState(options.optimizer ?? { type: 'adam' }))
      this.#state = {
        iteration: 0,
        skipped: 0,
        seconds: 0,
        data: this.#data.state(),
        objective: objective(),
        schedule: initialScheduleState(),
        evaluations: initialBudgetState()
      }
      resetMoments(core.native, this.#optimizer.state.options)
      core.optimizer = this.#optimizer
      core.training = this.#state
    }
    const { type } = this.#state.objective
    if (type === 'fm' && Object.keys(core.settings.training.regularize).length > 0)
      fail(
        'CONTRADICTORY_OPTIONS',
        "regularize acts in maximum likelihood alone; use objective 'fm+ml', or drop regularize"
      )
    if (table) core.table = table
    this.#name = typeof dataset.name === 'string' && dataset.name !== '' ? dataset.name : undefined
    if (!options.resume) delete core.provenance
    this.#startIteration = this.#state.iteration
    this.#startSeconds = this.#state.seconds
    this.#rows = new DeviceRows(core)
    this.#validation = new Validation(core, options, this.#state, this.#optimizer)
  }

  async *run(): AsyncGenerator<Progress, FitResult> {
    const { iterations, signal } = this.#options
    let reported = performance.now()
    try {
      await this.#validation.takeRows()
      let reason: StopReason = 'iterations'
      while (this.#state.iteration < iterations) {
        if (signal?.aborted) {
          reason = 'signal'
          break
        }
        // Other work of the process has its turn between two bursts.
        if (this.#state.iteration > this.#startIteration) await turn()
        const began = performance.now()
        const done = await this.#burst()
        if (done === 0 && !signal?.aborted) {
          reason = 'data'
          break
        }
        // Where a signal came before the first iteration of a burst, those before it have been validated.
        const validation = done > 0 ? await this.#validation.run() : undefined
        this.#state.seconds += (performance.now() - began) / 1000
        await this.#checkpoint()
        if (validation !== undefined || performance.now() - reported >= 1000 * burstSeconds) {
          reported = performance.now()
          yield this.#progress(validation)
        }
        if (this.#validation.outOfPatience && !this.#endMatching()) {
          reason = 'patience'
          break
        }
      }
      if (this.#records.length > 0) yield this.#progress(undefined)
      // The best weights and the optimizer's last state are no continuation of an interrupted training.
      if (this.#options.keepBest && reason !== 'signal') {
        this.#validation.restoreBest()
        this.#endsWithBest = true
      }
      return this.result(reason)
    } finally {
      this.#noteProvenance()
      this.#rows.release()
    }
  }

  result(stopped: StopReason): FitResult {
    const { iteration, validation, best, skipped, seconds } = this.#state
    const result: FitResult = {
      iterations: iteration,
      loss: this.#loss,
      skipped,
      seconds,
      warnings: [...this.#warnings],
      stopped
    }
    if (validation !== undefined) result.validation = validation
    if (best) result.best = { validation: best.validation, iteration: best.iteration }
    return result
  }

  get #phase(): Phase {
    return phaseOf(this.#state.objective, this.#state.iteration)
  }

  /** Goes on to maximum likelihood; false where there is no phase to come. */
  #endMatching(): boolean {
    const { objective, iteration } = this.#state
    if (objective.type !== 'fm+ml' || this.#phase === 'ml') return false
    objective.matching = iteration
    return true
  }

  /** Maximum likelihood after flow matching: its gradients are of another size, so the optimizer starts afresh. */
  #beginPhase(): void {
    const { objective, iteration } = this.#state
    if (objective.type !== 'fm+ml' || iteration !== objective.matching) return
    this.#optimizer.state.step = 0
    resetMoments(this.#core.native, this.#optimizer.state.options)
    this.#state.schedule = { ...this.#state.schedule, since: 0 }
  }

  /** Runs some iterations in the core; resolves to how many. */
  async #burst(): Promise<number> {
    this.#beginPhase()
    const { feed: batches, skipFailures, signal } = this.#options
    const planned = this.#burstLength()
    const began = performance.eventLoopUtilization()
    const feed = await this.#data.peek(planned, batches)
    const peeked = performance.eventLoopUtilization(began).active
    if (feed.sizes.length === 0) return 0
    if (this.#state.iteration === 0) this.#scale ??= checkScale(this.#core.description, feed, this.#data)
    const { iteration } = this.#state
    const learningRates = Float64Array.from(feed.sizes, (_, i) => this.#learningRate(iteration + i))
    const { options, step } = this.#optimizer.state
    let records: NativeIteration[] = []
    try {
      records = await stoppable(signal, (stop) =>
        this.#core.native.train({
          ...this.#rows.of(feed),
          indices: feed.indices,
          batchSizes: feed.sizes,
          ...(feed.epochs && { visits: feed.epochs }),
          learningRates,
          objective: this.#phase,
          coupling: this.#state.objective.coupling,
          parts: this.#options.parts,
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
    const arrived = performance.now()
    this.#count(records, learningRates)
    this.#data.advance(records.length, batches)
    this.#state.data = this.#data.state()
    if (records.length > 0) {
      const counted = (performance.now() - arrived) / records.length
      this.#hostPace = (peeked / feed.sizes.length + counted) / 1000
    }
    return records.length
  }

  #count(records: readonly NativeIteration[], learningRates: Float64Array): void {
    let seconds = 0
    records.forEach((record, i) => {
      const { evaluations, blockEvaluations, backwardEvaluations, ...rest } = record
      const done: IterationRecord = {
        ...rest,
        phase: this.#phase,
        iteration: this.#state.iteration + i + 1,
        nfe: evaluations,
        blockNfe: blockEvaluations,
        backwardNfe: backwardEvaluations,
        learningRate: learningRates[i]!
      }
      // Flow matching solves nothing
      const watched = blockEvaluations.length === 0 ? undefined : this.#watch(done)
      const warning = done.iteration === 1 ? this.#scale : watched
      if (warning) {
        done.warning = warning
        this.#warnings.push(warning)
      }
      this.#records.push(done)
      if (record.skipped) this.#state.skipped++
      else this.#optimizer.state.step++
      seconds += record.seconds
    })
    if (records.length > 0) this.#pace = seconds / records.length
    this.#state.iteration += records.length
    this.#core.calls += records.length
  }

  #watch(record: IterationRecord): FitWarning | undefined {
    return watchEvaluations(
      this.#state.evaluations,
      record,
      this.#options.nfeBudget,
      this.#core.settings.training,
      this.#optimizer.state.options.weightDecay
    )
  }

  /** Counts iterations up to the next validation, checkpoint or end, and not many more than fit into the time of a burst. */
  #burstLength(): number {
    const { iterations, validation, checkpoint } = this.#options
    const { iteration } = this.#state
    const untilNext = (every: number | undefined) => (every ? every - (iteration % every) : Infinity)
    const { type, matching } = this.#state.objective
    const untilPhase = type === 'fm+ml' && iteration < matching ? matching - iteration : Infinity
    const fitting = Math.min(
      Math.ceil((1.2 * burstSeconds) / Math.max(this.#pace, 1e-6)),
      Math.ceil(hostSeconds / Math.max(this.#hostPace, 1e-6))
    )
    return Math.min(
      iterations - iteration,
      untilNext(validation?.every),
      untilNext(checkpoint?.every),
      untilPhase,
      fitting
    )
  }

  #learningRate(iteration: number): number {
    const { schedule, iterations } = this.#options
    const factor = scheduleFactor(schedule, iteration, iterations, this.#state.schedule)
    return this.#optimizer.state.options.learningRate * factor
  }

  async #checkpoint(): Promise<void> {
    const { checkpoint } = this.#options
    if (!checkpoint || this.#state.iteration === 0 || this.#state.iteration % checkpoint.every !== 0) return
    if (typeof checkpoint.save !== 'string') return checkpoint.save(this.#model)
    assertUsable(this.#core)
    this.#noteProvenance()
    await writeModel(checkpoint.save, this.#core, false)
  }

  /** What a model file should tell of its training. A test of earlier weights is no longer true. */
  #noteProvenance(): void {
    const { iteration, validation, best } = this.#state
    const data = this.#name ?? this.#core.provenance?.data
    const kept = this.#endsWithBest && best ? best.validation : validation
    this.#core.provenance = {
      ...(data !== undefined && { data }),
      ...(Number.isFinite(this.#data.rows) && { rows: this.#data.rows }),
      iterations: iteration,
      ...(kept !== undefined && Number.isFinite(kept) && { validation: kept }),
      date: new Date().toISOString(),
      version: VERSION
    }
  }

  #progress(validation: number | undefined): Progress {
    this.#noteProvenance()
    const records = this.#records
    this.#records = []
    const tracked = Object.keys(this.#core.settings.training.regularize) as Regulariser[]
    const means = meansOf(records, tracked, this.#core.traces.length)
    const { iteration, skipped, seconds } = this.#state
    const { iterations } = this.#options
    const pace = (seconds - this.#startSeconds) / Math.max(1, iteration - this.#startIteration)
    if (records.some((record) => !record.skipped)) this.#loss = means.loss
    const progress: Progress = {
      iteration,
      iterations,
      phase: records.at(-1)?.phase ?? this.#phase,
      ...means,
      loss: this.#loss,
      learningRate: records.at(-1)?.learningRate ?? this.#learningRate(iteration),
      skipped,
      seconds,
      etaSeconds: pace * (iterations - iteration),
      warnings: records.flatMap(({ warning }) => warning ?? []),
      records
    }
    if (validation !== undefined) progress.validation = validation
    return progress
  }
}
