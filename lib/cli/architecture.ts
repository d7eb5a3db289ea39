import type { Command } from 'commander'
import { multiscale } from '../flow/multiscale'
import { activations, layers } from '../flow/normalize'
import type {
  Activation,
  Block,
  ComputeOptions,
  Conditioning,
  FlowDescription,
  Layer,
  Net,
  Solver,
  Stride,
  Trace
} from '../flow/options'
import { type AdaptiveMethod, adaptiveMethods, fixedStepMethods, isFixedStep } from '../native/methods'
import { integrand, type Regulariser, regularisers } from '../native/regularisers'
import { contextNames } from './context'
import { WrongCall } from './exit'
import {
  nonNegative,
  oneOf,
  positive,
  positiveInteger,
  SOLVERS,
  strides,
  wholeNumber,
  widths
} from './options'

/** The options of `train` that say what flow is trained and how it is solved. */
export interface ArchitectureChoice extends RegularizeChoice {
  hidden: number[]
  layer: Layer
  activation: Activation
  residual?: boolean
  strides?: Stride[]
  parallel?: number
  zeroLast?: boolean
  multiscale?: boolean
  squeezeFirst?: boolean
  spectralNorm?: number
  steer?: number
  blocks: number
  time: number
  trainTime: boolean
  batchNorm?: boolean
  logit?: number
  standardize?: boolean
  context?: string[]
  contextGates?: boolean
  scale?: 'whiten' | 'standardize' | 'none'
  solver: (typeof SOLVERS)[number]
  rtol?: number
  atol?: number
  steps?: number
  control?: 'batch' | 'tile' | 'sample'
  controller?: 'pi' | 'torchdiffeq'
  evalSolver?: AdaptiveMethod
  evalRtol?: number
  evalAtol?: number
  trace: 'auto' | 'exact' | 'hutchinson'
  noise?: 'gaussian' | 'rademacher'
  probes?: number
  traceForm?: 'tangent' | 'vjp'
  bottleneck?: boolean
  lattice?: number
  gradient: 'checkpoint' | 'adjoint'
  adjointNorm?: 'seminorm' | 'full'
}

/** A weight under each regulariser's name. */
type RegularizeChoice = { [name in Regulariser]?: number }

export function addArchitecture(command: Command): Command {
  command
    .optionsGroup('Flow:')
    .option('--hidden <widths>', 'hidden layers of the network', widths)
    .addOption(oneOf('--layer <kind>', 'how time enters a layer', layers))
    .addOption(oneOf('--activation <name>', 'between layers', activations))
    .option('--residual', 'f(z) − z in place of f(z)')
    .option(
      '--strides <numbers>',
      'convolutions, one a layer: 1 (3×3), 0 (1×1), 2 (4×4, halves), -2 (4×4 transposed, doubles)',
      strides
    )
    .option(
      '--parallel <n>',
      'so many convolutional nets, each on the image squeezed once more',
      positiveInteger
    )
    .option('--zero-last', 'the last layer starts with weights of zero')
    .option('--multiscale', 'squeeze and split images between blocks, of which --blocks stand at each place')
    .option('--squeeze-first', 'with --multiscale: squeeze the image before everything')
    .option(
      '--spectral-norm <n>',
      'divide weights by their norm, by so many power iterations a step',
      wholeNumber
    )
    .option('--blocks <n>', 'CNF blocks', positiveInteger)
    .option('--time <T>', 'end time, its initial value where it is trained', positive)
    .option('--train-time', 'train the end time')
    .option('--no-train-time', 'keep the end time fixed')
    .option('--batch-norm', 'moving batch norm after every block')
    .option('--logit <alpha>', 'first map data in [0, 1] through a logit', nonNegative)
    .addOption(
      oneOf('--scale <how>', 'first bring the columns of a table to covariance 1, or deviation 1', [
        'whiten',
        'standardize',
        'none'
      ])
    )
    .option('--standardize', 'the same as --scale standardize')
    .option('--context <columns>', 'learn the density of the other columns, given these', contextNames)
    .option('--context-gates', 'let the context move the gates of hidden layers too')
    .optionsGroup('Solver:')
    .addOption(oneOf('--solver <method>', 'solver', SOLVERS))
    .option('--rtol <x>', 'relative tolerance', nonNegative)
    .option('--atol <x>', 'absolute tolerance', nonNegative)
    .option('--steps <n>', 'steps of a fixed-step solver', positiveInteger)
    .addOption(
      oneOf('--control <kind>', 'in training: one step size for the batch, a tile of rows, or each row', [
        'batch',
        'tile',
        'sample'
      ])
    )
    .addOption(oneOf('--controller <kind>', 'of the step size in training', ['pi', 'torchdiffeq']))
    .addOption(oneOf('--eval-solver <method>', 'solver of everything but training', adaptiveMethods))
    .option('--eval-rtol <x>', 'relative tolerance of everything but training', nonNegative)
    .option('--eval-atol <x>', 'absolute tolerance of everything but training', nonNegative)
    .addOption(oneOf('--trace <kind>', 'divergence', ['auto', 'exact', 'hutchinson']))
    .addOption(oneOf('--noise <law>', 'of the Hutchinson estimate', ['rademacher', 'gaussian']))
    .option('--probes <n>', 'of the Hutchinson estimate', positiveInteger)
    .addOption(oneOf('--trace-form <form>', 'of the Hutchinson estimate', ['tangent', 'vjp']))
    .option('--bottleneck', "estimate with noise of the narrowest hidden layer's width")
    .option('--lattice <spacing>', 'cut the noise of images to lattices of this spacing', positiveInteger)
    .addOption(oneOf('--gradient <method>', 'of a solve', ['checkpoint', 'adjoint']))
    .addOption(oneOf('--adjoint-norm <norm>', 'error norm of the adjoint', ['seminorm', 'full']))
    .optionsGroup('Regularisers (weights in the loss of integrals along the paths; 0 only tracks):')
  for (const name of regularisers) command.option(`--${name} <weight>`, integrand(name), nonNegative)
  command.option('--steer <share>', 'random end times, uniform in T ± share · T (STEER)', nonNegative)
  return command
}

