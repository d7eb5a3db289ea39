import type { NativeSolveStatistics, NativeStatistics } from './native'

/** What a solve counted; over all blocks, means over rows where rows step apart. */
export interface SolverStatistics {
  /** Evaluations of the dynamics. */
  nfe: number
  accepted: number
  rejected: number
  /** Sizes of accepted steps. */
  smallestStep: number
  largestStep: number
}

/** Counts of the last call that solved. */
export interface Statistics extends SolverStatistics {
  /** Evaluations of each CNF block. */
  blockNfe: number[]
  /** What the engine used for the divergence of each CNF block. */
  traces: string[]
  /** Of the backward pass, where there was one. */
  backward?: SolverStatistics
}

export function solverStatistics(native: NativeStatistics): SolverStatistics {
  const { evaluations, accepted, rejected, smallestStep, largestStep } = native
  return { nfe: evaluations, accepted, rejected, smallestStep, largestStep }
}

export function statisticsOf(native: NativeSolveStatistics): Statistics {
  return { ...solverStatistics(native), blockNfe: native.blockEvaluations, traces: native.traces }
}
