import type { Regulariser, RegulariserMeans } from './regularisers'

/**
 * The binding's interface, as native/binding implements it. Everything else in lib/ talks to the core
 * through these types; nothing else describes them. Arrays are float32 or float64 and row-major;
 * arguments have been validated in lib/, and the binding only defends the process.
 */

/** Input arrays are copied before an asynchronous call returns. */
export type NativeArray = Float32Array | Float64Array

/** What a call's `float64` is where its results are arrays of type A. */
export type WantsFloat64<A extends NativeArray> = A extends Float64Array ? true : false

export interface NativeConvolution {
  /** Height and width. */
  kernel: [number, number]
  stride: number
  padding: number
  outputPadding: number
  transposed: boolean
}

export type NativeBlock =
  | {
      type: 'cnf'
      time: number
      trainTime: boolean
      net: {
        hidden: number[]
        layer: string
        activation: string
        residual: boolean
        /** Numbers of the published code, or geometries. */
        strides: (number | NativeConvolution)[]
        /** Nets on squeezed views, whose sum f is; 1: one net. */
        parallel: number
        zeroLast: boolean
        /** Power iterations a step; 0: none. */
        spectralNorm: number
      }
    }
  | { type: 'batch_norm'; lag: number }
  | { type: 'logit'; alpha: number }
  | { type: 'zero_mean' }
  | { type: 'standardize'; mean: number[]; scale: number[] }
  | { type: 'support'; lower: (number | null)[]; upper: (number | null)[] }
  | { type: 'whiten'; mean: number[]; matrix: number[] }
  | { type: 'squeeze' }
  | { type: 'split' }

export interface NativeDescription {
  shape: number[]
  blocks: NativeBlock[]
  /** What a conditional flow takes. Names and standardisation are lib's own. */
  context?: { size: number; gates: boolean; columns?: string[]; mean?: number[]; scale?: number[] }
}

export interface NativeSettings {
  trace: {
    mode: 'auto' | 'exact' | 'hutchinson'
    noise: 'gaussian' | 'rademacher'
    probes: number
    form: 'tangent' | 'vjp'
    bottleneck: boolean
    /** Spacing; 0: none. */
    lattice: number
  }
  solver: {
    method: string
    rtol: number
    atol: number
    /** 0 for adaptive methods. */
    steps: number
    control: 'batch' | 'tile' | 'sample'
    controller: 'pi' | 'torchdiffeq'
    maxAttempts: number
  }
  gradient: { method: 'checkpoint' | 'adjoint'; norm: 'full' | 'seminorm' }
  /** A regulariser is integrated where its weight is given (0: tracked only). */
  regularize: Partial<Record<Regulariser, number>>
  /** A share in [0, 1): in training, end times are uniform in [T − steer T, T + steer T]. */
  steer: number
}

/** Philox: key = seed (an integer below 2^53), counter = (row, element, probe and block, call). */
export interface NativeNoise {
  seed: number
  call: number
  rowOffset: number
  /** The words of a row and call are those of a hash of the row's values, in place of numbers. */
  byValues?: boolean
  /** (B, 2): taken in place of the hashes of the rows that the call is given, under `byValues`. */
  keys?: Uint32Array
  /** ε of each CNF block, (K, B, D), in place of drawn noise. */
  given?: NativeArray[]
}

export interface NativeStop {
  request(): void
}

/** Common to all calls that solve; their results are of type A. */
export interface NativeCall<A extends NativeArray = NativeArray> {
  batch: number
  noise: NativeNoise
  settings: NativeSettings
  /** (B, C) of a conditional flow. */
  context?: NativeArray
  /** Results in float64 arrays in place of float32. */
  float64?: WantsFloat64<A>
  stop?: NativeStop
}

export interface NativeStatistics {
  /** Evaluations of the dynamics, mean over rows, summed over blocks. */
  evaluations: number
  accepted: number
  rejected: number
  smallestStep: number
  largestStep: number
  /** Mean over accepted steps of h ρ over the method's stability interval; 0 with equal steps. */
  stiffness: number
}

export interface NativeSolveStatistics extends NativeStatistics {
  blockEvaluations: number[]
  blockStiffness: number[]
  /** −1 without a CNF block. */
  smallestStepBlock: number
  smallestStepRow: number
  /** What the engine used for the divergence of each CNF block. */
  traces: string[]
}

