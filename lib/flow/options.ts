/** What users pass. Plain types; normalize.ts checks them and fills in defaults. */

import type { AdaptiveMethod, FixedStepMethod } from '../native/methods'

/** y = g(t) ⊙ (W(t) x + b(t)) + s(t); the kinds differ in g, s and W(t). */
export type Layer =
  | 'ignore'
  | 'concat'
  | 'concat_v2'
  | 'concatcoord'
  | 'squash'
  | 'concatsquash'
  | 'blend'
  | 'hyper'

export type Activation = 'tanh' | 'softplus' | 'elu' | 'relu' | 'swish' | 'square' | 'identity'

/**
 * A convolution of any geometry, zeros beyond the border. An image of side n becomes one of (n + 2 padding − kernel) / stride + 1, rounded
 * down; transposed, (n − 1) stride − 2 padding + kernel + outputPadding.
 */
export interface ConvolutionOptions {
  /** Rows and columns of the filter; one number for both. At most 1024. */
  kernel: number | readonly [number, number]
  /** Default: 1. */
  stride?: number
  /** Rows and columns of zeros on each side. Default: 0. */
  padding?: number
  /** Of transposed ones: more rows and columns at the end, fewer than the stride. Default: 0. */
  outputPadding?: number
  /** From the small image to the large one. Default: false. */
  transposed?: boolean
}

/** A convolution as the published code numbers them: 1 (3×3), 0 (1×1), 2 (4×4, halves the image), −2 (4×4 transposed, doubles it). */
export type Stride = 1 | 0 | 2 | -2

/** The network f(z, t) of a CNF block. */
export interface Net {
  /** Widths of the hidden layers; channels where `strides` asks for convolutions. */
  hidden: readonly number[]
  /** Default: 'concatsquash'. */
  layer?: Layer
  /** After every layer but the last. Default: 'tanh'. */
  activation?: Activation
  /** f(z) − z in place of f(z). Default: false. */
  residual?: boolean
  /** Makes the layers convolutions, one entry a layer, which together bring the image back to its size. Default: dense layers. */
  strides?: readonly (Stride | ConvolutionOptions)[]
  /**
   * So many convolutional nets side by side, each on the image squeezed once more than the one before; f is their sum. Sides are multiples of
   * 2^(parallel − 1). Default: 1, the image as it is.
   */
  parallel?: number
  /** Weights of the last layer start at zero, so that f starts as its bias (Finlay et al. 2020). Default: false. */
  zeroLast?: boolean
  /**
   * Spectral normalisation (Miyato et al. 2018): every weight matrix W acts as W/σ, σ its largest singular value by so
   * many power iterations a step of the optimizer; usually 1. Not with 'hyper' layers. Default: 0, none.
   */
  spectralNorm?: number
}

export interface CnfBlock {
  type: 'cnf'
  /** End time T of the integration, its initial value where `trainTime`. Default: 0.5. */
  time?: number
  /** Trains T too, as the square of a weight. Default: false. */
  trainTime?: boolean
  net: Net
}

/** Moving batch norm. */
export interface BatchNormBlock {
  type: 'batch_norm'
  /** In [0, 1): mixes the batch's own statistics in. Default: 0. */
  lag?: number
}

/** y = logit(α + (1 − 2α) x), for data in [0, 1]. */
export interface LogitBlock {
  type: 'logit'
  /** Default: 1e-6. */
  alpha?: number
}

/** y = x − 0.5 */
export interface ZeroMeanBlock {
  type: 'zero_mean'
}

/** y = (x − mean) / scale, one number an element of a sample. */
export interface StandardizeBlock {
  type: 'standardize'
  mean: readonly number[]
  scale: readonly number[]
}

/**
 * Each element from its own interval onto the line: log(x − lower), −log(upper − x),
 * logit((x − lower) / (upper − lower)), or x itself. `null` where an interval has no end.
 */
export interface SupportBlock {
  type: 'support'
  lower: readonly (number | null)[]
  upper: readonly (number | null)[]
}

/** y = W (x − mean), W (D, D) row-major and lower triangular, such as the inverse of a covariance's Cholesky factor. */
export interface WhitenBlock {
  type: 'whiten'
  mean: readonly number[]
  matrix: readonly number[]
}

/** (c, h, w) → (4c, h/2, w/2) */
export interface SqueezeBlock {
  type: 'squeeze'
}

/** Half of the channels goes on, the other half is factored out to the base. */
export interface SplitBlock {
  type: 'split'
}

