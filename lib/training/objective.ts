import type { Coupling, ObjectiveState } from '../flow/training-state'
import { choice, fail, integer, isObject, object, show } from '../native/check'

/**
 * What is minimised. 'ml': −mean log p plus regularisers. 'fm': flow matching on straight lines from data to base
 * points (Lipman et al. 2023), without a solve, so an iteration is cheap; densities and samples are computed as ever,
 * and end times stay as they are. 'fm+ml': flow matching first, then maximum likelihood.
 * Default: 'ml', couplings 'independent'; `matching`, the iterations of flow matching of 'fm+ml': four fifths of all.
 */
export type Objective =
  | 'ml'
  | 'fm'
  | 'fm+ml'
  | { type: 'ml' }
  | { type: 'fm'; coupling?: Coupling }
  | { type: 'fm+ml'; coupling?: Coupling; matching?: number }

export type Phase = 'fm' | 'ml'

const types = ['ml', 'fm', 'fm+ml'] as const

export function normalizeObjective(value: unknown, iterations: number): ObjectiveState {
  if (typeof value === 'string')
    return normalizeObjective({ type: choice(value, 'objective', types) }, iterations)
  if (!isObject(value)) fail('INVALID_OPTION', `objective is ${show(value)}; give 'ml', 'fm' or 'fm+ml'`)
  const type = choice(value.type, 'objective.type', types)
  const own: readonly string[] = { ml: [], fm: ['coupling'], 'fm+ml': ['coupling', 'matching'] }[type]
  for (const key of ['coupling', 'matching'])
    if (value[key] !== undefined && !own.includes(key))
      fail('CONTRADICTORY_OPTIONS', `objective.${key} has no meaning with '${type}'; drop it, or use 'fm+ml'`)
  const given = object(value, 'objective', ['type', ...own])
  return {
    type,
    coupling: choice(given.coupling ?? 'independent', 'objective.coupling', ['independent', 'optimal']),
    matching:
      type === 'fm+ml' ? integer(given.matching ?? Math.round(0.8 * iterations), 'objective.matching', 1) : 0
  }
}

export function phaseOf({ type, matching }: ObjectiveState, iteration: number): Phase {
  return type === 'fm' || (type === 'fm+ml' && iteration < matching) ? 'fm' : 'ml'
}
