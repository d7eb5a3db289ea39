import { checkState } from '../data/dataset-options'
import { checkSchema, type TableSchema } from '../data/schema'
import { choice, integer, isObject, number, object } from '../native/check'
import { FfjordError } from '../native/errors'
import { normalizeSettings } from './normalize-settings'
import type { OptimizerState } from './optimizer'
import type { ComputeOptions } from './options'
import { checkProvenance, type Provenance } from './provenance'
import type { ObjectiveState, ScheduleState, TrainingState } from './training-state'
import { type BudgetState, initialBudgetState } from './training-state'

/** What a model file's metadata holds under `ffjord`; tensors stand beside it. */
export interface ModelMetadata {
  version: 1
  options: ComputeOptions
  /** What the engine used for the divergence of each CNF block in training. */
  traces: string[]
  /** Columns of the table that the flow was trained on. */
  table?: TableSchema
  provenance?: Provenance
  optimizer?: OptimizerState
  training?: Omit<TrainingState, 'best'> & { best?: { validation: number; iteration: number } }
}

/** The metadata as this package wrote it. @throws FfjordError INVALID_FILE on anything else */
export function checkMetadata(path: string, value: unknown): ModelMetadata | undefined {
  if (value === undefined) return undefined
  try {
    if (!isObject(value) || value.version !== 1 || !isObject(value.options))
      throw new Error('unknown version')
    const traces = Array.isArray(value.traces) ? value.traces.map(String) : []
    const options = object(value.options, 'options', ['trace', 'solver', 'gradient', 'regularize'])
    normalizeSettings(options)
    const metadata: ModelMetadata = { version: 1, options, traces }
    if (value.table !== undefined) metadata.table = checkSchema(value.table)
    if (value.provenance !== undefined) metadata.provenance = provenance(value.provenance)
    if (value.optimizer !== undefined) metadata.optimizer = checkOptimizerState(value.optimizer)
    if (value.training !== undefined) metadata.training = trainingState(value.training)
    return metadata
  } catch (cause) {
    const { message } = cause as Error
    throw new FfjordError(
      'INVALID_FILE',
      `${path}: its metadata 'ffjord' is malformed (${message}); write the file again with this version`,
      { cause }
    )
  }
}

export function checkOptimizerState(value: unknown): OptimizerState {
  if (!isObject(value) || !isObject(value.options)) throw new Error('no optimizer options')
  const { options } = value
  const positive = (key: string) => number(options[key], key, { least: 0 })
  const fraction = (key: string) => number(options[key], key, { least: 0, most: 1 - Number.EPSILON })
  return {
    step: integer(value.step, 'step'),
    options: {
      type: choice(options.type, 'type', ['adam', 'adamw', 'adamax', 'sgd']),
      learningRate: positive('learningRate'),
      beta1: fraction('beta1'),
      beta2: fraction('beta2'),
      epsilon: positive('epsilon'),
      momentum: fraction('momentum'),
      weightDecay: positive('weightDecay'),
      clipNorm: positive('clipNorm'),
      averageDecay: fraction('averageDecay')
    }
  }
}

/** A later version may keep more of it. */
function provenance(value: unknown): Provenance {
  if (!isObject(value)) throw new Error('no provenance')
  const { data, rows, iterations, validation, test, date, version } = value
  return checkProvenance({ data, rows, iterations, validation, test, date, version })
}

function objectiveState(value: unknown): ObjectiveState {
  // Older files do not say, as there was no choice
  if (value === undefined) return { type: 'ml', coupling: 'independent', matching: 0 }
  if (!isObject(value)) throw new Error('no objective')
  return {
    type: choice(value.type, 'objective.type', ['ml', 'fm', 'fm+ml']),
    coupling: choice(value.coupling, 'objective.coupling', ['independent', 'optimal']),
    matching: integer(value.matching, 'objective.matching')
  }
}

function budgetState(value: unknown): BudgetState {
  if (!isObject(value) || !Array.isArray(value.blockNfe)) throw new Error('no counts of evaluations')
  const count = (key: string) => number(value[key], key, { least: 0 })
  return {
    counted: integer(value.counted, 'counted'),
    startNfe: count('startNfe'),
    nfe: count('nfe'),
    blockNfe: value.blockNfe.map((one) => number(one, 'blockNfe', { least: 0 })),
    limit: value.limit === null ? Infinity : count('limit')
  }
}

export function checkScheduleState(value: unknown): ScheduleState {
  if (!isObject(value)) throw new Error('no schedule')
  return {
    factor: number(value.factor, 'factor', { least: 0 }),
    // JSON has no infinity: nothing was validated yet
    best: value.best === null ? Infinity : number(value.best, 'best'),
    since: integer(value.since, 'since')
  }
}

function trainingState(value: unknown): ModelMetadata['training'] {
  if (!isObject(value)) throw new Error('no training state')
  const { schedule, best } = value
  const state: ModelMetadata['training'] = {
    iteration: integer(value.iteration, 'iteration'),
    skipped: integer(value.skipped, 'skipped'),
    seconds: number(value.seconds, 'seconds', { least: 0 }),
    data: checkState(value.data),
    objective: objectiveState(value.objective),
    schedule: checkScheduleState(schedule),
    evaluations: value.evaluations === undefined ? initialBudgetState() : budgetState(value.evaluations)
  }
  if (value.heldOut !== undefined) state.heldOut = checkState(value.heldOut)
  if (value.validation !== undefined) state.validation = number(value.validation, 'validation')
  if (isObject(best))
    state.best = {
      validation: number(best.validation, 'best.validation'),
      iteration: integer(best.iteration, 'best.iteration')
    }
  return state
}
