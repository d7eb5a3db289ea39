import type { Dataset, FeedingDataset } from '../data/dataset'
import type { DatasetState } from '../data/dataset-options'
import { toDataset } from '../data/flow-data'
import { evaluate } from '../evaluation/evaluate'
import type { FlowCore } from '../flow/core'
import type { Optimizer } from '../flow/optimizer'
import type { TrainingState } from '../flow/training-state'
import { fail } from '../native/check'
import { isFfjordError } from '../native/errors'
import type { NormalizedFitOptions } from './fit-options'
import { afterValidation } from './schedule'

type Options = Pick<
  NormalizedFitOptions<unknown>,
  'data' | 'validation' | 'heldOut' | 'schedule' | 'keepBest'
>

/** What a training run learns from rows that it does not train on; what it found stands in the training's state. */
export class Validation {
  readonly #core: FlowCore
  readonly #options: Options
  readonly #state: TrainingState
  readonly #optimizer: Optimizer
  #rows: Dataset | undefined

  constructor(core: FlowCore, options: Options, state: TrainingState, optimizer: Optimizer) {
    this.#core = core
    this.#options = options
    this.#state = state
    this.#optimizer = optimizer
  }

  /** Rows that do not end are taken once, so that losses compare. */
  async takeRows(): Promise<void> {
    const { validation, heldOut } = this.#options
    if (!validation) return
    if (heldOut) {
      this.#rows = await this.#holdOut(validation.rows!)
      return
    }
    const data = toDataset(validation.data, this.#core, 'validation.data')
    if (Number.isFinite(data.rows)) {
      this.#rows = validation.rows === undefined ? data : await data.take(validation.rows)
      return
    }
    const place = data.state()
    this.#rows = await data.take(validation.rows ?? 10_000)
    data.restore(place)
  }

  /** The next rows of data that do not end; none where a stream has no more of them to train on. */
  async #holdOut(rows: number): Promise<Dataset | undefined> {
    const { data } = this.#options
    const { heldOut } = this.#state
    const again = heldOut && (await rowsAt(data, heldOut, rows))
    if (again) return again
    const ahead = await data.peek(2, { size: rows, shuffle: false, seed: 0, drop: true })
    if (ahead.sizes.length < 2) return undefined
    this.#state.heldOut = data.state()
    const taken = await data.take(rows)
    this.#state.data = data.state()
    return taken
  }

  /** Mean −log p of the rows, where the iteration asks for it. */
  async run(): Promise<number | undefined> {
    const { validation, schedule, keepBest } = this.#options
    const data = this.#rows
    const { iteration } = this.#state
    // A signal does not pass over it, so that a training that goes on later is what it would have been.
    if (!validation || !data || iteration === 0 || iteration % validation.every !== 0) return undefined
    return this.#withAverage(async () => {
      const { native, seed } = this.#core
      const trace = validation.trace === undefined ? {} : { trace: validation.trace }
      const { nll, outside } = await evaluate(this.#core, data, { seed, draws: 1, ...trace })
      if (outside > 0)
        fail(
          'OUTSIDE_SUPPORT',
          `${outside} of the validation rows lie outside of the flow's support, so that log p is −∞ (logProb tells which); ` +
            'drop such rows, or widen the interval'
        )
      if (keepBest && nll < (this.#state.best?.validation ?? Infinity))
        this.#state.best = {
          validation: nll,
          iteration,
          parameters: native.read('parameters'),
          statistics: native.read('statistics')
        }
      this.#state.schedule = afterValidation(schedule, this.#state.schedule, nll)
      this.#state.validation = nll
      return nll
    })
  }

  /** Runs `work` with the average of the weights in their place, where one is kept. */
  async #withAverage<T>(work: () => Promise<T>): Promise<T> {
    const { native } = this.#core
    if (this.#optimizer.state.options.averageDecay === 0) return work()
    const parameters = native.read('parameters')
    native.write('parameters', native.read('average'))
    try {
      return await work()
    } finally {
      native.write('parameters', parameters)
    }
  }

  get outOfPatience(): boolean {
    const patience = this.#options.validation?.patience
    return patience !== undefined && this.#state.schedule.since >= patience
  }

  /** Puts the best weights into the flow. */
  restoreBest(): void {
    const { best } = this.#state
    if (!best) return
    const { native } = this.#core
    native.write('parameters', best.parameters)
    if (best.statistics.length > 0) native.write('statistics', best.statistics)
  }
}

/** The rows that validation held out before a resume, from data that go on where they stand; none of streams that have passed them. */
async function rowsAt(data: FeedingDataset, place: DatasetState, rows: number): Promise<Dataset | undefined> {
  const next = data.state()
  try {
    data.restore(place)
  } catch (error) {
    if (isFfjordError(error) && error.code === 'UNSUPPORTED') return undefined
    throw error
  }
  const taken = await data.take(rows)
  data.restore(next)
  return taken
}