/** The flow that the options describe, for samples of `shape`; `fixed` are the maps before the dynamics. */
export function describeFlow(
  choice: ArchitectureChoice,
  shape: readonly number[],
  fixed: readonly Block[] = [],
  context?: Conditioning
): FlowDescription {
  const { time, trainTime } = choice
  const net = describeNet(choice)
  if (choice.multiscale) {
    if (choice.batchNorm || choice.parallel || fixed.length > 0)
      throw new WrongCall('--multiscale goes without --batch-norm, --parallel, --standardize and --scale')
    const input = choice.logit === undefined ? {} : { input: { type: 'logit', alpha: choice.logit } as const }
    const squeezeFirst = choice.squeezeFirst ?? false
    const blocks = multiscale({
      shape,
      ...net,
      blocks: choice.blocks,
      time,
      trainTime,
      squeezeFirst,
      ...input
    })
    return { shape, blocks, ...(context && { context }) }
  }
  if (choice.squeezeFirst) throw new WrongCall('--squeeze-first goes with --multiscale')
  const blocks: Block[] = []
  if (choice.logit !== undefined) blocks.push({ type: 'logit', alpha: choice.logit })
  blocks.push(...fixed)
  for (let block = 0; block < choice.blocks; block++) {
    blocks.push({ type: 'cnf', time, trainTime, net })
    if (choice.batchNorm) blocks.push({ type: 'batch_norm' })
  }
  return { shape, blocks, ...(context && { context }) }
}

function describeNet(choice: ArchitectureChoice): Net {
  const {
    hidden,
    layer,
    activation,
    residual = false,
    spectralNorm = 0,
    strides,
    parallel,
    zeroLast
  } = choice
  const convolutional =
    parallel !== undefined && !strides ? [...hidden.map(() => 1 as const), 1 as const] : strides
  return {
    hidden,
    layer,
    activation,
    residual,
    spectralNorm,
    ...(convolutional && { strides: convolutional }),
    ...(parallel !== undefined && { parallel }),
    ...(zeroLast && { zeroLast })
  }
}

export function describeComputation(choice: ArchitectureChoice): ComputeOptions {
  const { gradient, adjointNorm } = choice
  if (adjointNorm && gradient !== 'adjoint')
    throw new WrongCall('--adjoint-norm goes with --gradient adjoint')
  const regularize = Object.fromEntries(
    ([...regularisers, 'steer'] as const).flatMap((name) =>
      choice[name] === undefined ? [] : [[name, choice[name]]]
    )
  )
  return {
    trace: describeTrace(choice)!,
    solver: describeSolver(choice),
    gradient: adjointNorm ? { method: 'adjoint', norm: adjointNorm } : gradient,
    ...(Object.keys(regularize).length > 0 && { regularize })
  }
}

/** The trace that the options name; undefined where they name none. */
export function describeTrace(choice: {
  trace?: ArchitectureChoice['trace']
  noise?: ArchitectureChoice['noise']
  probes?: number
  traceForm?: ArchitectureChoice['traceForm']
  bottleneck?: boolean
  lattice?: number
}): Trace | undefined {
  const { trace, noise, probes, traceForm, bottleneck, lattice } = choice
  if (trace === 'hutchinson' || (trace === undefined && noise !== undefined)) {
    return {
      noise: noise ?? 'rademacher',
      ...(probes && { probes }),
      ...(traceForm && { form: traceForm }),
      ...(bottleneck && { bottleneck }),
      ...(lattice && { lattice })
    }
  }
  if (noise || probes || traceForm || bottleneck || lattice) {
    throw new WrongCall(
      '--noise, --probes, --trace-form, --bottleneck and --lattice go with --trace hutchinson'
    )
  }
  return trace
}

function describeSolver(choice: ArchitectureChoice): Solver {
  const { solver: method, rtol, atol, steps, control, controller, evalSolver, evalRtol, evalAtol } = choice
  if (isFixedStep(method)) {
    if (rtol ?? atol ?? evalSolver ?? evalRtol ?? evalAtol ?? control ?? controller) {
      throw new WrongCall(`--solver ${method} takes equal steps: give --steps alone, or an adaptive solver`)
    }
    if (steps === undefined) throw new WrongCall(`--solver ${method} needs --steps`)
    return { method, steps }
  }
  if (steps !== undefined)
    throw new WrongCall(`--steps goes with ${fixedStepMethods.join(', ')}; ${method} takes --rtol and --atol`)
  const tolerances = { ...(rtol !== undefined && { rtol }), ...(atol !== undefined && { atol }) }
  const evaluation = {
    ...(evalSolver && { method: evalSolver }),
    ...(evalRtol !== undefined && { rtol: evalRtol }),
    ...(evalAtol !== undefined && { atol: evalAtol })
  }
  const evaluationOption = Object.keys(evaluation).length > 0 ? { evaluation } : {}
  if (controller === 'torchdiffeq') {
    if (method !== 'dopri5' || (control ?? 'batch') !== 'batch') {
      throw new WrongCall('--controller torchdiffeq goes with --solver dopri5 and --control batch')
    }
    return { method, ...tolerances, controller, ...evaluationOption }
  }
  return { method, ...tolerances, ...(control && { control }), ...evaluationOption }
}
