import type { Posterior } from '../index'

/** Posteriors by name. */

export const posteriorNames = [
  'none',
  'planar',
  'iaf',
  'sylvester-orthogonal',
  'sylvester-householder',
  'sylvester-triangular'
] as const
export type PosteriorName = (typeof posteriorNames)[number]

export interface PosteriorChoice {
  posterior: PosteriorName
  flows?: number
  vectors?: number
  width?: number
}

export function describePosterior(choice: PosteriorChoice): Posterior {
  const { posterior, flows, vectors, width } = choice
  const count = flows === undefined ? {} : { flows }
  switch (posterior) {
    case 'none':
      return { type: 'none' }
    case 'planar':
      return { type: 'planar', ...count }
    case 'iaf':
      return { type: 'iaf', ...count, ...(width !== undefined && { width }) }
    default: {
      const basis = posterior.slice('sylvester-'.length) as 'orthogonal' | 'householder' | 'triangular'
      return { type: 'sylvester', basis, ...count, ...(vectors !== undefined && { vectors }) }
    }
  }
}
