import type { Dataset } from '../data/dataset'
import type { Batch } from '../native/batch'
import { integer, number, object } from '../native/check'
import {
  type CommonFitOptions,
  commonFitKeys,
  normalizeCommon,
  normalizeValidation
} from '../training/common-options'

/** How long to train an autoencoder of type M, on what terms, and what to do on the way. */
export interface VaeTrainingOptions<M> extends CommonFitOptions<M> {
  /** Passes over the images in all, those before a `resume` included. */
  epochs: number
  /** Epochs in which β, the weight of KL, rises to 1: min(epoch / warmup, 1), epochs counted from 1. Default: 100. */
  warmup?: number
  /** Default: none. */
  validation?: VaeValidationOptions
}

export interface VaeValidationOptions {
  /** Images that are not trained on: their mean −ELBO, β = 1, one z an image, by the same noise each time. */
  data: Dataset | Batch
  /** Epochs between validations. Default: 1. */
  every?: number
  /** Stop after so many validations in a row without a new best, counted once β is 1. Default: never. */
  patience?: number
}

export const paperOptimizer = { type: 'adamax', lr: 5e-4, epsilon: 1e-7 } as const

export function normalizeVaeFit<M>(asked: VaeTrainingOptions<M>) {
  const keys = ['epochs', 'warmup', ...commonFitKeys]
  const given = object(asked, 'fit options', keys) as unknown as VaeTrainingOptions<M>
  const validation = given.validation === undefined ? undefined : checkValidation(given.validation)
  return {
    ...normalizeCommon(given, { usual: 100, validation, example: '{ validation: { data } }' }),
    epochs: integer(given.epochs, 'epochs', 1, 2 ** 31 - 1),
    warmup: number(given.warmup ?? 100, 'warmup', { least: 0 }),
    validation
  }
}

export type NormalizedVaeFit<M> = ReturnType<typeof normalizeVaeFit<M>>

function checkValidation(value: unknown) {
  const given = object(value, 'validation', ['data', 'every', 'patience'])
  return normalizeValidation({ ...given, every: given.every ?? 1 })
}

/** The weight of KL in an epoch, counted from 1. */
export function betaOf(epoch: number, warmup: number): number {
  return warmup > 0 ? Math.min(epoch / warmup, 1) : 1
}
