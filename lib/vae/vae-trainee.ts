import type { Dataset, Feed, FeedingDataset } from '../data/dataset'
import type { Optimizer } from '../flow/optimizer'
import type { Batch } from '../native/batch'
import { translatedSync } from '../native/errors'
import type { NativeBurst, NativeRows, NativeVaeIteration } from '../native/interface'
import { fingerprint } from '../training/fingerprint'
import type { Ranks } from '../training/ranks'
import { startingPoint } from '../training/starting-point'
import type { Ending, LoopOptions, Standing, Trainee } from '../training/trainee'
import { assertUsable, type VaeCore } from './core'
import { evaluateVae, meanOf } from './evaluate'
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

/** An autoencoder in training: its images, the weight of KL, which rises by epochs, and what counts for patience. */
export class VaeTrainee<M>
  implements Trainee<M, NativeVaeIteration, VaeIteration, VaeProgress, VaeFitResult>
{
  readonly model: M
  readonly core: VaeCore
  readonly options: LoopOptions<M>
  readonly state: VaeTrainingState
  readonly optimizer: Optimizer
  readonly #given: NormalizedVaeFit<M>
  readonly #images: Images
  /** Iterations of an epoch, whose last batch may be smaller. */
  readonly #epochLength: number
  #rows: NativeRows | undefined
  #last = vaeMeans([])
  #word: number | undefined

  constructor(model: M, core: VaeCore, data: Dataset | Batch, asked: VaeTrainingOptions<M>) {
    const given = normalizeVaeFit(asked)
    const { shape } = core.description
    this.model = model
    this.core = core
    this.#given = given
    this.#images = toImages(data, shape, 'data')
    if (given.validation) toImages(given.validation.data, shape, 'validation.data')
    this.#epochLength = Math.ceil(this.#images.count / given.feed.size)
    const { validation, checkpoint } = given
    const iterations = (epochs: number) => epochs * this.#epochLength
    this.options = {
      ...given,
      iterations: iterations(given.epochs),
      validation: validation && { ...validation, every: iterations(validation.every) },
      checkpoint: checkpoint && { ...checkpoint, every: iterations(checkpoint.every) }
    }
    const { state, optimizer } = startingPoint<VaeTrainingState>(
      core,
      this.data,
      { ...given, usual: paperOptimizer },
      (standing) => ({ since: standing?.since ?? 0 })
    )
    this.state = state
    this.optimizer = optimizer
  }

  get data(): FeedingDataset {
    return this.#images.feeding
  }

  get name(): string | undefined {
    return this.data.name
  }

  async begin(): Promise<void> {
    const { count, data } = this.#images
    this.#rows = translatedSync(() => this.core.native.upload(count, data))
  }

  get common(): Record<string, unknown> {
    return { description: this.core.description, warmup: this.#given.warmup, binarize: this.#images.binarize }
  }

  /** To the end of the epoch, in which β is one. */
  prepare(): number {
    return this.#epochLength - (this.state.iteration % this.#epochLength)
  }

  /** Counted from 1, of the iteration of this number, counted from 1 as well. */
  #epochOf(iteration: number): number {
    return Math.max(1, Math.ceil(iteration / this.#epochLength))
  }

  #betaOf(iteration: number): number {
    return betaOf(this.#epochOf(iteration), this.#given.warmup)
  }

  train({ sizes }: Feed, burst: NativeBurst): Promise<NativeVaeIteration[]> {
    const next = this.state.iteration + 1
    return this.core.native.train({
      ...burst,
      ...(burst.group && { data: this.#fingerprint() }),
      images: this.#rows!,
      binarize: this.#images.binarize,
      betas: Float64Array.from(sizes, (_, i) => this.#betaOf(next + i))
    })
  }

  #fingerprint(): number {
    this.#word ??= fingerprint(this.#images.data)
    return this.#word
  }

  describe(done: NativeVaeIteration, iteration: number, learningRate: number): VaeIteration {
    const { loss, reconstruction, kl, evaluations, backwardEvaluations, gradientNorm, seconds, skipped } =
      done
    return {
      iteration,
      loss,
      reconstruction,
      kl,
      beta: this.#betaOf(iteration),
      nfe: evaluations,
      backwardNfe: backwardEvaluations,
      gradientNorm,
      learningRate,
      seconds,
      skipped
    }
  }

  /** The mean of −ELBO, of which each rank has its share of the images. */
  async validate(ranks: Ranks): Promise<number | undefined> {
    const { validation } = this.#given
    if (!validation) return undefined
    const { count } = toImages(validation.data, this.core.description.shape, 'validation.data')
    const { first, rows } = ranks.share(count)
    const options = { images: rows }
    const own =
      rows === 0 ? [] : (await evaluateVae(this.core, validation.data, options, first)).negativeElbos
    return meanOf(await ranks.joined(count, own)).mean
  }

  /** Patience begins where β is 1: before that, −ELBO is not what is trained on. */
  noteValidation(validation: number, isBest: boolean): void {
    const { state, options } = this
    const { iteration } = state
    if (isBest) state.since = 0
    else if (iteration / this.#epochLength >= this.#given.warmup) state.since++
    if (isBest && !options.keepBest) {
      const none = new Float32Array()
      state.best = { validation, iteration, parameters: none, statistics: none }
    }
  }

  get sinceBest(): number {
    return this.state.since
  }

  goOn(): boolean {
    return false
  }

  progress(standing: Standing, records: VaeIteration[]): VaeProgress {
    if (records.some((record) => !record.skipped)) this.#last = vaeMeans(records)
    return {
      ...standing,
      epoch: this.#epochOf(standing.iteration),
      epochs: this.#given.epochs,
      ...this.#last,
      beta: records.at(-1)?.beta ?? 1,
      records
    }
  }

  result(ending: Ending): VaeFitResult {
    const { loss, negativeElbo } = this.#last
    return { ...ending, loss, negativeElbo }
  }

  async save(path: string): Promise<void> {
    assertUsable(this.core)
    await writeVae(path, this.core, false)
  }

  release(): void {
    this.#rows?.release()
    this.#rows = undefined
  }
}
