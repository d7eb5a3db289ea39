/** What a fit has to say about its progress; training goes on. */
export type FitWarning = EvaluationsGrew | UnscaledData | BatchDivided

interface Common {
  /** Where training stood. */
  iteration: number
  /** All of this in words, and what helps. */
  message: string
}

/** Solves take more evaluations than they did. */
export interface EvaluationsGrew extends Common {
  code: 'EVALUATIONS_GREW'
  /** Evaluations of the forward solve, mean of the last iterations; and of each CNF block. */
  nfe: number
  blockNfe: number[]
  /** Mean of the first iterations. */
  startNfe: number
  budget: number
}

/** The first CNF block, or the net by its context, gets numbers that are far from those of N(0, I). */
export interface UnscaledData extends Common {
  code: 'UNSCALED_DATA'
  /** The column that is furthest off, as the first CNF block gets it. */
  column: string
  mean: number
  deviation: number
}

/** Memory does not hold a batch, or a part of it: from here on it is solved in more, one after the other. The gradient is the same. */
export interface BatchDivided extends Common {
  code: 'BATCH_DIVIDED'
  parts: number
}
