import type { NativeSolveStatistics, NativeStatistics } from '../native/interface'

/** What a solve counted; over all blocks, means over rows where rows step apart. */
export interface SolverStatistics {
  /** Evaluations of the dynamics. */
  nfe: number
  accepted: number
  rejected: number
  /** Sizes of accepted steps. */
  smallestStep: number
  largestStep: number
  /**
   * How much of the method's stability interval the accepted steps used, on average: near 0 accuracy limits the steps; near 1 the
   * system is stiff, and looser tolerances save little. 0 for equal steps.
   */
  stiffness: number
}

/** Counts of the last call that solved. */
export interface Statistics extends SolverStatistics {
  /** Evaluations of each CNF block. */
  blockNfe: number[]
  /** `stiffness` of each CNF block. */
  blockStiffness: number[]
  /** Where the smallest step was taken: index in the flow's list of blocks, and the row whose error was largest in it. */
  smallestStepAt?: { block: number; row: number }
  /** What the engine used for the divergence of each CNF block. */
  traces: string[]
  /** What the backward pass counted, where there was one. */
  backward?: SolverStatistics
}

export function solverStatistics(native: NativeStatistics): SolverStatistics {
  const { evaluations, accepted, rejected, smallestStep, largestStep, stiffness } = native
  return { nfe: evaluations, accepted, rejected, smallestStep, largestStep, stiffness }
}

export function statisticsOf(native: NativeSolveStatistics): Statistics {
  const { blockEvaluations, blockStiffness, smallestStepBlock, smallestStepRow, traces } = native
  return {
    ...solverStatistics(native),
    blockNfe: blockEvaluations,
    blockStiffness,
    ...(smallestStepBlock >= 0 && { smallestStepAt: { block: smallestStepBlock, row: smallestStepRow } }),
    traces
  }
}
