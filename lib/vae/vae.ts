import { inspect } from 'node:util'
import type { Dataset } from '../data/dataset'
import { chooseVaeEngine } from '../flow/device'
import { create, dispose, load, outlined, weightsAlone } from '../flow/making'
import { normalizeSettings } from '../flow/normalize-settings'
import { checkProvenance, type Provenance } from '../flow/provenance'
import type { SolverStatistics } from '../flow/statistics'
import { readTensors, type Weights, writeTensors } from '../flow/weights'
import { type ArrayOf, type Batch, newArray, type RealArray, type Tensor } from '../native/batch'
import { binding } from '../native/binding'
import { filePath, integer, object, plain } from '../native/check'
import { translatedSync } from '../native/errors'
import { Fit } from '../training/fit'
import { Training } from '../training/training'
import {
  type DecodeOptions,
  decode,
  drawNoise,
  type Elbo,
  type ElboOptions,
  elbo,
  encode,
  type Likelihood,
  type LikelihoodOptions,
  logLikelihood,
  reconstruct,
  type VaeCallOptions
} from './calls'
import { assertUsable, type VaeCore } from './core'
import { evaluateVae, type VaeEvaluateOptions, type VaeEvaluation } from './evaluate'
import type { VaeTrainingOptions } from './fit-options'
import { openVae, type VaeLoadOptions, writeVae } from './model-file'
import { normalizeVae, spellVae, vaeKeys } from './normalize'
import type { VaeDescription, VaeOptions } from './options'
import type { VaeFitResult, VaeProgress } from './progress'
import { VaeTrainee } from './vae-trainee'

/**
 * A variational autoencoder: an encoder that makes a Gaussian of z0 out of an image, a flow z0 → zk that bends it into the posterior, and a
 * decoder p(x | zk) (Kingma and Welling 2014; Rezende and Mohamed 2015; Grathwohl et al. 2019, section 4.2). Nats per image.
 *
 * Calls on one model queue up; several models run side by side. A call that fails leaves the model as it was.
 */
export class Vae {
  readonly #core: VaeCore
  /** The engine that computes: 'cpu', 'reference', 'cuda:0' … */
  readonly device: string

