import { inspect } from 'node:util'
import type { Dataset } from '../data/dataset'
import { threadCount } from '../flow/device'
import { assertFits, checkMemory } from '../flow/memory'
import { normalizeSettings } from '../flow/normalize'
import { checkProvenance, type Provenance } from '../flow/provenance'
import type { SolverStatistics } from '../flow/statistics'
import { cut, type Weights, writeTensors } from '../flow/weights'
import { type ArrayOf, type Batch, newArray, type RealArray, type Tensor } from '../native/batch'
import { binding } from '../native/binding'
import { boolean, fail, filePath, integer, object, plain, show } from '../native/check'
import { translated, translatedSync } from '../native/errors'
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
import { normalizeVae, spellVae } from './normalize'
import type { VaeDescription, VaeOptions } from './options'
import type { VaeFitResult, VaeProgress } from './progress'
import { VaeTrainee } from './vae-trainee'

const keys = [
  'shape',
  'likelihood',
  'latent',
  'encoder',
  'decoder',
  'head',
  'posterior',
  'variance',
  'trace',
  'solver',
  'gradient',
  'device',
  'seed',
  'threads',
  'memory'
]

/**
 * A variational autoencoder: an encoder that makes a Gaussian of z0 out of an image, a flow z0 → zk that bends it into the posterior, and a
 * decoder p(x | zk) (Kingma and Welling 2014; Rezende and Mohamed 2015; Grathwohl et al. 2019, section 4.2). Nats per image.
 *
 * Calls on one model queue up; several models run side by side. A call that fails leaves the model as it was.
 */
export class Vae {
  readonly #core: VaeCore
  /** Bytes that it may take, where the caller said so. */
  readonly #memory: number | undefined
  /** The engine that computes: 'cpu', 'reference', 'cuda:0' … */
  readonly device: string

  /** What the model is; its memory is taken by `#make`. */
  private constructor(given: VaeOptions) {
    const options = plain(object(given, 'options', keys), 'options') as unknown as VaeOptions
    const description = normalizeVae(options)
    const { trace, solver, gradient } = options
    const settings = normalizeSettings({ trace, solver, gradient } as Parameters<typeof normalizeSettings>[0])
    const seed = integer(options.seed ?? 0, 'seed')
    const threads = threadCount(options.threads)
    this.#memory = checkMemory(options.memory)
    this.device = chooseDevice(options.device ?? 'auto')
    const native = translatedSync(() => new (binding().Vae)(description, this.device, null, threads))
    const asked = { trace, solver, gradient }
    const defined = Object.entries(asked).filter(([, value]) => value !== undefined)
    this.#core = {
      native,
      description,
      options: Object.fromEntries(defined),
      settings,
      seed,
      calls: 0,
      draws: 0,
      disposed: false
    }
  }

  /** An autoencoder with PyTorch's initialisation, drawn from `seed`. */
  static async create(options: VaeOptions): Promise<Vae> {
    const vae = new Vae(options)
    try {
      await vae.#make(vae.seed, 'this model')
      return vae
    } catch (error) {
      vae.dispose()
      throw error
    }
  }

  async #make(seed: number | null, model: string): Promise<void> {
    const { native } = this.#core
    assertFits(native.memory, this.#memory, model)
    await translated(() => native.make(seed))
  }

  /**
   * Reads a model file of this package, or a safetensors file of the published program's state dict; the latter holds no description, so give it.
   * Other options take the place of the file's.
   */
  static async load(path: string, options: VaeLoadOptions = {}): Promise<Vae> {
    const given = plain(object(options, 'load options', keys), 'load options') as VaeLoadOptions
    const model = await openVae(filePath(path), given)
    try {
      const vae = new Vae(model.options)
      try {
        model.check(vae.#core)
        await vae.#make(null, path)
        await model.restore(vae.#core)
        return vae
      } catch (error) {
        vae.dispose()
        throw error
      }
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
    const { weightsOnly } = object(options, 'save options', ['weightsOnly'])
    await writeVae(filePath(path), this.#core, boolean(weightsOnly ?? false, 'weightsOnly'))
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
    assertUsable(this.#core)
    const { native } = this.#core
    return translatedSync(() => cut(native.read('parameters'), native.parameters))
  }

  /** Sets weights by name; those left out stay. All or nothing. */
  setParameters(weights: Record<string, RealArray | { data: RealArray; shape?: readonly number[] }>): void {
    writeTensors(this.#core, weights)
  }

  /** Frees what the model holds on its device, after the calls under way. */
  dispose(): void {
    if (this.#core.disposed) return
    this.#core.disposed = true
    this.#core.native.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** How long to train, on what terms, and what to do on the way. */
export type VaeFitOptions = VaeTrainingOptions<Vae>

function chooseDevice(device: unknown): string {
  if (typeof device !== 'string') fail('INVALID_OPTION', `device is ${show(device)}; give 'auto' or 'cpu'`)
  const engines = binding().engines()
  const usable = engines.filter((one) => one.unusable === '' && one.autoencoders)
  if (device === 'auto') {
    const best = usable.find((one) => one.name === 'cpu') ?? usable[0]
    return best?.name ?? fail('DEVICE_UNUSABLE', 'no device here has autoencoders; see deviceInfo()')
  }
  const name = device === 'cuda' ? 'cuda:0' : device
  const engine = engines.find((one) => one.name === name)
  if (!engine) {
    const known = engines.map((one) => one.name).join(', ')
    return fail(
      'DEVICE_UNUSABLE',
      `device ${show(device)} does not exist here; use 'auto' or one of: ${known}`
    )
  }
  if (engine.unusable) fail('DEVICE_UNUSABLE', `device '${name}' cannot be used: ${engine.unusable}`)
  if (!engine.autoencoders)
    fail('UNSUPPORTED', `device '${name}' has no autoencoders yet; use device 'cpu', or 'auto'`)
  return name
}
