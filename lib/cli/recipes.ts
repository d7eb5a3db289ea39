import { ImageDataset } from '../data/image-dataset'
import { ArrayDataset, type Dataset, type FitOptions, type FlowOptions, LawDataset } from '../index'
import { sizeOf } from '../native/batch'
import { isFixedStep } from '../native/methods'
import { describeComputation, describeFlow } from './architecture'
import { isToy } from './data'
import { imageRecipe } from './image-presets'
import type { Recipe } from './recipe'
import { describeObjective, describeOptimizer, describeSchedule } from './training-options'

const common = {
  layer: 'concat',
  activation: 'tanh',
  blocks: 1,
  time: 0.5,
  trainTime: true,
  trace: 'auto',
  solver: 'dopri5',
  gradient: 'checkpoint',
  optimizer: 'adam',
  schedule: 'cosine',
  warmup: 100,
  validateEvery: 200
} satisfies Partial<Recipe>

/**
 * The toy densities. Three hidden layers of 64 as in FFJORD's published program, without gates; two layers do not separate
 * the rings.
 *
 * Each row takes its own steps of the third-order method at a loose tolerance: 22 evaluations a row on the checkerboard, where
 * dopri5 at 1e-3 with one step a batch took 80 to the same gap. Flow matching first costs next to nothing and puts the mass
 * where it belongs: on the rings the gap is 0.09 after 750 iterations of maximum likelihood that follow it, and 0.33 after
 * 3000 without. A larger learning rate or smaller batches for longer were no better (bench/results/toys-search.md).
 */
export const toyRecipe: Recipe = {
  ...common,
  hidden: [64, 64, 64],
  solver: 'bosh3',
  control: 'sample',
  rtol: 1e-2,
  atol: 1e-2,
  evalSolver: 'dopri5',
  evalRtol: 1e-5,
  evalAtol: 1e-5,
  objective: 'fm+ml',
  matching: 1500,
  batch: 512,
  iterations: 5000,
  lr: 1e-2,
  validationRows: 5000
}

/** What `ffjord demo` trains: the toy densities' recipe, cut short. */
export const demoRecipe: Recipe = { ...toyRecipe, matching: 500, iterations: 2000 }

/** Pictures, which are densities on the plane too. */
export const pictureRecipe: Recipe = toyRecipe

/**
 * Tables: a net that grows with the columns, whose exact trace has a closed form (two ungated hidden layers), after
 * whitening; a cosine that ends at 0, an end where validation no longer gets better, and the weights of its best.
 */
export function tableRecipe(columns: number, rows: number): Recipe {
  const hidden = columns <= 8 ? 64 : columns <= 24 ? 128 : 192
  return {
    ...common,
    hidden: [hidden, hidden],
    blocks: columns <= 2 ? 1 : 2,
    scale: 'whiten',
    rtol: 1e-4,
    atol: 1e-4,
    evalRtol: 1e-5,
    evalAtol: 1e-5,
    batch: Math.min(512, Math.max(32, 2 ** Math.round(Math.log2(rows / 8)))),
    iterations: 4000,
    lr: 5e-3,
    clip: 10,
    validateEvery: 100,
    validationRows: 5000,
    stopAfter: 15,
    keepBest: true
  }
}

/** Samples that are no rows of numbers, such as images: the published program's net, and a careful learning rate. */
export const arrayRecipe: Recipe = {
  ...common,
  hidden: [64, 64, 64],
  layer: 'concatsquash',
  batch: 512,
  iterations: 2000,
  lr: 1e-3,
  schedule: 'constant',
  warmup: 0
}

/** The recipe of the rows that a run trains on. */
export function recipeFor(name: string, seen: Dataset): Recipe {
  if (seen instanceof LawDataset) return isToy(name) ? toyRecipe : pictureRecipe
  if (seen instanceof ImageDataset) return imageRecipe(seen.shape)
  if (seen instanceof ArrayDataset && seen.shape.length === 1)
    return tableRecipe(sizeOf(seen.shape), seen.rows)
  return arrayRecipe
}

