/** FFJORD continuous normalizing flows: train, evaluate and sample, on a native core. */

export type { Atom } from './atom'
export type { ArrayOf, Batch, ConditionedTensor, RealArray, Tensor, TensorLike } from './batch'
export { type Benchmark, benchmark } from './benchmark/benchmark'
export { type BenchmarkName, benchmarkNames } from './benchmark/sets'
export type { CallOptions, ContextOptions, EvaluationOptions, NoiseOptions } from './call'
export type { CertifiedLogProb } from './certify'
export {
  ArrayDataset,
  type BatchOptions,
  type Dataset,
  type DatasetContext,
  type DatasetState,
  fromArray,
  fromRows,
  type RowBatch
} from './dataset'
export { fromAsyncIterable } from './dataset-stream'
export { type Baseline, baselines } from './density/compare'
export { fitGaussian, Gaussian } from './density/gaussian'
export { fitMixture, GaussianMixture, type MixtureOptions } from './density/mixture'
export { type DeviceInfo, deviceInfo } from './device'
export { type ErrorCode, FfjordError, type SolveFailure } from './errors'
export type { EvaluateOptions, Evaluation, EvaluationErrors } from './evaluate'
export type { Fit, FitResult, IterationRecord, Progress } from './fit'
export type { FitOptions, ValidationOptions } from './fit-options'
export type { EvaluationsGrew, FitWarning, UnscaledData } from './fit-warning'
export { Flow, type LoadOptions, type Loss, type LossOptions, type SampleOptions } from './flow'
export { LawDataset } from './law-dataset'
export type { AdaptiveMethod, FixedStepMethod, Method } from './methods'
export type { Coupling, Objective, Phase } from './objective'
export { type OdeSolution, type OdeSolver, odeint } from './odeint'
export type { Optimizer, StepResult } from './optimizer'
export type {
  Activation,
  AdamOptions,
  AdaptiveSolver,
  BatchNormBlock,
  Block,
  CnfBlock,
  ComputeOptions,
  Conditioning,
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
  SupportBlock,
  Tolerances,
  TorchdiffeqSolver,
  Trace,
  WhitenBlock,
  ZeroMeanBlock
} from './options'
export { fromImage, type ImageOptions } from './picture'
export { readSafetensors } from './read-safetensors'
export type { Regulariser, RegulariserMeans } from './regularisers'
export { type SafetensorsFile, type StoredTensor, writeSafetensors } from './safetensors'
export { scalingBlocks } from './scaling-blocks'
export type { Schedule } from './schedule'
export type { ForwardSolution, ReverseSolution, SolveOptions } from './solution'
export type { SolverStatistics, Statistics } from './statistics'
export { tableBlocks } from './table/blocks'
export { type FileOptions, fromFile, streamFile, TableDataset } from './table/load'
export { type Remark, type RemarkKind, type RemarkOptions, remarksOn } from './table/remarks'
export {
  type Column,
  decodeColumns,
  elementNames,
  type FileColumns,
  type NamedColumn,
  type TableSchema
} from './table/schema'
export { type FileParts, type SplitOptions, splitFile } from './table/split-file'
export { type ToyName, type ToyOptions, toy, toyNames } from './toy'
export type { StopReason } from './training'
export type { Trajectory, TrajectoryOptions } from './trajectory'
export type { Velocity, VelocityOptions, VelocityPullback, VelocityPullbackOptions } from './velocity'
export type { Weights } from './weights'