export interface NativeLoss<A extends NativeArray = NativeArray> {
  loss: number
  negativeLogProb: number
  regularisers: RegulariserMeans
  blockEvaluations: number[]
  forward: NativeStatistics
  backward: NativeStatistics
  inputGradient?: A
  contextGradient?: A
}

/** Opaque: what a pullback needs of its solve. Freed when collected, or at once by release(). */
export interface NativeTape {
  release(): void
}

/** Opaque: rows kept where the flow computes. */
export interface NativeRows {
  readonly count: number
  release(): void
}

export interface NativeSolve<A extends NativeArray = NativeArray> {
  z: A
  deltaLogp: A
  regularisers: A
  trajectory?: A
  trajectoryDeltaLogp?: A
  statistics: NativeSolveStatistics
  tape?: NativeTape
}

export type NativeBuffer =
  | 'parameters'
  | 'gradients'
  | 'statistics'
  | 'firstMoment'
  | 'secondMoment'
  | 'average'

export interface NativeTensor {
  name: string
  shape: number[]
  /** Counted in elements, within its flat buffer. */
  offset: number
  size: number
  role: 'weight' | 'bias' | 'gate' | 'end_time' | 'scale' | 'beta' | 'buffer'
  trainable: boolean
}

export interface NativeOptimizer {
  type: 'adam' | 'adamw' | 'adamax' | 'sgd'
  learningRate: number
  beta1: number
  beta2: number
  epsilon: number
  momentum: number
  weightDecay: number
  /** 0: none. */
  clipNorm: number
  /** 0: none. */
  averageDecay: number
  /** Counted from 1. */
  step: number
}

/** Iterations one after the other, whatever they train. */
export interface NativeBurst {
  indices: Uint32Array
  batchSizes: Uint32Array
  learningRates: Float64Array
  settings: NativeSettings
  optimizer: NativeOptimizer
  noiseSeed: number
  firstCall: number
  seconds: number
  skipFailures: boolean
  stop?: NativeStop
  /** Processes that do the same burst, each its share of the rows of every batch. */
  group?: NativeGroup
  /** A fingerprint of what is trained on, which is compared. */
  data?: number
  /** The rows at hand are those of this rank: its shares of as many batches as all have. */
  sharded?: boolean
}

/**
 * Processes that were started together. The asynchronous calls are calls of all ranks, in the same order on each: what one of them throws, all
 * reject with.
 */
export interface NativeGroup {
  readonly rank: number
  readonly size: number
  readonly localRank: number
  readonly localSize: number
  /** As a card's gradients are summed since the first ones were. */
  readonly transport: string
  readonly library: string
  sum(values: Float64Array): Promise<Float64Array>
  /** The numbers of rank 0; every rank gives as many. */
  broadcast(values: Float64Array): Promise<Float64Array>
  fail(code: string, message: Uint8Array): Promise<never>
  /** The last call of all, however long they take. */
  finish(): Promise<unknown>
  /** Behind `finish`, which it waits for where it was not called. */
  leave(): void
  abort(exitCode: number): void
  /** Whether the last call of all ended their work, by a failure or a stop. */
  ended(): boolean
}

/** A library that is opened at run time; `unusable` is why it does not open. */
export interface NativeLibrary {
  name: string
  version: string
  path: string
  unusable: string
}

export interface NativeFlowBurst extends NativeBurst {
  objective: 'ml' | 'fm'
  /** How flow matching pairs rows with base points. */
  coupling: 'independent' | 'optimal'
  /** A batch is solved in so many parts before a step, and in more where memory does not hold one. */
  parts: number
  /** Under control 'batch' all ranks take the same steps. */
  sharedSteps?: boolean
  rows: NativeRows
  /** The contexts of the same rows, for a conditional flow. */
  contexts?: NativeRows
  /** Of images, one a batch: its epoch, which decides what is drawn. */
  visits?: Uint32Array
}

/** What a visit makes of a level b of 0 … 255, and of an image. */
export interface NativeVisitRule {
  /** b / 255, (b + ½) / 256, (b + u) / 256 with u of U(0, 1) or normal around ½, or 1 with probability b / 255. */
  law: 'none' | 'centre' | 'uniform' | 'truncated-normal' | 'bernoulli'
  /** Left and right change places in half of the visits. */
  flip: boolean
  seed: number
  /** Every visit is this draw of evaluation, and flips nothing. */
  draw?: number
  /** Of an image, in pixels. */
  width: number
}

/** What every iteration tells, whatever it trains. */
export interface NativeIteration {
  loss: number
  evaluations: number
  backwardEvaluations: number
  accepted: number
  rejected: number
  gradientNorm: number
  seconds: number
  skipped: boolean
}

