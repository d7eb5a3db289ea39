import type { ScheduleState } from '../flow/training-state'
import { choice, fail, integer, isObject, list, number, object, show } from '../native/check'

/**
 * Learning rate by iteration, as a factor of the optimizer's; `warmup` iterations lead up to it. Default: 'constant', warmup 0, final 0, least 0.
 */
export type Schedule =
  | { type: 'constant'; warmup?: number }
  /** Times `factor` after every `every` iterations, or at each of `at`. */
  | { type: 'step'; factor: number; every: number; warmup?: number }
  | { type: 'step'; factor: number; at: readonly number[]; warmup?: number }
  /** Half a cosine from 1 to `final` over all iterations. */
  | { type: 'cosine'; final?: number; warmup?: number }
  /** Times `factor` after `patience` validations in a row without improvement, but not below `least`. */
  | { type: 'plateau'; factor: number; patience: number; least?: number; warmup?: number }

export const initialScheduleState = (): ScheduleState => ({ factor: 1, best: Infinity, since: 0 })

const ownKeys = {
  constant: [],
  cosine: ['final'],
  step: ['factor', 'every', 'at'],
  plateau: ['factor', 'patience', 'least']
} as const

export function normalizeSchedule(value: unknown = { type: 'constant' }): Schedule {
  if (!isObject(value))
    fail('INVALID_OPTION', `schedule is ${show(value)}; give an object like { type: 'cosine' }`)
  const type = choice(value.type, 'schedule.type', ['constant', 'step', 'cosine', 'plateau'])
  const given = object(value, 'schedule', ['type', 'warmup', ...ownKeys[type]])
  const warmup = integer(given.warmup ?? 0, 'schedule.warmup')
  switch (type) {
    case 'constant':
      return { type, warmup }
    case 'cosine':
      return { type, final: number(given.final ?? 0, 'schedule.final', { least: 0 }), warmup }
    case 'step': {
      const factor = number(given.factor, 'schedule.factor', { least: 0, open: true })
      if ((given.every === undefined) === (given.at === undefined))
        fail('CONTRADICTORY_OPTIONS', 'schedule needs either every or at; give one of them')
      if (given.every !== undefined)
        return { type, factor, every: integer(given.every, 'schedule.every', 1), warmup }
      const at = list(given.at, 'schedule.at', 'a list of iterations')
      return { type, factor, at: at.map((one, i) => integer(one, `schedule.at[${i}]`)), warmup }
    }
    case 'plateau':
      return {
        type,
        factor: number(given.factor, 'schedule.factor', { least: 0, open: true }),
        patience: integer(given.patience, 'schedule.patience', 1),
        least: number(given.least ?? 0, 'schedule.least', { least: 0 }),
        warmup
      }
  }
}

/** Factor of iteration number `iteration`, counted from 0, of `iterations`. Warm-up is linear, as in FFJORD. */
export function scheduleFactor(
  schedule: Schedule,
  iteration: number,
  iterations: number,
  state: ScheduleState
): number {
  const warmup = schedule.warmup ?? 0
  const ramp = iteration < warmup ? (iteration + 1) / warmup : 1
  switch (schedule.type) {
    case 'constant':
      return ramp
    case 'step': {
      const drops =
        'every' in schedule
          ? Math.floor(iteration / schedule.every)
          : schedule.at.filter((at) => iteration >= at).length
      const grown = schedule.factor ** drops
      if (!Number.isFinite(grown))
        fail(
          'INVALID_OPTION',
          `schedule.factor of ${schedule.factor} makes no learning rate after ${drops} steps; give one of at most 1`
        )
      return ramp * grown
    }
    case 'cosine': {
      const final = schedule.final ?? 0
      const progress = Math.max(0, iteration - warmup) / Math.max(1, iterations - warmup)
      return ramp * (final + ((1 - final) * (1 + Math.cos(Math.PI * Math.min(1, progress)))) / 2)
    }
    case 'plateau':
      return ramp * state.factor
  }
}

/** The state after a validation loss. */
export function afterValidation(schedule: Schedule, state: ScheduleState, validation: number): ScheduleState {
  if (validation < state.best) return { ...state, best: validation, since: 0 }
  if (schedule.type !== 'plateau') return { ...state, since: state.since + 1 }
  const since = state.since + 1
  if (since % schedule.patience !== 0) return { ...state, since }
  return { factor: Math.max(state.factor * schedule.factor, schedule.least ?? 0), best: state.best, since }
}