/**
 * A recipe under what the user chose: that comes first, and what it makes meaningless goes. Tolerances of evaluation are
 * not looser than those that were asked for in training.
 */
export function followed<Choice extends Partial<Recipe>>(recipe: Recipe, chosen: Choice): Choice & Recipe {
  const rest: Partial<Recipe> = { ...recipe }
  const drop = (...keys: (keyof Recipe)[]) => {
    for (const key of keys) delete rest[key]
  }
  if (chosen.solver) drop('evalSolver')
  if (chosen.solver && isFixedStep(chosen.solver)) drop('rtol', 'atol', 'evalRtol', 'evalAtol', 'control')
  if (chosen.layer === 'hyper' || chosen.gradient === 'adjoint') drop('control')
  if (chosen.controller === 'torchdiffeq') {
    drop('control', 'evalSolver')
    rest.solver = 'dopri5'
  }
  // Its gradients are as exact as its solves, where those by checkpoints are exact for any.
  if (chosen.gradient === 'adjoint') Object.assign(rest, { rtol: rest.evalRtol, atol: rest.evalAtol })
  if (chosen.schedule) drop('warmup', 'decay', 'patience', 'finalLr')
  if (chosen.objective || chosen.layer === 'hyper' || chosen.batchNorm)
    drop('objective', 'matching', 'coupling')
  if (rest.matching !== undefined && chosen.iterations !== undefined)
    rest.matching = Math.max(1, Math.round((rest.matching * chosen.iterations) / recipe.iterations))
  if (chosen.standardize) drop('scale')
  if (chosen.contextGates) rest.layer = 'concatsquash'
  for (const [training, evaluation] of [
    ['rtol', 'evalRtol'],
    ['atol', 'evalAtol']
  ] as const)
    if (chosen[training] !== undefined && rest[evaluation] !== undefined)
      rest[evaluation] = Math.min(rest[evaluation], chosen[training])
  return { ...rest, ...chosen } as Choice & Recipe
}

/** The recipe as the API takes it, for samples of `shape`. */
export function optionsOf(recipe: Recipe, shape: readonly number[] = [2]) {
  return {
    flow: { ...describeFlow(recipe, shape), ...describeComputation(recipe) } satisfies FlowOptions,
    fit: {
      iterations: recipe.iterations,
      objective: describeObjective(recipe),
      batch: recipe.batch,
      optimizer: describeOptimizer(recipe),
      schedule: describeSchedule(recipe)
    } satisfies FitOptions
  }
}

/** What `train` does by default, for its help. */
export function recipesInWords(): string {
  return [
    'Defaults, by what --data names; every option that is given comes first:',
    described('a toy density', toyRecipe),
    described('a picture', pictureRecipe),
    described('a table, here of 10 columns and 10,000 rows', tableRecipe(10, 10_000)),
    '    wider (--hidden) from 9 and from 25 columns on, one block up to 2 columns, smaller batches below 4,096 rows',
    described('images, here of 28 × 28', imageRecipe([1, 28, 28])),
    described('other samples that are no rows of numbers', arrayRecipe),
    '  --preset NAME: as in the paper.'
  ].join('\n')
}

/** 'a toy density:' and the options that say the same. */
export function described(data: string, recipe: Recipe): string {
  const lines = ['']
  for (const [key, value] of Object.entries(recipe)) {
    const name = `--${value === false ? 'no-' : ''}${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    const option = typeof value === 'boolean' ? name : `${name} ${value}`
    if (`${lines.at(-1)} ${option}`.length > 100) lines.push('')
    lines[lines.length - 1] += ` ${option}`
  }
  return [`  ${data}:`, ...lines.map((line) => `   ${line}`)].join('\n')
}
