import type { Batch } from './batch'
import { boolean, fail, integer, isObject, object, show } from './check'
import { type Dataset, normalizeBatchOptions } from './dataset'
import type { Flow } from './flow'
import type { OptimizerOptions, Trace } from './options'
import { normalizeSchedule, type Schedule } from './schedule'

export interface FitOptions {
  /** In all, those before a `resume` included. */
  iterations: number
  /** Default: { type: 'adam', lr: 1e-3 }. */
  optimizer?: OptimizerOptions
  /** Default: { type: 'constant' }. */
  schedule?: Schedule
  /** Rows a batch. Default: 128. */
  batch?: number
  /** Default: true. */
  shuffle?: boolean
  /** Of the order of rows. Default: 0. */
  seed?: number
  validation?: ValidationOptions
  /** End with the weights of the best validation; a later resume goes on from them. Default: false. */
  keepBest?: boolean
  /** Go on past a batch whose solve fails, and count it. Default: false. */
  skipFailures?: boolean
  /** Every so many iterations: a path to save to, or what to do. */
  checkpoint?: { every: number; save: string | ((flow: Flow) => void | Promise<void>) }
  /** Stops after the running step; the fit then ends with what it has. */
  signal?: AbortSignal
  /** Go on where the model file, or the last fit of this flow, stood: optimizer, schedule, order of the data. */
  resume?: boolean
}

export interface ValidationOptions {
  data: Dataset | Batch
  /** Iterations between validations. */
  every: number
  /** Rows to use: all where the data end, 10,000 where they do not. */
  rows?: number
  trace?: Trace
  /** Stop after so many validations in a row without improvement. */
  patience?: number
}

const fitKeys = [
  'iterations',
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

export function normalizeFitOptions(options: FitOptions) {
  object(options, 'fit options', fitKeys)
  const { validation, checkpoint, signal } = options
  if (validation) {
    object(validation, 'validation', ['data', 'every', 'rows', 'trace', 'patience'])
    integer(validation.every, 'validation.every', 1)
    if (validation.patience !== undefined) integer(validation.patience, 'validation.patience', 1)
  }
  const keepBest = boolean(options.keepBest ?? false, 'keepBest')
  const schedule = normalizeSchedule(options.schedule)
  if (!validation && (keepBest || schedule.type === 'plateau'))
    fail(
      'CONTRADICTORY_OPTIONS',
      'keepBest and a plateau schedule need validation; give { validation: { data, every } }'
    )
  if (checkpoint) {
    object(checkpoint, 'checkpoint', ['every', 'save'])
    integer(checkpoint.every, 'checkpoint.every', 1)
    if (typeof checkpoint.save !== 'string' && typeof checkpoint.save !== 'function')
      fail('INVALID_OPTION', `checkpoint.save is ${show(checkpoint.save)}; give a path or a function`)
  }
  if (signal !== undefined && typeof (signal as Partial<AbortSignal>)?.addEventListener !== 'function')
    fail(
      'INVALID_OPTION',
      `signal is ${isObject(signal) ? 'no AbortSignal' : show(signal)}; give an AbortSignal`
    )
  return {
    iterations: integer(options.iterations, 'iterations', 1),
    schedule,
    feed: normalizeBatchOptions({
      size: integer(options.batch ?? 128, 'batch', 1, 2 ** 31 - 1),
      shuffle: boolean(options.shuffle ?? true, 'shuffle'),
      seed: integer(options.seed ?? 0, 'seed')
    }),
    validation,
    keepBest,
    skipFailures: boolean(options.skipFailures ?? false, 'skipFailures'),
    checkpoint,
    signal,
    resume: boolean(options.resume ?? false, 'resume'),
    optimizer: options.optimizer
  }
}

export type NormalizedFitOptions = ReturnType<typeof normalizeFitOptions>
