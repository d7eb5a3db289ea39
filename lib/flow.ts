import { inspect } from 'node:util'
import type { Dataset } from './data/dataset'
import type { ImageDataset } from './data/image-dataset'
import { checkSchema, type TableSchema, tableWidth } from './data/schema'
import { type EvaluateOptions, type Evaluation, evaluate } from './evaluation/evaluate'
import { evaluateImages, type ImageEvaluation, type ImageEvaluationOptions } from './evaluation/image-bits'
import {
  type LabelOptions,
  type LabelProbabilities,
  labelProbabilities
} from './evaluation/label-probabilities'
import type { EvaluationOptions } from './flow/call-options'
import { assertUsable, type FlowCore } from './flow/core'
import { chooseEngine } from './flow/device'
import { type CertifiedLogProb, logProb, logProbSync, score } from './flow/log-prob'
import { type Loss, type LossOptions, loss } from './flow/loss'
import { create, dispose, load, outlined, weightsAlone } from './flow/making'
import { type LoadOptions, openModel, writeModel } from './flow/model-file'
import { flowKeys, normalizeDescription } from './flow/normalize'
import { normalizeSettings } from './flow/normalize-settings'
import { Optimizer, optimizerState, resetMoments } from './flow/optimizer'
import type { ComputeOptions, FlowDescription, FlowOptions, OptimizerOptions } from './flow/options'
import { checkProvenance, type Provenance } from './flow/provenance'
import { type Precise, type Precision, type SampleOptions, sample, sampleBase } from './flow/sample'
import { type ForwardSolution, type ReverseSolution, type SolveOptions, solve } from './flow/solution'
import type { Statistics } from './flow/statistics'
import { aligned, summary } from './flow/summary'
import { type Trajectory, type TrajectoryOptions, trajectory } from './flow/trajectory'
import { forwardSync, transform } from './flow/transform'
import {
  type Velocity,
  type VelocityOptions,
  type VelocityPullback,
  type VelocityPullbackOptions,
  velocity,
  velocityPullback
} from './flow/velocity'
import { readTensors, type Weights, writeTensors } from './flow/weights'
import { type ArrayOf, type Batch, type RealArray, sizeOf, type Tensor } from './native/batch'
import { binding } from './native/binding'
import { fail, filePath, object, plain } from './native/check'
import { translatedSync } from './native/errors'
import { Fit } from './training/fit'
import type { TrainingOptions } from './training/fit-options'
import { FlowTrainee } from './training/flow-trainee'
import { Training } from './training/training'

/**
 * A continuous normalizing flow: dz/dt = f(z, t) from data at t = 0 to the base N(0, I) at t = T, with density
 * log p(x) = log N(z(T); 0, I) + ∫ tr ∂f/∂z dt (Grathwohl et al. 2019, eq. 3 and 4). Nats per sample.
 *
 * Calls on one flow queue up; several flows run side by side. A call that fails leaves the flow as it was.
 */
export class Flow {
  readonly #core: FlowCore
  /** The engine that computes: 'cpu', 'reference', 'cuda:0' … */
  readonly device: string