export interface NativeFlowIteration extends NativeIteration {
  negativeLogProb: number
  /** In which the batch was solved. */
  parts: number
  regularisers: RegulariserMeans
  blockEvaluations: number[]
}

/**
 * One flow on one device. Asynchronous calls run one after the other on a thread of the flow's own;
 * synchronous ones first wait until that thread is idle.
 */
export interface NativeFlow {
  readonly parameters: NativeTensor[]
  readonly buffers: NativeTensor[]
  /** Bytes that it takes where it is trained, apart from batches. */
  readonly memory: number
  /**
   * To be called once on a flow that was constructed without a seed: takes its memory on its own thread, with weights drawn from the seed,
   * or zeros where they will be written. Until then only its layout, `memory` and `traces` are there.
   */
  make(seed: number | null): Promise<void>
  /** The trace that `settings` resolve to, one description a CNF block. */
  traces(settings: NativeSettings): string[]

  /** Float64Array where the engine computes in float64. */
  read(buffer: NativeBuffer): NativeArray
  write(buffer: NativeBuffer, values: NativeArray): void
  zeroGradients(): void

  logProb<A extends NativeArray>(call: NativeCall<A> & NativeRowsGiven): Promise<NativeLogProb<A>>
  logProbSync<A extends NativeArray>(call: NativeCall<A> & NativeRowsGiven): NativeLogProb<A>
  certify<A extends NativeArray>(
    call: NativeCall<A> & NativeRowsGiven
  ): Promise<NativeLogProb<A> & { probeError: A; solverError: A; roundTripError: A }>
  score<A extends NativeArray>(
    call: NativeCall<A> & NativeRowsGiven
  ): Promise<{ score: A; statistics: NativeSolveStatistics }>
  sample<A extends NativeArray>(
    call: NativeCall<A> & { temperature: number; logProb: boolean }
  ): Promise<{ rows: A; logProb?: A; statistics: NativeSolveStatistics }>
  loss<A extends NativeArray>(
    call: NativeCall<A> & NativeRowsGiven & { inputGradient: boolean; contextGradient?: boolean }
  ): Promise<NativeLoss<A>>
  step(optimizer: NativeOptimizer): Promise<{ gradientNorm: number }>

  solve<A extends NativeArray>(call: NativeCall<A> & NativeSolveArguments): Promise<NativeSolve<A>>
  solveSync<A extends NativeArray>(call: NativeCall<A> & NativeSolveArguments): NativeSolve<A>
  /** Adds to the gradients where `parameters`; resolves to the cotangent of the rows that went in. */
  pullback<A extends NativeArray>(
    tape: NativeTape,
    call: {
      zBar: NativeArray
      deltaLogpBar?: NativeArray
      regularisersBar?: NativeArray
      parameters: boolean
      contextGradient?: boolean
      float64?: WantsFloat64<A>
    }
  ): Promise<{ rowsBar: A; contextBar?: A; statistics: NativeStatistics }>
  velocity<A extends NativeArray>(
    call: NativeVelocity<A> & { divergence: boolean }
  ): Promise<{ f: A; divergence?: A }>
  velocityPullback<A extends NativeArray>(
    call: NativeVelocity<A> & {
      fBar: NativeArray
      divergenceBar?: NativeArray
      parameters: boolean
      contextGradient?: boolean
    }
  ): Promise<{ zBar: A; contextBar?: A }>

  /** The first burst that reads the rows finds those outside of the support. */
  upload(count: number, rows: NativeArray): NativeRows
  uploadContexts(count: number, contexts: NativeArray): NativeRows
  /** `levels` (count, D) of images, which every batch reads by the rule. */
  uploadImages(count: number, levels: Uint8Array, rule: NativeVisitRule): NativeRows
  /** Does at least one iteration; ends early when its seconds are up or `stop` is requested. */
  train(burst: NativeFlowBurst): Promise<NativeFlowIteration[]>

  /** Resolves after an empty turn of the flow's thread: what an asynchronous call costs by itself. */
  idle(): Promise<void>
  /** Frees the flow after the calls under way; idempotent. */
  dispose(): void
}

export interface NativeRowsGiven {
  /** (B, D) */
  rows: NativeArray
}

export interface NativeLogProb<A extends NativeArray = NativeArray> {
  logProb: A
  statistics: NativeSolveStatistics
}

