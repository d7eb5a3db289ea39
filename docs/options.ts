/** Every option, in use: docs/api.md shows these values beside the types, and the compiler and a test check both. */
import type {
  AdamOptions,
  AdaptiveSolver,
  AutoregressivePosterior,
  BaselineOptions,
  BatchNormBlock,
  BatchOptions,
  CallOptions,
  CnfBlock,
  ComputeOptions,
  Conditioning,
  ContextOptions,
  ContinuousPosterior,
  ConvolutionLayer,
  ConvolutionOptions,
  DecodeOptions,
  DenseLayer,
  ElboOptions,
  EvaluateOptions,
  EvaluationAccuracy,
  EvaluationOptions,
  EvaluationSolver,
  FileOptions,
  FitOptions,
  FixedStepSolver,
  FlowDescription,
  FlowOptions,
  ForwardSolution,
  fromArray,
  fromAsyncIterable,
  GaussianPosterior,
  Gradient,
  GridOptions,
  Group,
  GroupOptions,
  HutchinsonTrace,
  ImageArrayOptions,
  ImageBaselineOptions,
  ImageEvaluationOptions,
  ImageFolderOptions,
  ImageOptions,
  ImageSetOptions,
  LabelOptions,
  LikelihoodOptions,
  LoadOptions,
  LogitBlock,
  LossOptions,
  MixtureCallOptions,
  MixtureOptions,
  MultiscaleOptions,
  Net,
  NoiseOptions,
  Objective,
  Observation,
  OdeSolver,
  OptimizerOptions,
  PictureReading,
  PlanarPosterior,
  Posterior,
  Regularize,
  ReshapeLayer,
  SampleOptions,
  Schedule,
  SgdOptions,
  SolveOptions,
  Solver,
  SplitBlock,
  SplitOptions,
  SqueezeBlock,
  StandardizeBlock,
  SupportBlock,
  SylvesterPosterior,
  Tolerances,
  TorchdiffeqSolver,
  ToyOptions,
  Trace,
  TrajectoryOptions,
  VaeCallOptions,
  VaeDescription,
  VaeEvaluateOptions,
  VaeFitOptions,
  VaeLoadOptions,
  VaeOptions,
  VaeValidationOptions,
  ValidationOptions,
  VelocityOptions,
  VelocityPullbackOptions,
  VisitOptions,
  WhitenBlock,
  ZeroMeanBlock
} from 'ffjord'

// What a flow is

export const net: Net = {
  hidden: [64, 64],
  layer: 'concat',
  activation: 'tanh',
  residual: true,
  spectralNorm: 1
}
export const convolutions: Net = { hidden: [32, 32], strides: [1, 2, -2], activation: 'softplus' }
export const scales: Net = {
  hidden: [32],
  strides: [1, 1],
  parallel: 3,
  zeroLast: true,
  layer: 'concatcoord'
}
export const geometry: ConvolutionOptions = {
  kernel: [5, 5],
  stride: 2,
  padding: 2,
  outputPadding: 1,
  transposed: true
}
export const cnf: CnfBlock = { type: 'cnf', time: 0.5, trainTime: true, net: { hidden: [64, 64] } }
export const imageBlocks: MultiscaleOptions = {
  shape: [1, 28, 28],
  hidden: [64, 64, 64],
  strides: [1, 1, 1, 1],
  layer: 'concat',
  activation: 'softplus',
  residual: false,
  zeroLast: true,
  spectralNorm: 0,
  blocks: 2,
  time: 1,
  trainTime: true,
  input: { type: 'logit', alpha: 1e-6 },
  squeezeFirst: false
}
export const batchNorm: BatchNormBlock = { type: 'batch_norm', lag: 0.1 }
export const logit: LogitBlock = { type: 'logit', alpha: 1e-6 }
export const zeroMean: ZeroMeanBlock = { type: 'zero_mean' }
export const standardize: StandardizeBlock = { type: 'standardize', mean: [3, 150], scale: [1, 20] }
export const support: SupportBlock = { type: 'support', lower: [0, null], upper: [1, null] }
export const whiten: WhitenBlock = { type: 'whiten', mean: [0, 1], matrix: [1, 0, -0.5, 2] }
export const squeeze: SqueezeBlock = { type: 'squeeze' }
export const split: SplitBlock = { type: 'split' }
export const conditioning: Conditioning = {
  size: 2,
  gates: true,
  columns: ['age', 'height'],
  mean: [40, 170],
  scale: [12, 9]
}
export const description: FlowDescription = { shape: [2], blocks: [cnf], context: 3 }

// How it is computed