export type Block =
  | CnfBlock
  | BatchNormBlock
  | LogitBlock
  | ZeroMeanBlock
  | StandardizeBlock
  | SupportBlock
  | WhitenBlock
  | SqueezeBlock
  | SplitBlock

/** Hutchinson's estimate of the divergence: ε·Jε with E[εεᵀ] = I, averaged over `probes`. */
export interface HutchinsonTrace {
  noise: 'gaussian' | 'rademacher'
  /** Default: 1. */
  probes?: number
  /** 'tangent' pushes ε forward, 'vjp' pulls it back; equal to rounding. Default: 'tangent'. */
  form?: 'tangent' | 'vjp'
  /**
   * ε of the width of the narrowest hidden layer, which must be narrower than the data (Grathwohl et al. 2019, eq. 9):
   * the same mean at about the same cost, and less variance. Dense nets; without `form`. Default: false.
   */
  bottleneck?: boolean
  /**
   * Convolutions: ε on lattices of this spacing, lattice² probes a channel in place of one, which share no pixel; a probe of a set meets fewer
   * other entries of the Jacobian, so that a set varies less than as many whole probes (0.6 to 0.85 of the deviation at spacing 3). Default: whole ε.
   */
  lattice?: number
}

/** 'auto' is exact where that costs at most twice the estimate, else one Rademacher probe. */
export type Trace = 'auto' | 'exact' | HutchinsonTrace

export interface Tolerances {
  /** A step is accepted where RMS(error / (atol + rtol |y|)) ≤ 1. Default: 1e-5. */
  rtol?: number
  /** Default: 1e-5. */
  atol?: number
}

/** Steps of chosen size. */
export interface AdaptiveSolver extends Tolerances {
  /** Default: 'dopri5'. */
  method?: AdaptiveMethod
  /**
   * Whose step it is. 'batch' (default in training): one for all rows. 'sample' (default in evaluation): every row has its own
   * t and h, so that it is computed alike, to the last bit, whatever rows come with it; fewest evaluations at equal error. 'tile':
   * one for 32 or 64 neighbouring rows, for nets whose layers cannot have a time a row (hyper: their default in evaluation).
   * Gated nets whose trace has a closed form are fastest with 'batch'. Measured in bench/results/control.md and evaluation-control.md.
   */
  control?: 'batch' | 'tile' | 'sample'
  /** How the next step follows from errors. Default: 'pi'. */
  controller?: 'pi'
  /** Attempts a block and direction before a solve gives up. Default: 10000. */
  maxAttempts?: number
}

/**
 * torchdiffeq's dopri5 step for step, its overshoot and interpolation included. It steps whole batches, so that evaluation, where a row's
 * score must not depend on the rows beside it, takes the 'pi' controller unless `evaluation` names this one too.
 */
export interface TorchdiffeqSolver extends Tolerances {
  /** Default: 'dopri5'. */
  method?: 'dopri5'
  /** Default: 'batch'. */
  control?: 'batch'
  controller: 'torchdiffeq'
  /** Default: 10000. */
  maxAttempts?: number
}

/** Equal steps over [0, T]. */
export interface FixedStepSolver {
  method: FixedStepMethod
  steps: number
}

/** Solver in training; `evaluation` is that of everything else. Default: training's method and tolerances, each row with steps of its own. */
export type Solver =
  | (AdaptiveSolver & { evaluation?: EvaluationAccuracy | EvaluationSolver })
  | (TorchdiffeqSolver & { evaluation?: EvaluationAccuracy | EvaluationSolver })
  | (FixedStepSolver & { evaluation?: { steps: number } | EvaluationSolver })

/** The accuracy of everything but training, with training's method. */
export type EvaluationAccuracy =
  | (Tolerances & Pick<AdaptiveSolver, 'control' | 'controller'>)
  | (Tolerances & Pick<TorchdiffeqSolver, 'control' | 'controller'>)

/** Another solver for everything but training. */
export type EvaluationSolver =
  | (AdaptiveSolver & { method: AdaptiveMethod })
  | (TorchdiffeqSolver & { method: 'dopri5' })
  | FixedStepSolver

/**
 * 'checkpoint' differentiates the discrete solve, exactly for the steps taken; what evaluations of wide and convolutional nets leave is kept
 * for it in up to half of the memory there is, and made again beyond, with the same bits. 'adjoint' integrates the
 * continuous adjoint backwards in constant memory; 'seminorm' (default) leaves the weights out of its error norm.
 */
export type Gradient =
  | 'checkpoint'
  | 'adjoint'
  | { method: 'checkpoint' }
  | { method: 'adjoint'; norm?: 'seminorm' | 'full' }

