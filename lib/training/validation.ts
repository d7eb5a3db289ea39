import type { ModelCore } from '../flow/core'
import type { Optimizer } from '../flow/optimizer'
import type { FitState } from '../flow/training-state'
import type { Ranks } from './ranks'
import { afterValidation } from './schedule'
import type { LoopOptions } from './trainee'

/** What validation asks of a trainee. */
interface Validated {
  readonly core: ModelCore
  readonly options: Pick<LoopOptions<never>, 'validation' | 'schedule' | 'keepBest'>
  readonly state: FitState
  readonly optimizer: Optimizer
  validate(ranks: Ranks): Promise<number | undefined>
  noteValidation?(validation: number, isBest: boolean): void
}

/** What a training run learns from rows that it does not train on; what it found stands in the training's state. */
export class Validation {
  readonly #trainee: Validated
  readonly #ranks: Ranks

  constructor(trainee: Validated, ranks: Ranks) {
    this.#trainee = trainee
    this.#ranks = ranks
  }

  /** The loss of the rows, where the iteration asks for it. A signal does not pass over it, so that a training that goes on later is what it would have been. */
  async run(): Promise<number | undefined> {
    const { options, state } = this.#trainee
    const { iteration } = state
    if (!options.validation || iteration === 0 || iteration % options.validation.every !== 0) return undefined
    return this.#withAverage(async () => {
      const loss = await this.#trainee.validate(this.#ranks)
      if (loss === undefined) return undefined
      const isBest = loss < (state.best?.validation ?? Infinity)
      if (isBest && options.keepBest) {
        const { native } = this.#trainee.core
        const [parameters, statistics] = [native.read('parameters'), native.read('statistics')]
        state.best = { validation: loss, iteration, parameters, statistics }
      }
      state.schedule = afterValidation(options.schedule, state.schedule, loss)
      state.validation = loss
      this.#trainee.noteValidation?.(loss, isBest)
      return loss
    })
  }

  /** Runs `work` with the average of the weights in their place, where one is kept. */
  async #withAverage<T>(work: () => Promise<T>): Promise<T> {
    const { optimizer, core } = this.#trainee
    if (optimizer.state.options.averageDecay === 0) return work()
    const { native } = core
    const parameters = native.read('parameters')
    native.write('parameters', native.read('average'))
    try {
      return await work()
    } finally {
      native.write('parameters', parameters)
    }
  }

  /** Puts the best weights into the model, where they were kept. */
  restoreBest(): boolean {
    const { best } = this.#trainee.state
    if (!best || best.parameters.length === 0) return false
    const { native } = this.#trainee.core
    native.write('parameters', best.parameters)
    if (best.statistics.length > 0) native.write('statistics', best.statistics)
    return true
  }
}
