/** FFJORD continuous normalizing flows: train, evaluate and sample, on a native core. */

export { type Benchmark, benchmark } from './benchmark/benchmark'
export {
  type ImageParts,
  type ImageSet,
  type ImageSetName,
  type ImageSetOptions,
  imageSet,
  imageSetNames
} from './benchmark/image-sets'
export { type BenchmarkName, benchmarkNames } from './benchmark/sets'
export type { Atom } from './data/atom'
export type { CellType } from './data/cell-type'
export type { Clock } from './data/clock'
export { ArrayDataset, type Dataset, type DatasetContext, type RowBatch } from './data/dataset'
export type { BatchOptions, DatasetState } from './data/dataset-options'
export { fromAsyncIterable } from './data/dataset-stream'
export { decodeColumns, type NamedColumn } from './data/decode'
export { fromArray, fromRows } from './data/from-array'
export { fromImages, type ImageArrayOptions, type ImageTensor, type VisitOptions } from './data/from-images'
export type { ImageDataset } from './data/image-dataset'
export type { Labels } from './data/labels'
export { LawDataset } from './data/law-dataset'
export type { LevelNoise } from './data/level-noise'
export { fromImage, type ImageOptions } from './data/picture'
export type { Alpha, ImageReading, PictureReading } from './data/picture-reading'
export { type Column, elementNames, type FileColumns, type TableSchema } from './data/schema'
export { type ToyName, type ToyOptions, toy, toyNames } from './data/toy'
export type { Dequantization, VisitSeed } from './data/visit'
export { type Baseline, type BaselineOptions, baselines } from './density/compare'
export { fitGaussian, Gaussian } from './density/gaussian'
export { type ImageBaseline, type ImageBaselineOptions, imageBaselines } from './density/image-baselines'
export {
  fitMixture,
  fitMixtureAsync,
  GaussianMixture,
  type MixtureCallOptions,
  type MixtureOptions,
  type MixtureProgress
} from './density/mixture'
export type {
  EvaluateOptions,
  Evaluation,
  EvaluationErrors,
  ScoringProgress
} from './evaluation/evaluate'
export type { Bits, ImageEvaluation, ImageEvaluationOptions } from './evaluation/image-bits'
export type { LabelOptions, LabelProbabilities } from './evaluation/label-probabilities'
export { readSafetensors } from './file/read-safetensors'
export { type SafetensorsFile, type StoredTensor, writeSafetensors } from './file/safetensors'
export type { FitOptions } from './flow'
export { Flow } from './flow'
export type { CallOptions, ContextOptions, EvaluationOptions, NoiseOptions } from './flow/call-options'
export { type DeviceInfo, deviceInfo, type LibraryInfo, libraryInfo } from './flow/device'
export type { CertifiedLogProb } from './flow/log-prob'
export type { Loss, LossOptions } from './flow/loss'
export type { LoadOptions } from './flow/model-file'
export { type MultiscaleOptions, multiscale } from './flow/multiscale'
export type { Observation } from './flow/observe'
export { type OdeSolution, type OdeSolver, odeint } from './flow/odeint'
export type { Optimizer, StepResult } from './flow/optimizer'
export type {
  Activation,
  AdamOptions,
  AdaptiveSolver,
  BatchNormBlock,
  Block,
  CnfBlock,
  ComputeOptions,
  Conditioning,
  ConvolutionOptions,
  Device,
  EvaluationAccuracy,
  EvaluationSolver,
  FixedStepSolver,
  FlowDescription,
  FlowOptions,
  Gradient,
  HutchinsonTrace,
  Layer,
  LogitBlock,
  Net,
  OptimizerOptions,
  Regularize,
  SgdOptions,
  Solver,
  SplitBlock,
  SqueezeBlock,
  StandardizeBlock,
  Stride,
  SupportBlock,
  Tolerances,
  TorchdiffeqSolver,
  Trace,
  WhitenBlock,
  ZeroMeanBlock
} from './flow/options'
export type { Provenance } from './flow/provenance'
export type { SampleOptions } from './flow/sample'
export type { ForwardSolution, ReverseSolution, SolveOptions } from './flow/solution'
export type { SolverStatistics, Statistics } from './flow/statistics'
export type { Coupling } from './flow/training-state'
export type { Trajectory, TrajectoryOptions } from './flow/trajectory'
export type { Velocity, VelocityOptions, VelocityPullback, VelocityPullbackOptions } from './flow/velocity'
export type { Weights } from './flow/weights'
export { type ImageFolderOptions, imageFolder } from './image/image-folder'
export { type GridOptions, type ImageGrid, writePng } from './image/write-png'
export type { ArrayOf, Batch, ConditionedTensor, RealArray, Tensor, TensorLike } from './native/batch'
export { type ErrorCode, FfjordError, type SolveFailure } from './native/errors'
export type { AdaptiveMethod, FixedStepMethod, Method } from './native/methods'
export type { Regulariser, RegulariserMeans } from './native/regularisers'
export { tableBlocks } from './table/blocks'
export type { FileOptions } from './table/file-options'
export { type ColumnInspection, inspectFile, type TableInspection } from './table/inspect'
export { type FileStream, fromFile, streamFile, TableDataset } from './table/load'
export { type Remark, type RemarkKind, type RemarkOptions, remarksOn } from './table/remarks'
export { scalingBlocks } from './table/scaling-blocks'
export { type FileParts, type SplitOptions, splitFile } from './table/split-file'
export type { Fit } from './training/fit'
export type { ValidationOptions } from './training/fit-options'
export type { BatchDivided, EvaluationsGrew, FitWarning, UnscaledData } from './training/fit-warning'
export { Group, type GroupOptions } from './training/group'
export type { Objective, Phase } from './training/objective'
export type { FitResult, IterationRecord, Progress, StopReason } from './training/progress'
export type { Schedule } from './training/schedule'
export type {
  DecodeOptions,
  Elbo,
  ElboOptions,
  Likelihood,
  LikelihoodOptions,
  VaeCallOptions
} from './vae/calls'
export type { VaeEvaluateOptions, VaeEvaluation } from './vae/evaluate'
export type { VaeValidationOptions } from './vae/fit-options'
export type { VaeLoadOptions } from './vae/model-file'
export type {
  AutoregressivePosterior,
  ContinuousPosterior,
  ConvolutionLayer,
  DenseLayer,
  GaussianPosterior,
  NetLayer,
  PlanarPosterior,
  Posterior,
  ReshapeLayer,
  SylvesterPosterior,
  VaeDescription,
  VaeOptions
} from './vae/options'
export type { VaeFitResult, VaeIteration, VaeProgress } from './vae/progress'
export { Vae, type VaeFitOptions } from './vae/vae'