export const hutchinson: HutchinsonTrace = { noise: 'rademacher', probes: 2, form: 'vjp' }
export const bottleneck: HutchinsonTrace = { noise: 'gaussian', bottleneck: true }
export const lattices: HutchinsonTrace = { noise: 'rademacher', lattice: 3 }
export const traces: Trace[] = ['auto', 'exact', { noise: 'gaussian' }]
export const tolerances: Tolerances = { rtol: 1e-6, atol: 1e-8 }
export const adaptive: AdaptiveSolver = {
  method: 'tsit5',
  rtol: 1e-4,
  atol: 1e-4,
  control: 'sample',
  controller: 'pi',
  maxAttempts: 500
}
export const torchdiffeq: TorchdiffeqSolver = {
  method: 'dopri5',
  control: 'batch',
  controller: 'torchdiffeq',
  maxAttempts: 500
}
export const fixedStep: FixedStepSolver = { method: 'rk4', steps: 20 }
export const solvers: Solver[] = [
  { method: 'bosh3', rtol: 1e-2, atol: 1e-2, evaluation: { rtol: 1e-5, atol: 1e-5 } },
  { controller: 'torchdiffeq', evaluation: { method: 'dopri8', rtol: 1e-8 } },
  { method: 'midpoint', steps: 10, evaluation: { steps: 40 } }
]
export const accuracy: EvaluationAccuracy = { rtol: 1e-6, atol: 1e-6, control: 'sample' }
export const evaluationSolver: EvaluationSolver = { method: 'dopri8', rtol: 1e-8, atol: 1e-8 }
export const gradients: Gradient[] = [
  'checkpoint',
  'adjoint',
  { method: 'checkpoint' },
  { method: 'adjoint', norm: 'full' }
]
export const regularize: Regularize = {
  kinetic: 0.01,
  jacobian: 0.01,
  l1int: 0,
  l2int: 0,
  dl2int: 0,
  JFrobint: 0,
  JdiagFrobint: 0,
  JoffdiagFrobint: 0,
  steer: 0.25
}
export const compute: ComputeOptions = {
  trace: 'exact',
  solver: { method: 'dopri5', rtol: 1e-4, atol: 1e-4 },
  gradient: 'checkpoint',
  regularize: { kinetic: 0.01 }
}
export const flow: FlowOptions = {
  shape: [2],
  blocks: [cnf],
  device: 'cpu',
  seed: 1,
  threads: 4,
  memory: 2 ** 30
}
export const load: LoadOptions = { device: 'reference', trace: 'exact', solver: { method: 'rk4', steps: 50 } }

// Training

export const adam: AdamOptions = {
  type: 'adamw',
  lr: 1e-3,
  weightDecay: 1e-4,
  clipNorm: 10,
  average: 0.999,
  beta1: 0.9,
  beta2: 0.99,
  epsilon: 1e-8
}
export const sgd: SgdOptions = { type: 'sgd', lr: 1e-2, momentum: 0.9 }
export const optimizers: OptimizerOptions[] = [
  { type: 'adam', lr: 1e-3 },
  { type: 'adamax', lr: 2e-3, weightDecay: 1e-5, clipNorm: 1, average: 0.99 }
]
export const schedules: Schedule[] = [
  { type: 'constant', warmup: 100 },
  { type: 'step', factor: 0.5, every: 1000 },
  { type: 'step', factor: 0.1, at: [3000, 4000] },
  { type: 'cosine', final: 0.01, warmup: 100 },
  { type: 'plateau', factor: 0.5, patience: 5, least: 1e-3 }
]
export const objectives: Objective[] = [
  'ml',
  { type: 'ml' },
  { type: 'fm', coupling: 'optimal' },
  { type: 'fm+ml', coupling: 'independent', matching: 1000 }
]
export const validation: ValidationOptions = {
  data: [[0, 1]],
  every: 100,
  rows: 1000,
  trace: 'exact',
  patience: 20
}
export const joining: GroupOptions = { deadline: 300 }
declare function joined(): Group
export const fits: FitOptions[] = [
  {
    iterations: 4000,
    objective: 'fm+ml',
    optimizer: { type: 'adam', lr: 1e-2 },
    schedule: { type: 'cosine' },
    batch: 512,
    accumulate: 2,
    sharedSteps: false,
    shard: false,
    validation: { data: [[0, 1]], every: 100 },
    keepBest: true
  },
  {
    epochs: 20,
    shuffle: true,
    seed: 3,
    skipFailures: true,
    nfeBudget: 400,
    checkpoint: { every: 500, save: 'checkpoint.safetensors' },
    signal: AbortSignal.timeout(60_000),
    group: joined(),
    resume: false
  }
]

