import type { Dataset, Feed, FeedingDataset } from '../data/dataset'
import { tableOf, toDataset } from '../data/flow-data'
import { assertUsable, type FlowCore } from '../flow/core'
import { writeModel } from '../flow/model-file'
import { type Optimizer, resetMoments } from '../flow/optimizer'
import { initialBudgetState, type ObjectiveState, type TrainingState } from '../flow/training-state'
import type { Batch } from '../native/batch'
import { fail } from '../native/check'
import type { NativeBurst, NativeFlowIteration } from '../native/interface'
import type { Regulariser } from '../native/regularisers'
import { DeviceRows } from './device-rows'
import { watchEvaluations } from './evaluation-budget'
import { fingerprint } from './fingerprint'
import { type NormalizedFitOptions, normalizeFitOptions, type TrainingOptions } from './fit-options'
import type { BatchDivided, FitWarning } from './fit-warning'
import { normalizeObjective, type Phase, phaseOf } from './objective'
import { type FitResult, type IterationRecord, meansOf, type Progress } from './progress'
import type { Ranks } from './ranks'
import { checkScale } from './scale-check'
import { startingPoint } from './starting-point'
import type { Ending, Standing, Trainee } from './trainee'
import { ValidationRows } from './validation-rows'

/** A flow in training: its objective, its rows, what it warns of. */
export class FlowTrainee<M> implements Trainee<M, NativeFlowIteration, IterationRecord, Progress, FitResult> {
  readonly model: M
  readonly core: FlowCore
  readonly options: NormalizedFitOptions<M>
  readonly state: TrainingState
  readonly optimizer: Optimizer
  readonly data: FeedingDataset
  readonly name: string | undefined
  readonly #rows: DeviceRows
  readonly #validation: ValidationRows
  readonly #warnings: FitWarning[] = []
  /** What the size of the first rows gave cause to say; told with the first iteration. */
  #scale: FitWarning | undefined
  /** In how many parts a batch is solved. */
  #parts: number
  #loss = Number.NaN
  #seen: { data: Feed['data']; word: number } | undefined

  constructor(model: M, core: FlowCore, data: Dataset | Batch, given: TrainingOptions<M>) {
    const dataset = toDataset(data, core, 'data')
    const options = normalizeFitOptions(given, dataset)
    if (options.sharedSteps && core.settings.training.solver.control !== 'batch')
      fail(
        'CONTRADICTORY_OPTIONS',
        "rows and tiles step by themselves; sharedSteps goes with control 'batch'"
      )
    const { group, shard, feed } = options
    if (shard && group && feed.size < group.size)
      fail('CONTRADICTORY_OPTIONS', `a batch of ${feed.size} rows has none for some of ${group.size} ranks`)
    this.model = model
    this.core = core
    this.options = options
    this.#parts = options.parts
    this.data = options.data
    this.name = typeof dataset.name === 'string' ? dataset.name : undefined
    const table = core.table ?? tableOf(dataset)
    if (options.validation)
      toDataset(options.validation.data, { ...core, ...(table && { table }) }, 'validation.data')
    const { state, optimizer } = startingPoint<TrainingState>(
      core,
      options.data,
      { ...options, usual: { type: 'adam' } },
      (standing) => ({
        objective: this.#objective(standing?.objective),
        evaluations: standing?.evaluations ?? initialBudgetState()
      })
    )
    this.state = state
    this.optimizer = optimizer
    if (table) core.table = table
    this.#rows = new DeviceRows(core)
    this.#validation = new ValidationRows(core, options, this.state)
  }

