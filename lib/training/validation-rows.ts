import type { Dataset, FeedingDataset } from '../data/dataset'
import type { DatasetState } from '../data/dataset-options'
import { toDataset } from '../data/flow-data'
import { evaluate, meanSurprise } from '../evaluation/evaluate'
import type { FlowCore } from '../flow/core'
import type { Trace } from '../flow/options'
import type { TrainingState } from '../flow/training-state'
import { fail } from '../native/check'
import { isFfjordError } from '../native/errors'
import type { NormalizedFitOptions } from './fit-options'
import type { Ranks } from './ranks'

type Options = Pick<NormalizedFitOptions<unknown>, 'data' | 'validation' | 'heldOut'>

/** The rows that a flow in training is validated on. */
export class ValidationRows {
  readonly #core: FlowCore
  readonly #options: Options
  readonly #state: TrainingState
  #rows: Dataset | undefined

  constructor(core: FlowCore, options: Options, state: TrainingState) {
    this.#core = core
    this.#options = options
    this.#state = state
  }

  /** Rows that do not end are taken once, so that losses compare. */
  async take(): Promise<void> {
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

  /** How many. */
  get rows(): number {
    return this.#rows?.rows ?? 0
  }

  /** Mean −log p of the rows, of which each rank scores its share; undefined where there are none. */
  async loss(ranks: Ranks): Promise<number | undefined> {
    const { validation } = this.#options
    if (!validation || !this.#rows) return undefined
    const trace = validation.trace === undefined ? {} : { trace: validation.trace }
    const share = ranks.share(this.#rows.rows)
    const own = share.rows === 0 ? [] : await this.#scores(trace, share)
    const scores = await ranks.joined(this.#rows.rows, own)
    const inside = scores.filter((value) => value !== -Infinity)
    const outside = scores.length - inside.length
    if (outside > 0)
      fail(
        'OUTSIDE_SUPPORT',
        `${outside} of the validation rows lie outside of the flow's support, so that log p is −∞ (logProb tells which); ` +
          'drop such rows, or widen the interval'
      )
    return meanSurprise(inside).nll
  }

  async #scores(
    trace: { trace?: Trace },
    { first, rows }: { first: number; rows: number }
  ): Promise<Float64Array> {
    const options = { seed: this.#core.seed, draws: 1, rows, ...trace }
    return (await evaluate(this.#core, this.#rows!, options, first)).logProb
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