// Calls

export const noise: NoiseOptions = { seed: 7, rowOffset: 4096 }
export const givenNoise: NoiseOptions = { noise: [Float32Array.of(1, -1)] }
export const context: ContextOptions = { context: [[0.5, 1]] }
export const call: CallOptions = { seed: 7, signal: AbortSignal.timeout(10_000) }
export const evaluation: EvaluationOptions = { trace: 'exact', rtol: 1e-7, atol: 1e-7 }
export const sample: SampleOptions<'float64'> = { seed: 1, temperature: 0.8, precision: 'float64' }
export const observe: Observation = { mask: [true, false], values: [0.25, 0], steps: 100 }
export const filled: SampleOptions = { observe }
export const loss: LossOptions = { inputGradient: true, contextGradient: true }
export const evaluate: EvaluateOptions = {
  rows: 10_000,
  batch: 1024,
  certify: 100,
  draws: 256,
  onProgress: ({ scored, total }) => console.error(`${scored} of ${total}`)
}
export const bits: ImageEvaluationOptions = {
  rows: 1000,
  batch: 200,
  draws: 8,
  dequantize: 'truncated-normal',
  certify: 100,
  centre: true,
  onProgress: ({ next }) => console.error(`on to ${next}`)
}
export const classes: LabelOptions = {
  prior: [0.3, 0.7],
  rows: 1000,
  batch: 200,
  draws: 8,
  onProgress: ({ scored, total }) => console.error(`${scored} of ${total}`)
}
export const plain: ImageBaselineOptions = { alpha: 1e-6, ridge: 1e-3, rows: 20_000 }
export const solve: SolveOptions = { training: false, differentiable: true }
export const bar: Parameters<ForwardSolution['pullback']>[0] = {
  z: [[1, 0]],
  deltaLogp: [0.5],
  regularisers: { kinetic: [0.01] },
  parameters: false
}
export const velocity: VelocityOptions = { t: 0.25, block: 0, divergence: true, trace: 'exact' }
export const velocityPullback: VelocityPullbackOptions = {
  t: 0.25,
  block: 0,
  trace: 'exact',
  f: [[1, 0]],
  divergence: [1],
  parameters: false,
  contextGradient: true
}
export const trajectories: TrajectoryOptions[] = [
  { samples: 1000, times: 11 },
  { x: [[0, 1]], times: [0, 0.25, 0.5] },
  { z: [[0, 0]], times: 3 }
]
export const ode: OdeSolver = { method: 'dopri8', rtol: 1e-10, atol: 1e-10 }

// Data

export const given: Parameters<typeof fromArray>[1] = {
  shape: [2],
  columns: ['x', 'y'],
  context: [20, 35],
  contextColumns: ['age']
}
export const stream: Parameters<typeof fromAsyncIterable>[1] = {
  shape: [2],
  columns: ['x', 'y'],
  context: ['age'],
  schema: {
    columns: [
      { name: 'x', type: 'real' },
      { name: 'y', type: 'real' }
    ],
    context: [{ name: 'age', type: 'integer' }]
  }
}
export const batches: BatchOptions = { size: 256, shuffle: true, seed: 1, drop: true }
export const toys: ToyOptions = { seed: 1, reference: true, noise: 0.05 }
export const images: ImageArrayOptions = {
  shape: [3, 32, 32],
  labels: Uint8Array.of(1, 0),
  labelNames: ['cat', 'dog'],
  dequantize: 'uniform'
}
export const visits: VisitOptions[] = [
  { dequantize: 'centre', flip: true, seed: 1 },
  { binarize: true, seed: 1 }
]
export const pictures: PictureReading = { resize: 32, channels: 1, alpha: 'black' }
export const folder: ImageFolderOptions = { resize: [32, 32], channels: 3, alpha: 'white', flip: true }
export const set: ImageSetOptions = { split: 321 }
export const grid: GridOptions = { columns: 10, gap: 1 }
export const image: ImageOptions = { seed: 1, pixels: 512 }
export const files: FileOptions[] = [
  {
    columns: ['paid', 'rooms', 'kind', 'day'],
    exclude: ['id'],
    categorical: 'one-hot',
    invalid: 'drop',
    missing: 'fill',
    dayFirst: true,
    bounds: { paid: [0, null], rooms: [0, 20] },
    dequantize: { rooms: 1 },
    atoms: { paid: 0 },
    context: ['kind'],
    seed: 1,
    checkColumns: true,
    precision: 'float64',
    outside: 'keep'
  },
  {
    header: true,
    delimiter: ';',
    encoding: 'latin-1',
    skip: 2,
    comment: '#',
    missingCells: ['', '-'],
    decimal: ',',
    thousands: '.',
    percent: true,
    currency: '€'
  },
  { key: 'train/images', shape: [1, 28, 28], timeout: 120 },
  { schema: { columns: [{ name: 'paid', type: 'real' }] } }
]
export const parts: SplitOptions = {
  validation: 0.05,
  test: 0.05,
  shard: { rank: 0, size: 2 },
  keep: 50_000
}
export const mixture: MixtureOptions = {
  components: 5,
  rounds: 200,
  tolerance: 1e-4,
  shrinkage: 1e-3,
  seed: 1
}
export const stoppableMixture: MixtureCallOptions = {
  components: 5,
  signal: AbortSignal.timeout(60_000),
  onProgress: ({ round, rounds, logProb }) => console.error(`${round} of ${rounds}: ${logProb}`)
}
export const comparison: BaselineOptions = {
  support: { lower: [0, null], upper: [null, 1] },
  seed: 1,
  signal: AbortSignal.timeout(60_000),
  onProgress: ({ round, rounds }) => console.error(`${round} of ${rounds}`)
}

