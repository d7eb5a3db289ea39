import type { Regulariser, RegulariserMeans } from '../native/regularisers'
import type { FitWarning } from './fit-warning'
import type { Phase } from './objective'

export type StopReason = 'iterations' | 'signal' | 'break' | 'patience' | 'data'

/** One iteration. */
export interface IterationRecord {
  /** Counted from 1. */
  iteration: number
  /** Flow matching, or maximum likelihood. */
  phase: Phase
  /** Under flow matching it is the mean of ‖n T f − (z − x)‖². */
  loss: number
  /** NaN under flow matching. */
  negativeLogProb: number
  /** Means over the batch, without their weights. */
  regularisers: RegulariserMeans
  nfe: number
  /** Evaluations in each CNF block. */
  blockNfe: number[]
  backwardNfe: number
  accepted: number
  rejected: number
  /** ‖g‖₂ before clipping. */
  gradientNorm: number
  learningRate: number
  seconds: number
  /** What this iteration brought to light. */
  warning?: FitWarning
  /** Its solve failed and it changed nothing; its numbers are 0 and its lists empty. */
  skipped: boolean
}

/** Where training stands; losses and counts are means since the last progress. */
export interface Progress {
  /** Iterations done, of how many. */
  iteration: number
  iterations: number
  /** What the last iteration did: flow matching, or maximum likelihood. */
  phase: Phase
  loss: number
  negativeLogProb: number
  regularisers: RegulariserMeans
  nfe: number
  /** Evaluations in each CNF block. */
  blockNfe: number[]
  backwardNfe: number
  gradientNorm: number
  learningRate: number
  /** Validation loss, where this progress follows one; exact trace where `validation.trace` says so. */
  validation?: number
  /** Iterations whose solve failed, and seconds, since training began. */
  skipped: number
  seconds: number
  etaSeconds: number
  /** What the iterations since the last progress brought to light. */
  warnings: FitWarning[]
  /** Every iteration since the last progress. */
  records: IterationRecord[]
}

export interface FitResult {
  iterations: number
  /** Mean since the last progress. */
  loss: number
  validation?: number
  best?: { validation: number; iteration: number }
  skipped: number
  seconds: number
  /** All that were given since this fit began. */
  warnings: FitWarning[]
  stopped: StopReason
}

type Means = Pick<
  Progress,
  'loss' | 'negativeLogProb' | 'regularisers' | 'nfe' | 'blockNfe' | 'backwardNfe' | 'gradientNorm'
>

/** Means over the iterations that were not skipped, NaN where there is none. */
export function meansOf(
  records: readonly IterationRecord[],
  tracked: readonly Regulariser[],
  cnfBlocks: number
): Means {
  const counted = records.filter((record) => !record.skipped)
  const mean = (value: (record: IterationRecord) => number) =>
    counted.reduce((sum, record) => sum + value(record), 0) / counted.length
  return {
    loss: mean(({ loss }) => loss),
    negativeLogProb: mean(({ negativeLogProb }) => negativeLogProb),
    regularisers: Object.fromEntries(
      tracked.map((name) => [name, mean(({ regularisers }) => regularisers[name] ?? Number.NaN)])
    ),
    nfe: mean(({ nfe }) => nfe),
    blockNfe: Array.from({ length: cnfBlocks }, (_, i) => mean(({ blockNfe }) => blockNfe[i] ?? Number.NaN)),
    backwardNfe: mean(({ backwardNfe }) => backwardNfe),
    gradientNorm: mean(({ gradientNorm }) => gradientNorm)
  }
}