export interface NativeSolveArguments extends NativeRowsGiven {
  direction: 'forward' | 'reverse'
  training: boolean
  keepTape: boolean
  /** Flow time, 0 at the data; monotone in the direction of the solve. */
  times?: Float64Array
}

export interface NativeVelocity<A extends NativeArray = NativeArray> {
  /** Counted among the CNF blocks. */
  block: number
  /** One, or one a row, from 0 to T (1 + steer). */
  times: Float64Array
  steer: number
  batch: number
  z: NativeArray
  /** (B, C) of a conditional flow. */
  context?: NativeArray
  noise: NativeNoise
  trace: NativeSettings['trace']
  float64?: WantsFloat64<A>
}

export type NativeLayer =
  | { type: 'dense'; units: number; gated: boolean; activation: string }
  | {
      type: 'convolution'
      channels: number
      /** Height and width. */
      kernel: number[]
      stride: number
      padding: number
      /** 0 unless transposed, and below the stride. */
      outputPadding: number
      transposed: boolean
      /** y = σ(W x + b) ⊙ logistic(G x + c) in place of σ(W x + b). */
      gated: boolean
      activation: string
    }
  | { type: 'reshape'; shape: number[] }

export type NativePosterior =
  | { type: 'none' }
  | { type: 'planar'; flows: number }
  /** `width` units, a multiple of `latent`. */
  | { type: 'iaf'; flows: number; width: number }
  /** `vectors`: of an orthogonal basis, or reflections a flow; a triangular one has no use of it. */
  | {
      type: 'sylvester'
      basis: 'orthogonal' | 'householder' | 'triangular'
      flows: number
      vectors: number
    }
  | {
      type: 'cnf' | 'cnf_bias' | 'cnf_rank'
      blocks: number
      time: number
      /** 0 but for 'cnf_rank'. */
      rank: number
      net: Extract<NativeBlock, { type: 'cnf' }>['net']
    }

/** The tensors of a model in its flat buffers. */
export type NativeTensors = Pick<NativeFlow, 'parameters' | 'buffers' | 'read' | 'write'>

export interface NativeVaeDescription {
  /** Of an image: [channels, height, width], or [D]. */
  shape: number[]
  likelihood: 'bernoulli' | 'categorical'
  latent: number
  /** Image → h; z, as [latent, 1, 1], → maps; maps → logits, D of them, or (256, D). */
  encoder: NativeLayer[]
  decoder: NativeLayer[]
  head: NativeLayer[]
  posterior: NativePosterior
  /** Bounds of the encoder's variance. */
  variance?: { least: number; most: number }
}

/** A call on images; its results are of type A. */
export interface NativeVaeCall<A extends NativeArray = NativeArray> {
  batch: number
  /** (B, D) in [0, 1]; classes are k/255. */
  images: NativeArray
  /** Images are probabilities, whose pixels every call draws. */
  binarize: boolean
  noise: NativeNoise
  /** (B, L): z0 = mean + √variance · eps, in place of a draw. */
  eps?: NativeArray
  /** Of posteriors with dynamics. */
  settings: NativeSettings
  float64?: WantsFloat64<A>
  stop?: NativeStop
}

/** Means over the images, nats: −ELBO = reconstruction + kl. */
export interface NativeElbo {
  reconstruction: number
  kl: number
  /** Of the posterior's solves. */
  forward: NativeStatistics
}

/** Its loss is reconstruction + β kl. */
export type NativeVaeIteration = NativeIteration & Omit<NativeElbo, 'forward'>

export interface NativeVaeBurst extends NativeBurst {
  images: NativeRows
  binarize: boolean
  betas: Float64Array
}

/** One variational autoencoder on one device; its calls queue as a flow's. */
export interface NativeVae {
  readonly parameters: NativeTensor[]
  readonly buffers: NativeTensor[]
  /** Bytes that it takes where it is trained, apart from batches. */
  readonly memory: number
  /** As a flow's. */
  make(seed: number | null): Promise<void>

  read(buffer: NativeBuffer): NativeArray
  write(buffer: NativeBuffer, values: NativeArray): void
  zeroGradients(): void