  #objective(standing: ObjectiveState | undefined): ObjectiveState {
    const { objective, iterations } = this.options
    const asked =
      objective === undefined && standing ? standing : normalizeObjective(objective ?? 'ml', iterations)
    if (asked.type === 'fm' && Object.keys(this.core.settings.training.regularize).length > 0)
      fail(
        'CONTRADICTORY_OPTIONS',
        "regularize acts in maximum likelihood alone; use objective 'fm+ml', or drop regularize"
      )
    return asked
  }

  begin(): Promise<void> {
    return this.#validation.take()
  }

  get common(): Record<string, unknown> {
    const { core, state, options } = this
    return {
      description: core.description,
      objective: state.objective,
      accumulate: options.parts,
      sharedSteps: options.sharedSteps,
      shard: options.shard,
      'the rows to validate on': this.#validation.rows
    }
  }

  get #phase(): Phase {
    return phaseOf(this.state.objective, this.state.iteration)
  }

  /** Maximum likelihood after flow matching: its gradients are of another size, so the optimizer starts afresh. */
  prepare(): number {
    const { objective, iteration } = this.state
    if (objective.type !== 'fm+ml' || iteration > objective.matching) return Infinity
    if (iteration < objective.matching) return objective.matching - iteration
    this.optimizer.state.step = 0
    resetMoments(this.core.native, this.optimizer.state.options)
    this.state.schedule = { ...this.state.schedule, since: 0 }
    return Infinity
  }

  train(feed: Feed, burst: NativeBurst): Promise<NativeFlowIteration[]> {
    const { core, state, options, data } = this
    if (state.iteration === 0) this.#scale ??= checkScale(core.description, feed, data)
    return core.native.train({
      ...burst,
      ...(burst.group && !burst.sharded && { data: this.#fingerprint(feed) }),
      ...this.#rows.of(feed),
      ...(feed.epochs && { visits: feed.epochs }),
      objective: this.#phase,
      coupling: state.objective.coupling,
      parts: this.#parts,
      sharedSteps: options.sharedSteps
    })
  }

  describe(done: NativeFlowIteration, iteration: number, learningRate: number): IterationRecord {
    const { evaluations, blockEvaluations, backwardEvaluations, parts, ...rest } = done
    const record: IterationRecord = {
      ...rest,
      phase: this.#phase,
      iteration,
      nfe: evaluations,
      blockNfe: blockEvaluations,
      backwardNfe: backwardEvaluations,
      learningRate
    }
    // Flow matching solves nothing
    const watched = blockEvaluations.length === 0 ? undefined : this.#watch(record)
    const warning = (iteration === 1 ? this.#scale : watched) ?? this.#countParts(iteration, parts)
    if (!warning) return record
    this.#warnings.push(warning)
    return { ...record, warning }
  }

  #countParts(iteration: number, parts: number): BatchDivided | undefined {
    if (parts <= this.#parts) return undefined
    this.#parts = parts
    const message = `memory does not hold a batch of ${this.options.feed.size} rows; it is solved in ${parts} parts, one after the other`
    return { code: 'BATCH_DIVIDED', iteration, parts, message }
  }

  #watch(record: IterationRecord): FitWarning | undefined {
    const { core, state, options, optimizer } = this
    const { weightDecay } = optimizer.state.options
    return watchEvaluations(state.evaluations, record, options.nfeBudget, core.settings.training, weightDecay)
  }

  /** Of rows, how images are visited, and contexts; those in memory stay what they are. */
  #fingerprint({ data, context }: Feed): number {
    if (this.#seen?.data !== data) {
      const rows = 'levels' in data ? [data.levels, JSON.stringify(data.rule)] : [data]
      this.#seen = { data, word: fingerprint(...rows, ...(context ? [context] : [])) }
    }
    return this.#seen.word
  }

  validate(ranks: Ranks): Promise<number | undefined> {
    return this.#validation.loss(ranks)
  }

  get sinceBest(): number {
    return this.state.schedule.since
  }

  /** To maximum likelihood, where flow matching comes before it. */
  goOn(): boolean {
    const { objective, iteration } = this.state
    if (objective.type !== 'fm+ml' || this.#phase === 'ml') return false
    objective.matching = iteration
    return true
  }

  progress(standing: Standing, records: IterationRecord[]): Progress {
    const tracked = Object.keys(this.core.settings.training.regularize) as Regulariser[]
    const means = meansOf(records, tracked, this.core.traces.length)
    if (records.some((record) => !record.skipped)) this.#loss = means.loss
    return {
      ...standing,
      phase: records.at(-1)?.phase ?? this.#phase,
      ...means,
      loss: this.#loss,
      warnings: records.flatMap(({ warning }) => warning ?? []),
      records
    }
  }

  result(ending: Ending): FitResult {
    return { ...ending, loss: this.#loss, warnings: [...this.#warnings] }
  }

  async save(path: string): Promise<void> {
    assertUsable(this.core)
    await writeModel(path, this.core, false)
  }

  release(): void {
    this.#rows.release()
  }
}
