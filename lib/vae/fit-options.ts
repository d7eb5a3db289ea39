import type { Dataset } from '../data/dataset'
import { normalizeBatchOptions } from '../data/dataset-options'
import type { OptimizerOptions } from '../flow/options'
import type { Batch } from '../native/batch'
import { boolean, fail, integer, isCallable, number, object, show, signal } from '../native/check'
import { normalizeSchedule, type Schedule } from '../training/schedule'

/** How long to train an autoencoder of type M, on what terms, and what to do on the way. */
export interface VaeTrainingOptions<M> {
  /** Passes over the images in all, those before a `resume` included. */
  epochs: number
  /** Epochs in which β, the weight of KL, rises to 1: min(epoch / warmup, 1), epochs counted from 1. Default: 100. */
  warmup?: number
  /** Default: { type: 'adamax', lr: 5e-4, epsilon: 1e-7 }, as in the paper. */
  optimizer?: OptimizerOptions
  /** Default: { type: 'constant' }. */
  schedule?: Schedule
  /** Images a batch. Default: 100. */
  batch?: number
  /** Default: true. */
  shuffle?: boolean
  /** The order of images is drawn from it. Default: 0. */
  seed?: number
  /** Default: none. */
  validation?: VaeValidationOptions
  /** End with the weights of the best validation; a fit that a signal or a break stops keeps its last ones. Default: false. */
  keepBest?: boolean
  /** Go on past a batch whose loss fails, and count it. Default: false. */
  skipFailures?: boolean
  /** Every so many epochs: a path to save to, or what to do. Default: none. */
  checkpoint?: { every: number; save: string | ((vae: M) => void | Promise<void>) }
  /** Stops after the running step; the fit ends with what it has. Default: none. */
  signal?: AbortSignal
  /** Go on where the model file, or the last fit of this model, stood. Default: false. */
  resume?: boolean
}

export interface VaeValidationOptions {
  /** Images that are not trained on: their mean −ELBO, β = 1, one z an image, by the same noise each time. */
  data: Dataset | Batch
  /** Epochs between validations. Default: 1. */
  every?: number
  /** Stop after so many validations in a row without a new best, counted once β is 1. Default: never. */
  patience?: number
}

const keys = [
  'epochs',
  'warmup',
  'optimizer',
  'schedule',
  'batch',
  'shuffle',
  'seed',
  'validation',
  'keepBest',
  'skipFailures',
  'checkpoint',
  'signal',
  'resume'
]

export const paperOptimizer = { type: 'adamax', lr: 5e-4, epsilon: 1e-7 } as const

export function normalizeVaeFit<M>(asked: VaeTrainingOptions<M>) {
  const given = object(asked, 'fit options', keys) as unknown as VaeTrainingOptions<M>
  const validation = given.validation === undefined ? undefined : checkValidation(given.validation)
  const keepBest = boolean(given.keepBest ?? false, 'keepBest')
  const schedule = normalizeSchedule(given.schedule)
  if (!validation && (keepBest || schedule.type === 'plateau'))
    fail(
      'CONTRADICTORY_OPTIONS',
      'keepBest and a plateau schedule need validation; give { validation: { data } }'
    )
  return {
    epochs: integer(given.epochs, 'epochs', 1, 2 ** 31 - 1),
    warmup: number(given.warmup ?? 100, 'warmup', { least: 0 }),
    optimizer: given.optimizer,
    schedule,
    feed: normalizeBatchOptions({
      size: integer(given.batch ?? 100, 'batch', 1, 2 ** 31 - 1),
      shuffle: boolean(given.shuffle ?? true, 'shuffle'),
      seed: integer(given.seed ?? 0, 'seed')
    }),
    validation,
    keepBest,
    skipFailures: boolean(given.skipFailures ?? false, 'skipFailures'),
    checkpoint: given.checkpoint === undefined ? undefined : checkCheckpoint<M>(given.checkpoint),
    signal: signal(given.signal),
    resume: boolean(given.resume ?? false, 'resume')
  }
}

export type NormalizedVaeFit<M> = ReturnType<typeof normalizeVaeFit<M>>

function checkValidation(value: unknown) {
  const { data, every, patience } = object(value, 'validation', ['data', 'every', 'patience'])
  return {
    data: data as VaeValidationOptions['data'],
    every: integer(every ?? 1, 'validation.every', 1),
    patience: patience === undefined ? Infinity : integer(patience, 'validation.patience', 1)
  }
}

function checkCheckpoint<M>(value: unknown): NonNullable<VaeTrainingOptions<M>['checkpoint']> {
  const { every, save } = object(value, 'checkpoint', ['every', 'save'])
  if (typeof save !== 'string' && !isCallable(save))
    fail('INVALID_OPTION', `checkpoint.save is ${show(save)}; give a path or a function`)
  return { every: integer(every, 'checkpoint.every', 1), save: save as string }
}

/** The weight of KL in an epoch, counted from 1. */
export function betaOf(epoch: number, warmup: number): number {
  return warmup > 0 ? Math.min(epoch / warmup, 1) : 1
}
