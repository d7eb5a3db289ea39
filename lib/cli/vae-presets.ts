import type { Posterior, VaeDescription } from '../index'
import { sizeOf } from '../native/batch'
import { WrongCall } from './exit'

/** Posteriors by name, and what the paper trained them with on each set (Grathwohl et al. 2019, table 2 and appendix B.2). */

export const vaePresetNames = ['mnist', 'omniglot', 'frey', 'caltech'] as const
export type VaePresetName = (typeof vaePresetNames)[number]

export const posteriorNames = [
  'none',
  'planar',
  'iaf',
  'sylvester-orthogonal',
  'sylvester-householder',
  'sylvester-triangular',
  'cnf',
  'cnf_bias',
  'cnf_rank'
] as const
export type PosteriorName = (typeof posteriorNames)[number]

/** Fields of the continuous posteriors, by set. */
const fields = {
  mnist: { hidden: [1024, 1024], activation: 'softplus', blocks: 2, rank: 64 },
  omniglot: { hidden: [512, 512], activation: 'softplus', blocks: 5, rank: 20 },
  frey: { hidden: [512, 512], activation: 'softplus', blocks: 2, rank: 20 },
  caltech: { hidden: [2048], activation: 'tanh', blocks: 1, rank: 20 }
} as const

export interface PosteriorChoice {
  posterior: PosteriorName
  preset?: VaePresetName
  flows?: number
  vectors?: number
  width?: number
  hidden?: number[]
  blocks?: number
  rank?: number
}

/** The sizes of a field that no preset names: an hour's training on a processor. */
const smallField = { hidden: [128, 128], activation: 'softplus', blocks: 1, rank: 20 } as const

/** The posteriors that an option says something of. */
const uses: Record<'flows' | 'vectors' | 'width' | 'hidden' | 'blocks' | 'rank', readonly PosteriorName[]> = {
  flows: ['planar', 'iaf', 'sylvester-orthogonal', 'sylvester-householder', 'sylvester-triangular'],
  vectors: ['sylvester-orthogonal', 'sylvester-householder'],
  width: ['iaf'],
  hidden: ['cnf', 'cnf_bias', 'cnf_rank'],
  blocks: ['cnf', 'cnf_bias', 'cnf_rank'],
  rank: ['cnf_rank']
}

function refuseUseless(choice: PosteriorChoice): void {
  for (const [option, names] of Object.entries(uses))
    if (choice[option as keyof typeof uses] !== undefined && !names.includes(choice.posterior))
      throw new WrongCall(
        `--${option} says nothing of --posterior ${choice.posterior}; it goes with ${names.join(', ')}`
      )
}

export function describePosterior(choice: PosteriorChoice): Posterior {
  refuseUseless(choice)
  const { posterior, preset, flows, vectors, width, hidden, blocks, rank } = choice
  const count = flows === undefined ? {} : { flows }
  switch (posterior) {
    case 'none':
      return { type: 'none' }
    case 'planar':
      return { type: 'planar', ...count }
    case 'iaf':
      return { type: 'iaf', ...count, ...(width !== undefined && { width }) }
    case 'sylvester-orthogonal':
    case 'sylvester-householder':
    case 'sylvester-triangular': {
      const basis = posterior.slice('sylvester-'.length) as 'orthogonal' | 'householder' | 'triangular'
      return { type: 'sylvester', basis, ...count, ...(vectors !== undefined && { vectors }) }
    }
    default: {
      const { rank: standard, ...field } = preset ? fields[preset] : smallField
      return {
        type: posterior,
        ...field,
        ...(hidden !== undefined && { hidden }),
        ...(blocks !== undefined && { blocks }),
        ...(posterior === 'cnf_rank' && { rank: rank ?? standard })
      }
    }
  }
}

/** The likelihood of the sets: Frey faces have 256 levels, the others are black and white. */
export function likelihoodOf(set: string, preset?: VaePresetName): 'bernoulli' | 'categorical' {
  return preset === 'frey' || set === 'freyfaces' ? 'categorical' : 'bernoulli'
}

/**
 * Nets of gated dense layers of so many units, a layer's (W x + b) ⊙ logistic(G x + c), and in reverse behind z; undefined where the paper's
 * convolutions are wanted.
 */
export function denseNets(
  widths: readonly number[] | undefined,
  shape: readonly number[],
  likelihood: 'bernoulli' | 'categorical'
): Pick<VaeDescription, 'encoder' | 'decoder' | 'head'> {
  if (widths === undefined) {
    if (shape.slice(1).some((side) => side % 4 !== 0))
      throw new WrongCall(
        `the paper's convolutions are for images whose sides are multiples of 4, not ${shape.slice(1).join(' × ')}; take dense layers, as --dense 300,300`
      )
    return {}
  }
  const gated = (units: number) => ({ type: 'dense', units, gated: true }) as const
  const classes = likelihood === 'bernoulli' ? 1 : 256
  return {
    encoder: widths.map(gated),
    decoder: [...widths].reverse().map(gated),
    head: [{ type: 'dense', units: classes * sizeOf(shape) }]
  }
}
