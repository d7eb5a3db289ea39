import type { Dataset, FeedingDataset } from '../data/dataset'
import { normalizeTrace } from '../flow/normalize-settings'
import type { Trace } from '../flow/options'
import type { Batch } from '../native/batch'
import { boolean, fail, integer, number, object } from '../native/check'
import {
  batchSize,
  type CommonFitOptions,
  commonFitKeys,
  normalizeCommon,
  normalizeValidation
} from './common-options'
import type { Objective } from './objective'

/**
 * How long: so many iterations in all (those before a `resume` included), so many passes over the data, or neither.
 * Then training goes on until validation stops getting better, with a learning rate that halves on a plateau and the best
 * weights kept: for data that end on a tenth of their rows, held out, at most 300 epochs or 3,000 iterations; for data that do
 * not on the next 2,000 rows, which are not trained on, at most 20,000 iterations. (A stream of fewer than 4,000 rows
 * is trained on to its end.) Default: neither.
 */
type Length = { iterations?: number; epochs?: never } | { epochs: number; iterations?: never }

/** How long to train a model of type M, on what terms, and what to do on the way. */
export type TrainingOptions<M> = Length &
  CommonFitOptions<M> & {
    /** Default: 'ml'. */
    objective?: Objective
    /**
     * Solves a batch in so many parts before a step: the same gradient in less memory. Where memory does not hold a part they are as many more as
     * it takes, but for flows with batch norm, whose moments are those of a part. Default: 1.
     */
    accumulate?: number
    /**
     * With control 'batch' in a group: all ranks take the same steps, by the error of the whole batch, as one process does; they wait for each other
     * at every attempt. Else each controls the steps of its own rows. Not on cuda. Default: false.
     */
    sharedSteps?: boolean
    /**
     * In a group: the rows of each rank are its own part of them, from which it takes its share of every batch, as where each reads a file of its
     * own. Training ends with the rank whose rows end first. Order and noise of rows depend on the number of ranks then, and so do the weights. Goes
     * with iterations, or with data that do not end. Default: false, every rank has all rows.
     */
    shard?: boolean
    /** Default: none, but for a fit without a length, which holds rows out. */
    validation?: ValidationOptions
    /**
     * Evaluations of a forward solve, all blocks, above which the fit warns, and once more at every doubling. Default:
     * four times those of the first iterations; false: never.
     */
    nfeBudget?: number | false
  }

export interface ValidationOptions {
  data: Dataset | Batch
  /** Iterations between validations. */
  every: number
  /** Rows to use. Default: all where the data end, 10,000 where they do not. */
  rows?: number
  /** Default: the flow's own. */
  trace?: Trace
  /** Stop after so many validations in a row without improvement. Default: never. */
  patience?: number
}

const fitKeys = [
  'iterations',
  'epochs',
  'objective',
  'accumulate',
  'sharedSteps',
  'shard',
  'nfeBudget',
  ...commonFitKeys
]

/** Rows a batch by default. */
const usual = 128

const validationKeys = ['data', 'every', 'rows', 'trace', 'patience']

/** How a fit goes on that was not told how long. */
const untilConverged = {
  share: 0.1,
  epochs: 300,
  least: 3000,
  patience: 20,
  endless: { iterations: 20_000, every: 50, rows: 2000 }
}

const onPlateau = {
  schedule: { type: 'plateau', factor: 0.5, patience: untilConverged.patience / 4, least: 0.01, warmup: 50 },
  keepBest: true
} as const

/** The options of a fit on `data`, and the rows to train on: fewer where some are held out for validation. */
export function normalizeFitOptions<M>(asked: TrainingOptions<M>, data: FeedingDataset) {
  const given = object(asked, 'fit options', fitKeys) as TrainingOptions<M>
  if (given.validation !== undefined)
    given.validation = object(given.validation, 'validation', validationKeys) as unknown as ValidationOptions
  const shard = boolean(given.shard ?? false, 'shard')
  if (shard && given.iterations === undefined && (given.epochs !== undefined || Number.isFinite(data.rows)))
    fail(
      'CONTRADICTORY_OPTIONS',
      'a rank of a sharded fit has its own part of the rows, of which it cannot tell how long all of them take; give iterations'
    )
  const { options, train } = withLength(given, data)
  const validation = options.validation === undefined ? undefined : checkValidation(options.validation)
  const { iterations } = options
  return {
    ...normalizeCommon(options, { usual, validation, example: '{ validation: { data, every } }' }),
    data: train,
    iterations,
    objective: options.objective,
    parts: integer(options.accumulate ?? 1, 'accumulate', 1, 2 ** 31 - 1),
    sharedSteps: boolean(options.sharedSteps ?? false, 'sharedSteps'),
    shard,
    validation,
    /** The rows to validate on are the next ones of those to train on, which goes on behind them. */
    heldOut:
      !Number.isFinite(train.rows) && validation?.data === train && given.validation?.data === undefined,
    nfeBudget: normalizeBudget(options.nfeBudget)
  }
}

function checkValidation(value: unknown): ValidationOptions {
  const { rows, trace, ...common } = object(value, 'validation', validationKeys)
  if (trace !== undefined) normalizeTrace(trace)
  return {
    ...normalizeValidation(common),
    ...(rows !== undefined && { rows: integer(rows, 'validation.rows', 1) }),
    ...(trace !== undefined && { trace: trace as Trace })
  }
}

function withLength<M>(given: TrainingOptions<M>, data: FeedingDataset) {
  const { iterations, epochs } = given
  if (iterations !== undefined && epochs !== undefined)
    fail('CONTRADICTORY_OPTIONS', 'iterations and epochs are both given; give one of them')
  if (iterations !== undefined)
    return { options: { ...given, iterations: integer(iterations, 'iterations', 1) }, train: data }
  const ends = Number.isFinite(data.rows)
  const size = batchSize(given.batch, usual)
  if (epochs !== undefined) {
    if (!ends)
      fail('CONTRADICTORY_OPTIONS', 'epochs are passes over data that end, and these do not; give iterations')
    const passes = number(epochs, 'epochs', { least: 0, open: true })
    return { options: { ...given, iterations: Math.ceil((passes * data.rows) / size) }, train: data }
  }
  const { share, patience, endless } = untilConverged
  if (!ends) {
    const held = { data, every: endless.every, rows: endless.rows, patience }
    const converging = {
      ...onPlateau,
      ...given,
      iterations: endless.iterations,
      validation: given.validation ? { ...held, ...given.validation } : held
    } as const
    return { options: converging, train: data }
  }
  let train = data
  let held = given.validation?.data
  if (held === undefined && data.rows >= 2) {
    const seed = integer(given.seed ?? 0, 'seed')
    const [rest, tenth] = data.split([1 - share, share], { seed }) as [FeedingDataset, FeedingDataset]
    train = rest
    held = tenth
  }
  const epoch = Math.ceil(train.rows / size)
  const every = Math.max(epoch, 25)
  const converging = {
    ...onPlateau,
    ...given,
    iterations: Math.max(untilConverged.least, untilConverged.epochs * epoch),
    ...(held !== undefined && { validation: { every, patience, ...given.validation, data: held } })
  } as const
  return { options: converging, train }
}

function normalizeBudget(value: unknown): number | false | undefined {
  if (value === undefined || value === false) return value
  return number(value, 'nfeBudget', { least: 0, open: true })
}

export type NormalizedFitOptions<M> = ReturnType<typeof normalizeFitOptions<M>>