/**
 * Weights in the loss of integrals ∫ mean ρ dt over [0, T], summed over blocks; f the field, J = ∂f/∂z, D the size of a
 * sample. One is integrated where its weight is given, 0 tracks it only; never in evaluation, never in the error norm.
 * Those from dl2int on need the whole Jacobian: D tangents, D times the cost of one probe, so they suit small D; the
 * trace in training is exact then, and naming an estimate beside them is refused. By default none is integrated.
 */
export interface Regularize {
  /** ½ ‖f‖² / D (RNODE) */
  kinetic?: number
  /** ‖Jε‖² / D (RNODE), an estimate of ‖J‖_F² / D by the probes of the trace; D tangents where that is exact. */
  jacobian?: number
  /** ‖f‖₁ / D */
  l1int?: number
  /** ‖f‖₂ / √D */
  l2int?: number
  /** ‖fᵀJ‖₂ / √D */
  dl2int?: number
  /** ‖J‖_F / D */
  JFrobint?: number
  /** ‖diag J‖₂ / √D; the reference implementation takes the first column for the diagonal. */
  JdiagFrobint?: number
  /** ‖J − diag J‖_F² / (D (D − 1)) */
  JoffdiagFrobint?: number
  /**
   * STEER (Ghosh et al. 2020): in training each solve of a block ends at a random time, uniform in [T − b, T + b] with
   * b = steer · T; a share in [0, 1). No weight in the loss. Default: 0, always T.
   */
  steer?: number
}

/** 'auto' is the CPU where it can compute the flow, else 'reference', the float64 specification in code; a GPU is asked for by name. */
export type Device = 'auto' | 'cpu' | 'reference' | 'cuda' | `cuda:${number}`

/** Numbers c of every row that a density p(x | c) depends on; constant along a trajectory. */
export interface Conditioning {
  size: number
  /** c moves the gates of hidden layers too, beside the bias of the first. Needs gated layers. Default: false. */
  gates?: boolean
  /** Their names, by which tables are asked for them. Default: none. */
  columns?: readonly string[]
  /** The net sees (c − mean) / scale. Default: 0. */
  mean?: readonly number[]
  /** Default: 1. */
  scale?: readonly number[]
}

/** What a flow is: its weights have these shapes. */
export interface FlowDescription {
  /** The shape of one sample: [D], or [channels, height, width]. */
  shape: readonly number[]
  /** They follow each other from data to base. */
  blocks: readonly Block[]
  /** Makes the density conditional, p(x | c): how many numbers c has, or more about them. Default: none. */
  context?: number | Conditioning
}

/** How it is computed; may change without touching the weights. */
export interface ComputeOptions {
  /** The divergence of the field. Default: 'auto'. */
  trace?: Trace
  /** Default: dopri5 at 1e-5. */
  solver?: Solver
  /** Default: 'checkpoint'. */
  gradient?: Gradient
  /** Default: none. */
  regularize?: Regularize
}

export interface FlowOptions extends FlowDescription, ComputeOptions {
  /** Default: 'auto'. */
  device?: Device
  /** Initial weights and all noise are drawn from it: an integer in [0, 2⁵³). Default: 0. */
  seed?: number
  /** How many the CPU engine uses. Default: as many as this process may use. */
  threads?: number
  /**
   * Bytes that the model may take for weights, gradients, moments and averages, apart from batches; one that needs more is
   * refused with OUT_OF_MEMORY. Default: half of what this process may have (the machine's memory, or the limit of its
   * control group or address space, where that is less).
   */
  memory?: number
}

/** What all optimizers take. */
interface OptimizerCommon {
  /** Learning rate. Default: 1e-3. */
  lr?: number
  /** Acts on matrices and filters alone: not on biases, gates, end times. Default: 0. */
  weightDecay?: number
  /** Scales the gradient down to this norm. Default: no clipping. */
  clipNorm?: number
  /** Decay of an exponential moving average of the weights (flow.average()). Default: none kept. */
  average?: number
}

export interface AdamOptions extends OptimizerCommon {
  type: 'adam' | 'adamw' | 'adamax'
  /** Default: 0.9. */
  beta1?: number
  /** Default: 0.999. */
  beta2?: number
  /** Default: 1e-8. */
  epsilon?: number
}

export interface SgdOptions extends OptimizerCommon {
  type: 'sgd'
  /** Default: 0. */
  momentum?: number
}

export type OptimizerOptions = AdamOptions | SgdOptions