  private constructor(given: VaeOptions) {
    const options = plain(object(given, 'options', vaeKeys), 'options') as unknown as VaeOptions
    const description = normalizeVae(options)
    const { trace, solver, gradient } = options
    const asked = { trace, solver, gradient }
    const settings = normalizeSettings(asked as Parameters<typeof normalizeSettings>[0])
    const { name } = chooseVaeEngine(options.device ?? 'auto')
    this.device = name
    this.#core = {
      ...outlined(options, settings, (threads) =>
        translatedSync(() => new (binding().Vae)(description, name, null, threads))
      ),
      description,
      options: Object.fromEntries(Object.entries(asked).filter(([, value]) => value !== undefined))
    }
  }

  /** An autoencoder with PyTorch's initialisation, drawn from `seed`. */
  static async create(options: VaeOptions): Promise<Vae> {
    const vae = new Vae(options)
    await create(vae.#core)
    return vae
  }

  /**
   * Reads a model file of this package, or a safetensors file of the published program's state dict; the latter holds no description, so give it.
   * Other options take the place of the file's.
   */
  static async load(path: string, options: VaeLoadOptions = {}): Promise<Vae> {
    const given = plain(object(options, 'load options', vaeKeys), 'load options') as VaeLoadOptions
    const model = await openVae(filePath(path), given)
    try {
      const vae = new Vae(model.options)
      await load(vae.#core, path, model)
      return vae
    } finally {
      await model.close()
    }
  }

  /**
   * Writes weights and description, and what training needs to go on; `weightsOnly` leaves the latter out. The file appears whole or not at
   * all.
   */
  async save(path: string, options: { weightsOnly?: boolean } = {}): Promise<void> {
    assertUsable(this.#core)
    await writeVae(filePath(path), this.#core, weightsAlone(options))
  }

  /** What the model is, defaults filled in. */
  get description(): VaeDescription {
    return spellVae(this.#core.description)
  }

  /** The shape of an image. */
  get shape(): number[] {
    return [...this.#core.description.shape]
  }

  /** Dimension of z. */
  get latent(): number {
    return this.#core.description.latent
  }

  get seed(): number {
    return this.#core.seed
  }

  /** Counts of the posterior's solves in the last call. */
  get statistics(): SolverStatistics | undefined {
    return this.#core.statistics
  }

  /** How evaluations solve the posterior's flow: the divergence of −ELBO and of log p, and whose step it is. */
  get evaluationMethod(): { trace: string; control: string } {
    const { description, settings } = this.#core
    if (!description.posterior.type.startsWith('cnf')) return { trace: 'no dynamics', control: 'none' }
    const { trace, solver } = settings.training
    const estimate = trace.mode === 'hutchinson' ? `${trace.noise}, ${trace.probes} probes` : trace.mode
    return {
      trace: `−ELBO by trace ${estimate}, log p by the exact one`,
      control: solver.steps > 0 ? `${solver.steps} of ${solver.method}` : `shared by a ${solver.control}`
    }
  }

  /** Where the weights come from. `fit` notes it, and model files keep it. */
  get provenance(): Provenance | undefined {
    return structuredClone(this.#core.provenance)
  }

  set provenance(given: Provenance | undefined) {
    if (given === undefined) delete this.#core.provenance
    else this.#core.provenance = checkProvenance(given)
  }

  toString(): string {
    const { description, native, disposed } = this.#core
    const { shape, likelihood, latent, posterior } = description
    const parameters = native.parameters.reduce((sum, { size }) => sum + size, 0)
    const state = disposed ? 'disposed' : `on ${this.device}`
    return `Vae ${state}: images [${shape}], ${likelihood}, ${latent} latent, posterior ${posterior.type}, ${parameters} parameters`
  }

  static {
    Object.defineProperty(Vae.prototype, inspect.custom, { value: Vae.prototype.toString })
  }

  /** ELBO ≤ log p(x) of each image and its parts, by one draw of z an image. */
  elbo<B extends Batch>(images: B, options?: ElboOptions): Promise<Elbo<ArrayOf<B>>> {
    return elbo(this.#core, images, options)
  }

  /** log p(x) of each image by importance sampling, with the exact divergence of the posterior's flow. */
  logLikelihood<B extends Batch>(images: B, options?: LikelihoodOptions): Promise<Likelihood<ArrayOf<B>>> {
    return logLikelihood(this.#core, images, options)
  }

  /** Mean and variance of z0, and h, which they are made of. */
  encode<B extends Batch>(
    images: B,
    options?: VaeCallOptions
  ): Promise<{ mean: Tensor<ArrayOf<B>>; variance: Tensor<ArrayOf<B>>; h: Tensor<ArrayOf<B>> }> {
    return encode(this.#core, images, options)
  }

  /** z (count, latent) → images, their means or draws of them. */
  decode<B extends Batch>(z: B, options?: DecodeOptions): Promise<Tensor<ArrayOf<B>>> {
    return decode(this.#core, z, options)
  }

  /** Images of z drawn from the prior N(0, I). */
  async sample(count: number, options: DecodeOptions = {}): Promise<Tensor> {
    assertUsable(this.#core)
    const given = object(options, 'sample options', ['draw', 'seed', 'signal']) as DecodeOptions
    const rows = integer(count, 'count', 1)
    const { latent } = this.#core.description
    const { seed, call } = drawNoise(this.#core, given.seed)
    newArray(Float32Array, rows * latent) // whether there is room
    const key = { seed, call, block: 0, probe: 0 }
    const z = translatedSync(() => binding().noise('gaussian', key, 0, rows, latent))
    return decode(this.#core, { data: z, shape: [rows, latent] }, given)
  }

  /** The mean image of p(x | zk) by one draw of z an image. */
  reconstruct<B extends Batch>(images: B, options?: VaeCallOptions): Promise<Tensor<ArrayOf<B>>> {
    return reconstruct(this.#core, images, options)
  }

  /** Mean −ELBO over images with its parts, active units, and by importance sampling mean −log p(x). */
  evaluate(data: Dataset | Batch, options?: VaeEvaluateOptions): Promise<VaeEvaluation> {
    assertUsable(this.#core)
    return evaluateVae(this.#core, data, options)
  }

  /**
   * Maximises ELBO on `data`. Iterate over it for progress (at most every 50 ms), or await its result, as of `flow.fit()`.
   */
  fit(data: Dataset | Batch, options: VaeFitOptions): Fit<VaeProgress, VaeFitResult> {
    return new Fit(
      () => assertUsable(this.#core),
      () => new Training(new VaeTrainee<Vae>(this, this.#core, data, options))
    )
  }

  /** Weights by the published program's names, as PyTorch shapes them; copies. */
  parameters(): Weights {
    return readTensors(this.#core, 'parameters')
  }

  /** Sets weights by name; those left out stay. All or nothing. */
  setParameters(weights: Record<string, RealArray | { data: RealArray; shape?: readonly number[] }>): void {
    writeTensors(this.#core, weights)
  }

  /** Frees what the model holds on its device, after the calls under way. */
  dispose(): void {
    dispose(this.#core)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** How long to train, on what terms, and what to do on the way. */
export type VaeFitOptions = VaeTrainingOptions<Vae>