// Autoencoders

export const denseLayer: DenseLayer = { type: 'dense', units: 256, gated: true, activation: 'elu' }
export const convolutionLayer: ConvolutionLayer = {
  type: 'convolution',
  channels: 32,
  kernel: 5,
  stride: 2,
  padding: 2,
  outputPadding: 1,
  transposed: true,
  gated: true,
  activation: 'identity'
}
export const reshapeLayer: ReshapeLayer = { type: 'reshape', shape: [64, 7, 7] }
export const gaussianPosterior: GaussianPosterior = { type: 'none' }
export const planarPosterior: PlanarPosterior = { type: 'planar', flows: 16 }
export const autoregressivePosterior: AutoregressivePosterior = { type: 'iaf', flows: 4, width: 320 }
export const sylvesterPosterior: SylvesterPosterior = {
  type: 'sylvester',
  basis: 'orthogonal',
  flows: 16,
  vectors: 32
}
export const continuousPosterior: ContinuousPosterior = {
  type: 'cnf_rank',
  hidden: [2048],
  layer: 'concat',
  activation: 'tanh',
  blocks: 1,
  time: 0.5,
  rank: 20
}
export const posteriors: Posterior[] = [gaussianPosterior, planarPosterior, continuousPosterior]
export const vaeDescription: VaeDescription = {
  shape: [1, 28, 28],
  likelihood: 'bernoulli',
  latent: 64,
  encoder: [{ type: 'dense', units: 256 }],
  decoder: [denseLayer],
  head: [{ type: 'dense', units: 784 }],
  posterior: planarPosterior,
  variance: { least: 0.01, most: 7 }
}
export const vae: VaeOptions = {
  shape: [1, 28, 28],
  likelihood: 'bernoulli',
  trace: { noise: 'gaussian' },
  solver: { rtol: 1e-5, atol: 1e-5 },
  gradient: 'checkpoint',
  device: 'cpu',
  seed: 1,
  threads: 2,
  memory: 2 ** 32
}
export const vaeLoad: VaeLoadOptions = { device: 'reference', posterior: { type: 'planar' } }
export const vaeValidation: VaeValidationOptions = { data: [[0, 1]], every: 1, patience: 35 }
export const vaeFit: VaeFitOptions = {
  epochs: 2000,
  warmup: 100,
  optimizer: { type: 'adamax', lr: 5e-4, epsilon: 1e-7 },
  schedule: { type: 'constant' },
  batch: 100,
  shuffle: true,
  seed: 1,
  validation: vaeValidation,
  keepBest: true,
  skipFailures: false,
  checkpoint: { every: 10, save: 'vae.safetensors' },
  signal: AbortSignal.timeout(60_000),
  group: joined(),
  resume: false
}
export const vaeCall: VaeCallOptions = {
  seed: 1,
  rowOffset: 100,
  binarize: true,
  trace: 'exact',
  rtol: 1e-6,
  atol: 1e-6,
  signal: AbortSignal.timeout(60_000)
}
export const elboCall: ElboOptions = { latent: true }
export const likelihoodCall: LikelihoodOptions = { samples: 5000, clamp: 1e-5 }
export const decodeCall: DecodeOptions = { draw: true, seed: 1, signal: AbortSignal.timeout(60_000) }
export const vaeEvaluation: VaeEvaluateOptions = {
  images: 500,
  samples: 2000,
  batch: 100,
  seed: 1,
  trace: 'auto',
  signal: AbortSignal.timeout(60_000)
}
