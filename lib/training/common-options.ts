import type { Dataset } from '../data/dataset'
import { normalizeBatchOptions } from '../data/dataset-options'
import type { OptimizerOptions } from '../flow/options'
import type { Batch } from '../native/batch'
import { boolean, fail, integer, isCallable, object, show, signal } from '../native/check'
import { type Group, isGroup } from './group'
import { normalizeSchedule, type Schedule } from './schedule'

/** What every fit takes, whatever it trains; its model is of type M. */
export interface CommonFitOptions<M> {
  /** Default: { type: 'adam', lr: 1e-3 }; of an autoencoder { type: 'adamax', lr: 5e-4, epsilon: 1e-7 }, as in the paper. */
  optimizer?: OptimizerOptions
  /** Default: { type: 'constant' }. */
  schedule?: Schedule
  /** Rows a batch. Default: 128; of an autoencoder 100. */
  batch?: number
  /** Default: true. */
  shuffle?: boolean
  /** The order of rows is drawn from it. Default: 0. */
  seed?: number
  /**
   * End with the weights of the best validation; a later resume goes on from them. A fit that a signal or a break stops keeps
   * its last weights, so that a resume is what it would have been. Default: false.
   */
  keepBest?: boolean
  /** Go on past a batch whose solve fails, and count it. Default: false. */
  skipFailures?: boolean
  /** Every so many iterations, of an autoencoder epochs: a path to save to, or what to do. Default: none. */
  checkpoint?: { every: number; save: string | ((model: M) => void | Promise<void>) }
  /** Stops after the running step, and a validation that is due then; the fit ends with what it has. Default: none. */
  signal?: AbortSignal
  /**
   * Processes that train together: each calls fit with the same options and data, takes its share of every batch, and ends with the same weights.
   * Checkpoints are saved on rank 0; a signal of one rank stops all behind the same step. Default: none.
   */
  group?: Group
  /** Go on where the model file, or the last fit of this model, stood: optimizer, schedule, order of the data. Default: false. */
  resume?: boolean
}

export const commonFitKeys = [
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
  'group',
  'resume'
] as const

/** `usual`: rows a batch by default. `validation`: as it was given, and how one looks. */
export function normalizeCommon<M>(
  given: CommonFitOptions<M>,
  { usual, validation, example }: { usual: number; validation: unknown; example: string }
) {
  const keepBest = boolean(given.keepBest ?? false, 'keepBest')
  const schedule = normalizeSchedule(given.schedule)
  if (!validation && (keepBest || schedule.type === 'plateau'))
    fail('CONTRADICTORY_OPTIONS', `keepBest and a plateau schedule need validation; give ${example}`)
  return {
    schedule,
    feed: normalizeBatchOptions({
      size: batchSize(given.batch, usual),
      shuffle: boolean(given.shuffle ?? true, 'shuffle'),
      seed: integer(given.seed ?? 0, 'seed')
    }),
    keepBest,
    skipFailures: boolean(given.skipFailures ?? false, 'skipFailures'),
    checkpoint: given.checkpoint === undefined ? undefined : checkCheckpoint<M>(given.checkpoint),
    signal: signal(given.signal),
    group: checkGroup(given.group),
    resume: boolean(given.resume ?? false, 'resume'),
    optimizer: given.optimizer
  }
}

function checkGroup(value: unknown): Group | undefined {
  if (value === undefined || isGroup(value)) return value
  return fail('INVALID_OPTION', `group is ${show(value)}; give what Group.join() resolves to`)
}

export function batchSize(given: unknown, usual: number): number {
  return integer(given ?? usual, 'batch', 1, 2 ** 31 - 1)
}

/** What every validation takes. */
export function normalizeValidation({ data, every, patience }: Record<string, unknown>) {
  return {
    data: data as Dataset | Batch,
    every: integer(every, 'validation.every', 1),
    ...(patience !== undefined && { patience: integer(patience, 'validation.patience', 1) })
  }
}

function checkCheckpoint<M>(value: unknown): NonNullable<CommonFitOptions<M>['checkpoint']> {
  const { every, save } = object(value, 'checkpoint', ['every', 'save'])
  if (typeof save !== 'string' && !isCallable(save))
    fail('INVALID_OPTION', `checkpoint.save is ${show(save)}; give a path or a function`)
  return { every: integer(every, 'checkpoint.every', 1), save: save as string }
}
