import { checkState } from '../data/dataset-options'
import { checkSchema, type TableSchema } from '../data/schema'
import { choice, integer, isObject, number, object } from '../native/check'
import { normalizeSettings } from './normalize-settings'
import type { ComputeOptions } from './options'
import { checkMetadata, checkStateMetadata, type StateMetadata } from './state-metadata'
import {
  type BudgetState,
  initialBudgetState,
  type ObjectiveState,
  type TrainingState
} from './training-state'

/** What a flow's model file holds under `ffjord`. */
export interface ModelMetadata extends StateMetadata<TrainingState> {
  version: 1
  options: ComputeOptions
  /** What the engine used for the divergence of each CNF block in training. */
  traces: string[]
  /** Columns of the table that the flow was trained on. */
  table?: TableSchema
}

export function checkFlowMetadata(path: string, value: unknown): ModelMetadata | undefined {
  return checkMetadata(path, value, (given, asked): ModelMetadata => {
    const options = object(asked, 'options', ['trace', 'solver', 'gradient', 'regularize'])
    normalizeSettings(options)
    return {
      version: 1,
      options,
      traces: Array.isArray(given.traces) ? given.traces.map(String) : [],
      ...(given.table !== undefined && { table: checkSchema(given.table) }),
      ...checkStateMetadata<TrainingState>(given, ({ objective, evaluations, heldOut }) => ({
        objective: objectiveState(objective),
        evaluations: evaluations === undefined ? initialBudgetState() : budgetState(evaluations),
        ...(heldOut !== undefined && { heldOut: checkState(heldOut) })
      }))
    }
  })
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