  private constructor(given: FlowOptions) {
    const options = plain(object(given, 'options', flowKeys), 'options') as unknown as FlowOptions
    const description = normalizeDescription(options)
    const { trace, solver, gradient, regularize } = options
    const settings = normalizeSettings(options, description.blocks)
    const { name } = chooseEngine(options.device ?? 'auto', description)
    this.device = name
    const core = outlined(options, settings, (threads) =>
      translatedSync(() => new (binding().Flow)(description, name, null, threads))
    )
    this.#core = {
      ...core,
      description,
      options: { trace, solver, gradient, regularize },
      traces: translatedSync(() => core.native.traces(settings.training))
    }
  }

  /** A flow with the reference implementation's initialisation, drawn from `seed`. */
  static async create(options: FlowOptions): Promise<Flow> {
    const flow = new Flow(options)
    await create(flow.#core)
    return flow
  }

  /**
   * Reads a model file of this package, or a safetensors file of the reference implementation's state dict; the latter
   * holds no description, so give `shape` and `blocks`. Other options take the place of the file's.
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Flow> {
    const given = plain(object(options, 'load options', flowKeys), 'load options') as LoadOptions
    const model = await openModel(filePath(path), given)
    try {
      const flow = model.described(() => new Flow(model.options))
      await load(flow.#core, path, model)
      return flow
    } finally {
      await model.close()
    }
  }

  /**
   * Writes weights and description, and what training needs to go on: optimizer, averages, random and data state.
   * `weightsOnly` leaves the latter out; PyTorch loads such a file strictly. The file appears whole or not at all.
   */
  async save(path: string, options: { weightsOnly?: boolean } = {}): Promise<void> {
    assertUsable(this.#core)
    await writeModel(filePath(path), this.#core, weightsAlone(options))
  }

  /** What the flow is, defaults filled in. */
  get description(): FlowDescription {
    return structuredClone(this.#core.description) as FlowDescription
  }

  /** How it is computed, as it was asked for. */
  get options(): ComputeOptions {
    return structuredClone(this.#core.options)
  }

  /** The shape of one sample. */
  get shape(): number[] {
    return [...this.#core.description.shape]
  }

  /** Columns of the table that the flow was trained on, where it was told so; model files keep them. */
  get table(): TableSchema | undefined {
    return structuredClone(this.#core.table)
  }

  set table(schema: TableSchema | undefined) {
    const checked = schema === undefined ? undefined : checkSchema(plain(schema, 'table'))
    const size = sizeOf(this.shape)
    if (checked && tableWidth(checked.columns) !== size)
      fail(
        'INVALID_SHAPE',
        `table has ${tableWidth(checked.columns)} elements a row, and the flow ${size}; make them agree`
      )
    if (checked) this.#core.table = checked
    else delete this.#core.table
  }

  /** Where the weights come from: data, rows, iterations, NLL, date. `fit` notes it, and model files keep it. */
  get provenance(): Provenance | undefined {
    return structuredClone(this.#core.provenance)
  }

  set provenance(given: Provenance | undefined) {
    if (given === undefined) delete this.#core.provenance
    else this.#core.provenance = checkProvenance(given)
  }

  /** Shape, blocks, columns, trace and provenance in words: what console.log(flow) shows. */
  toString(): string {
    const { description, options, traces, table, provenance, native, disposed } = this.#core
    const parameters = native.parameters.reduce((sum, { size }) => sum + size, 0)
    const endTimes = disposed ? [] : this.endTimes
    const lines = summary({
      description: description as FlowDescription,
      options,
      traces,
      endTimes,
      parameters,
      ...(table && { table }),
      ...(provenance && { provenance })
    })
    return aligned([['Flow', disposed ? 'disposed' : `on ${this.device}`], ...lines])
  }

  static {
    // A method by this name would be part of the types, which then ask for Node's.
    Object.defineProperty(Flow.prototype, inspect.custom, { value: Flow.prototype.toString })
  }

  get seed(): number {
    return this.#core.seed
  }

  /** Bytes that the flow takes where it is trained; batches and what is kept of their solves come on top. */
  get memory(): number {
    return this.#core.native.memory
  }

  /** Counts of the last call that solved. */
  get statistics(): Statistics | undefined {
    return this.#core.statistics
  }

  /** The divergence that each CNF block uses in training: what 'auto' became. */
  get traces(): string[] {
    return [...this.#core.traces]
  }

  /** End time T of each CNF block. */
  get endTimes(): number[] {
    return Object.entries(this.parameters())
      .filter(([name]) => name.endsWith('.sqrt_end_time'))
      .map(([, { data }]) => data[0]! ** 2)
  }

  /** log p(x), one number a row, −Infinity outside of the support of the flow's transforms; with `certify` also what it may be off by, for the price of several solves. */
  logProb<B extends Batch>(x: B, options?: EvaluationOptions & { certify?: false }): Promise<ArrayOf<B>>
  logProb<B extends Batch>(
    x: B,
    options: Omit<EvaluationOptions, 'noise'> & { certify: true }
  ): Promise<CertifiedLogProb<ArrayOf<B>>>
  logProb(x: Batch, options?: EvaluationOptions & { certify?: boolean }): Promise<unknown> {
    return logProb(this.#core, x, options)
  }

  /** logProb on the caller's thread, for small batches: saves the turn of another thread. */
  logProbSync<B extends Batch>(x: B, options?: Omit<EvaluationOptions, 'signal'>): ArrayOf<B> {
    return logProbSync(this.#core, x, options)
  }

  /** Data → base: z and Δlogp with log p(x) = log N(z; 0, I) − Δlogp. */
  async forward<B extends Batch>(
    x: B,
    options?: EvaluationOptions
  ): Promise<{ z: Tensor<ArrayOf<B>>; deltaLogp: ArrayOf<B> }> {
    const { rows: z, deltaLogp } = await transform(this.#core, 'forward', x, options)
    return { z, deltaLogp }
  }

  /** forward on the caller's thread, for small batches. */
  forwardSync<B extends Batch>(
    x: B,
    options?: Omit<EvaluationOptions, 'signal'>
  ): { z: Tensor<ArrayOf<B>>; deltaLogp: ArrayOf<B> } {
    const { rows: z, deltaLogp } = forwardSync(this.#core, x, options)
    return { z, deltaLogp }
  }

  /** Base → data: x and Δlogp with log p(x) = log N(z; 0, I) + Δlogp. */
  async inverse<B extends Batch>(
    z: B,
    options?: EvaluationOptions
  ): Promise<{ x: Tensor<ArrayOf<B>>; deltaLogp: ArrayOf<B> }> {
    const { rows: x, deltaLogp } = await transform(this.#core, 'reverse', z, options)
    return { x, deltaLogp }
  }

  /** `count` samples of the model. */
  async sample<P extends Precision = 'float32'>(
    count: number,
    options?: SampleOptions<P>
  ): Promise<Tensor<Precise<P>>> {
    const { x } = await sample(this.#core, count, options, false)
    return x
  }

  /** `count` samples x and log p(x), from one solve. */
  async sampleAndLogProb<P extends Precision = 'float32'>(
    count: number,
    options?: SampleOptions<P>
  ): Promise<{ x: Tensor<Precise<P>>; logProb: Precise<P> }> {
    const { x, logProb } = await sample(this.#core, count, options, true)
    return { x, logProb: logProb! }
  }

  /** `count` samples of N(0, I), those that `sample` with the same seed starts from. */
  sampleBase(count: number, options?: { seed?: number; rowOffset?: number }): Tensor {
    return sampleBase(this.#core, count, options)
  }

  /**
   * ∇ₓ log p(x), in the shape of x. @throws FfjordError OUTSIDE_SUPPORT, which names rows outside of the support; SOLVE_FAILED
   * where a gradient is more than the engine's numbers hold
   */
  score<B extends Batch>(x: B, options?: EvaluationOptions): Promise<Tensor<ArrayOf<B>>> {
    return score(this.#core, x, options)
  }

  /** States and Δlogp on the way, at given times between data (0) and base (Σ T). */
  trajectory(options: TrajectoryOptions): Promise<Trajectory> {
    return trajectory(this.#core, options)
  }

  /** f(z, t) of one CNF block, and its divergence where asked for. */
  velocity<B extends Batch>(z: B, options: VelocityOptions): Promise<Velocity<ArrayOf<B>>> {
    return velocity(this.#core, z, options)
  }

  /** Cotangents of f and its divergence → cotangent of z; adds to the gradients. */
  velocityPullback<B extends Batch>(
    z: B,
    options: VelocityPullbackOptions
  ): Promise<VelocityPullback<ArrayOf<B>>> {
    return velocityPullback(this.#core, z, options)
  }

  /** −mean log p(x) plus regularisers; rows outside of the support are refused by name (OUTSIDE_SUPPORT). Its gradients replace those on the device, for optimizer.step(). */
  loss<B extends Batch>(x: B, options?: LossOptions): Promise<Loss<ArrayOf<B>>> {
    return loss(this.#core, x, options)
  }

  /** An optimizer that starts afresh; without options the one that is at work, or came with the model file. */
  optimizer(options?: OptimizerOptions): Optimizer {
    assertUsable(this.#core)
    if (options !== undefined) {
      const optimizer = new Optimizer(this.#core.native, optimizerState(options))
      resetMoments(this.#core.native, optimizer.state.options)
      this.#core.optimizer = optimizer
    }
    return (
      this.#core.optimizer ??
      fail('INVALID_OPTION', "this flow has no optimizer yet; give options like { type: 'adam', lr: 1e-3 }")
    )
  }

  /** Weights by the reference implementation's names, as PyTorch shapes them; copies. */
  parameters(): Weights {
    return readTensors(this.#core, 'parameters')
  }

  /** Gradients of the last loss, and of every pullback since; copies. */
  gradients(): Weights {
    return readTensors(this.#core, 'gradients')
  }

  /** The moving average of the weights that the optimizer's `average` keeps; the weights where there is none. */
  average(): Weights {
    const kept = this.#core.optimizer?.state.options.averageDecay
    return readTensors(this.#core, kept ? 'average' : 'parameters')
  }

  /** Running statistics of batch norms; u, v and W/σ of spectral normalisation. */
  buffers(): Weights {
    return readTensors(this.#core, 'statistics')
  }

  /** Sets weights and running statistics by name; those left out stay. All or nothing. */
  setParameters(weights: Record<string, RealArray | { data: RealArray; shape?: readonly number[] }>): void {
    writeTensors(this.#core, weights)
  }

  /** Sets gradients to zero, from where pullbacks add up; `loss` does so itself. */
  zeroGradients(): void {
    assertUsable(this.#core)
    translatedSync(() => this.#core.native.zeroGradients())
  }

  /**
   * Trains on `data`, by maximum likelihood unless `objective` says otherwise. Iterate over it for progress (at most every 50 ms), or await its result; training
   * goes on while the caller waits for either, so between two rounds of a loop the flow is at rest.
   */
  fit(data: Dataset | Batch, options: FitOptions = {}): Fit {
    return new Fit(
      () => assertUsable(this.#core),
      () => new Training(new FlowTrainee<Flow>(this, this.#core, data, options))
    )
  }

  /** Mean −log p over a data set with its standard error. */
  evaluate(data: Dataset | Batch, options?: EvaluateOptions): Promise<Evaluation> {
    return evaluate(this.#core, data, options)
  }

  /**
   * Bits per dimension of images under the noise that they are dequantised by, uniform where there is none, with what they depend on: the
   * images, the draws of noise, probes and solver.
   */
  bitsPerDim(images: ImageDataset, options?: ImageEvaluationOptions): Promise<ImageEvaluation> {
    return evaluateImages(this.#core, images, options)
  }

  /**
   * p(class | image) of a flow that is conditioned on the classes of images, from its densities p(image | class) and the shares of the classes.
   * @throws FfjordError UNSUPPORTED of a flow with another context, or none
   */
  labelProbabilities(images: ImageDataset, options?: LabelOptions): Promise<LabelProbabilities> {
    return labelProbabilities(this.#core, images, options)
  }

  /** A solve that can be differentiated: what losses are made of. */
  solve<B extends Batch>(
    x: B,
    options?: SolveOptions & { direction?: 'forward' }
  ): Promise<ForwardSolution<ArrayOf<B>>>
  solve<B extends Batch>(
    z: B,
    options: SolveOptions & { direction: 'reverse' }
  ): Promise<ReverseSolution<ArrayOf<B>>>
  solve(batch: Batch, options: SolveOptions & { direction?: 'forward' | 'reverse' } = {}): Promise<unknown> {
    return solve(this.#core, batch, options)
  }

  /** Frees what the flow holds on its device, after the calls under way. */
  dispose(): void {
    dispose(this.#core)
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** How long to train, on what terms, and what to do on the way. */
export type FitOptions = TrainingOptions<Flow>