  /** Both parts of −ELBO of every image, by one z0 an image; with `latent` what they are made of, (B, L) each. */
  elbo<A extends NativeArray>(
    call: NativeVaeCall<A> & { latent: boolean }
  ): Promise<
    NativeElbo & {
      reconstructions: A
      kls: A
      logDet: A
      mean?: A
      variance?: A
      z0?: A
      zk?: A
    }
  >
  /** reconstruction + β kl and its gradients, which replace those before. */
  loss(
    call: NativeVaeCall & { beta: number }
  ): Promise<NativeElbo & { loss: number; backward: NativeStatistics }>
  step(optimizer: NativeOptimizer): Promise<{ gradientNorm: number }>
  encode<A extends NativeArray>(call: NativeVaeCall<A>): Promise<{ mean: A; variance: A; h: A }>
  /** z (count, L) → means of images (count, D), or with `draws` images drawn from p(x | z). */
  decode<A extends NativeArray>(call: {
    count: number
    z: NativeArray
    draws?: NativeNoise
    float64?: WantsFloat64<A>
  }): Promise<{ images: A }>
  /**
   * log p(x) of every image by importance sampling with `samples` draws of z0, and the mean of the logs of their weights, an ELBO by the
   * same draws. `clamp`: Bernoulli probabilities lie in [clamp, 1 − clamp]; 0: as they are.
   */
  logLikelihood<A extends NativeArray>(
    call: NativeVaeCall<A> & { samples: number; clamp: number }
  ): Promise<{ logLikelihood: A; meanLogWeight: A; statistics: NativeStatistics }>

  upload(count: number, images: NativeArray): NativeRows
  /** Does at least one iteration; ends early when its seconds are up or `stop` is requested. */
  train(burst: NativeVaeBurst): Promise<NativeVaeIteration[]>
  dispose(): void
}

export interface NativeEngine {
  /** 'cpu', 'reference', 'cuda:0' … */
  name: string
  description: string
  /** Why it cannot be used; empty if it can. */
  unusable: string
  convolutions: boolean
  autoencoders: boolean
  float64: boolean
}

export interface NativeMethod {
  name: string
  order: number
  stages: number
  adaptive: boolean
}

/**
 * Errors thrown or rejected by the binding: `code` is one of Binding.errorCodes(); a SOLVE_FAILED
 * carries t, h, block and rows, an OUTSIDE_SUPPORT rows.
 */
export interface NativeError extends Error {
  code: string
  t?: number
  h?: number
  block?: number
  rows?: number[]
}

export interface Binding {
  engines(): NativeEngine[]
  /** All that NativeError.code may be. */
  errorCodes(): string[]
  /** Names, in the order of the columns of NativeSolve.regularisers. */
  regularisers(): string[]
  methods(): NativeMethod[]
  /** Throws OUT_OF_MEMORY where so many bytes do not exist. */
  requireMemory(bytes: number): void
  /** A flow without a seed is not made yet. */
  Flow: new (
    description: NativeDescription,
    device: string,
    seed: number | null,
    threads: number
  ) => NativeFlow
  /** The same of an autoencoder. */
  Vae: new (
    description: NativeVaeDescription,
    device: string,
    seed: number | null,
    threads: number
  ) => NativeVae
  Stop: new () => NativeStop
  /** Joins the processes that were started with this one; a sum may wait `deadline` seconds. */
  Group: new (
    deadline: number
  ) => NativeGroup
  libraries(): NativeLibrary[]
  /** A whole number below 2^53 that follows from bytes. */
  fingerprint(bytes: Uint8Array): number
  /** Philox noise (rows, columns), as flows draw it; for data sets and tests. */
  noise(
    law: 'gaussian' | 'rademacher' | 'uniform',
    key: { seed: number; call: number; block: number; probe: number },
    rowOffset: number,
    rows: number,
    columns: number
  ): Float32Array
  /** Two words a row of `values`, a hash of its numbers as float64 holds them: (rows, 2). */
  rowKeys(values: NativeArray, rows: number): Uint32Array
  /** Rows (indices, size) of images, as visit number `visit` reads them. */
  visit(
    levels: Uint8Array,
    size: number,
    indices: Uint32Array,
    visit: number,
    rule: NativeVisitRule
  ): Float64Array
  /** Instruction set and threads of the CPU engine. */
  cpu(): { instructionSet: string; instructionSets: string[]; threads: number }
  /** Peak single-precision FMA rate of one core, GFLOP/s, measured for `seconds`; for the benchmark. */
  fmaPeak(seconds: number): number
  /** The solvers in float64 on the caller's thread; y is (times, size). What f throws comes back as it is. */
  odeint(
    f: (t: number, y: Float64Array) => NativeArray,
    y0: Float64Array,
    times: Float64Array,
    solver: NativeSettings['solver']
  ): { y: Float64Array; statistics: NativeStatistics }
}
