import type { StopReason } from '../training/progress'

/** One iteration of a fit of an autoencoder. */
export interface VaeIteration {
  /** Counted from 1. */
  iteration: number
  /** reconstruction + β kl */
  loss: number
  /** Means over the batch, nats. */
  reconstruction: number
  kl: number
  beta: number
  /** Of the posterior's solves. */
  nfe: number
  backwardNfe: number
  /** ‖g‖₂ before clipping. */
  gradientNorm: number
  learningRate: number
  seconds: number
  /** Its loss failed and it changed nothing; its numbers are 0. */
  skipped: boolean
}

/** Where training stands; losses and counts are means since the last progress. */
export interface VaeProgress {
  /** Iterations done, of how many. */
  iteration: number
  iterations: number
  /** Passes over the data, the one under way included. */
  epoch: number
  epochs: number
  /** reconstruction + β kl */
  loss: number
  /** reconstruction + kl: −ELBO, nats */
  negativeElbo: number
  reconstruction: number
  kl: number
  beta: number
  nfe: number
  gradientNorm: number
  learningRate: number
  /** Mean −ELBO of the validation images, where this progress follows a validation. */
  validation?: number
  /** Iterations whose loss failed, and seconds, since training began. */
  skipped: number
  seconds: number
  etaSeconds: number
  /** Every iteration since the last progress. */
  records: VaeIteration[]
}

export interface VaeFitResult {
  iterations: number
  /** Means since the last progress. */
  loss: number
  negativeElbo: number
  validation?: number
  best?: { validation: number; iteration: number }
  skipped: number
  seconds: number
  stopped: StopReason
}

/** Means over the iterations that were not skipped, NaN where there is none. */
export function vaeMeans(records: readonly VaeIteration[]) {
  const counted = records.filter((record) => !record.skipped)
  const mean = (value: (record: VaeIteration) => number) =>
    counted.reduce((sum, record) => sum + value(record), 0) / counted.length
  const reconstruction = mean((record) => record.reconstruction)
  const kl = mean((record) => record.kl)
  return {
    loss: mean(({ loss }) => loss),
    negativeElbo: reconstruction + kl,
    reconstruction,
    kl,
    nfe: mean(({ nfe }) => nfe),
    gradientNorm: mean(({ gradientNorm }) => gradientNorm)
  }
}
