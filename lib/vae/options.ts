import type { Activation, ComputeOptions, ConvolutionOptions, Device, Layer } from '../flow/options'

/** What users of an autoencoder pass. Plain types; normalize.ts checks them and fills in defaults. */

/** What every layer of an encoder or a decoder may have. */
interface TrainedLayer {
  /** y = σ(W x + b) ⊙ logistic(G x + c) in place of σ(W x + b) (van den Oord et al. 2016). Default: false. */
  gated?: boolean
  /** σ. Default: 'identity'. */
  activation?: Activation
}

/** Flattens what it is given. */
export interface DenseLayer extends TrainedLayer {
  type: 'dense'
  units: number
}

export interface ConvolutionLayer extends TrainedLayer, ConvolutionOptions {
  type: 'convolution'
  channels: number
}

/** The same numbers as another image. */
export interface ReshapeLayer {
  type: 'reshape'
  /** [channels, height, width] */
  shape: readonly number[]
}

export type NetLayer = DenseLayer | ConvolutionLayer | ReshapeLayer

/** zk = z0: the posterior stays the encoder's Gaussian. */
export interface GaussianPosterior {
  type: 'none'
}

/** Planar flows (Rezende and Mohamed 2015). */
export interface PlanarPosterior {
  type: 'planar'
  /** How many follow each other. Default: 4. */
  flows?: number
}

/** Inverse autoregressive flows (Kingma et al. 2016), of weights that all images share and a context of each. */
export interface AutoregressivePosterior {
  type: 'iaf'
  /** How many follow each other. Default: 4. */
  flows?: number
  /** Units of the masked layers, a multiple of the latent size. Default: 5 times the latent size. */
  width?: number
}

/** Sylvester flows (van den Berg et al. 2018). */
export interface SylvesterPosterior {
  type: 'sylvester'
  /** Where the orthogonal matrix is from: a matrix made orthogonal, reflections, or the identity and the reversal in turn. */
  basis: 'orthogonal' | 'householder' | 'triangular'
  /** How many follow each other. Default: 4. */
  flows?: number
  /** Columns of the orthogonal matrix, or reflections; none of 'triangular'. Default: 8. */
  vectors?: number
}

/**
 * A continuous flow over [0, T] (Grathwohl et al. 2019): 'cnf' has one field for all images; in 'cnf_bias' the encoder's numbers of an image
 * are added to the biases of all layers; in 'cnf_rank' also terms of a low rank to their weights.
 */
export interface ContinuousPosterior {
  type: 'cnf' | 'cnf_bias' | 'cnf_rank'
  /** Widths of the hidden layers. */
  hidden: readonly number[]
  /** Default: 'concat'. */
  layer?: Layer
  /** Default: 'softplus'. */
  activation?: Activation
  /** Blocks of weights of their own, one after the other. Default: 1. */
  blocks?: number
  /** T. Default: 0.5. */
  time?: number
  /** Of 'cnf_rank'. Default: 20. */
  rank?: number
}

export type Posterior =
  | GaussianPosterior
  | PlanarPosterior
  | AutoregressivePosterior
  | SylvesterPosterior
  | ContinuousPosterior

/** What an autoencoder is: its weights have these shapes. */
export interface VaeDescription {
  /** The shape of an image, [channels, height, width], or [D] of other data. */
  shape: readonly number[]
  /** p(x | z): a probability a number of x, all in [0, 1]; or 256 classes a number, class k being k/255. */
  likelihood: 'bernoulli' | 'categorical'
  /** Dimension of z. Default: 64. */
  latent?: number
  /** Image → h, from which linear maps make the mean and variance of z0. Default: that of the paper, for images of 28 × 28 and 28 × 20. */
  encoder?: readonly NetLayer[]
  /** z, as [latent, 1, 1], → maps. Default: that of the paper. */
  decoder?: readonly NetLayer[]
  /** Maps → logits: one a number of x, or 256 channels of them. Default: that of the paper. */
  head?: readonly NetLayer[]
  /** The flow behind the Gaussian. Default: { type: 'none' }. */
  posterior?: Posterior
  /** Bounds of the encoder's variance. Default: none; 0.01 and 7 of 'categorical', as the paper has them. */
  variance?: { least: number; most: number }
}

export interface VaeOptions extends VaeDescription, Omit<ComputeOptions, 'regularize'> {
  /** Default: 'auto'. */
  device?: Device
  /** Initial weights and all noise are drawn from it: an integer in [0, 2⁵³). Default: 0. */
  seed?: number
  /** How many the CPU engine uses. Default: as many as this process may use. */
  threads?: number
  /** Bytes that the model may take, as of a flow. Default: half of what this process may have. */
  memory?: number
}
