import { boolean, choice, fail, integer, number, object } from '../native/check'
import { LawDataset } from './law-dataset'
import { curve, laws } from './toy-laws'

/** Two-dimensional densities that flows are tried on. */
export type ToyName =
  | 'swissroll'
  | '8gaussians'
  | 'pinwheel'
  | 'circles'
  | 'moons'
  | '2spirals'
  | 'checkerboard'
  | 'rings'
  | 'line'
  | 'cos'

export const toyNames: readonly ToyName[] = [
  'swissroll',
  '8gaussians',
  'pinwheel',
  'circles',
  'moons',
  '2spirals',
  'checkerboard',
  'rings',
  'line',
  'cos'
]

export interface ToyOptions {
  /** Default: 0. */
  seed?: number
  /** Spread each batch evenly over angles and arms, as the reference implementation does. Default: false. */
  reference?: boolean
  /** Standard deviation of y about the curves 'line' and 'cos'; 0 leaves no density. Default: 0.1. */
  noise?: number
}

/** Fresh rows without end from the density `name`; the seed and the place decide them. */
export function toy(name: ToyName, given: ToyOptions = {}): LawDataset {
  choice(name, 'toy name', toyNames)
  const options = object(given, 'toy options', ['seed', 'reference', 'noise'])
  const isCurve = name === 'line' || name === 'cos'
  if (options.noise !== undefined && !isCurve)
    fail('CONTRADICTORY_OPTIONS', `noise belongs to 'line' and 'cos'; ${name} has its own`)
  const law = isCurve
    ? curve(
        name === 'line' ? (x) => x : (x) => 2.5 * Math.sin(x),
        number(options.noise ?? 0.1, 'noise', { least: 0 })
      )
    : laws[name]
  return new LawDataset(
    name,
    law,
    integer(options.seed ?? 0, 'seed'),
    boolean(options.reference ?? false, 'reference')
  )
}
