import type { Command } from 'commander'
import { fixedStepMethods, isFixedStep } from '../methods'
import type {
  Activation,
  Block,
  ComputeOptions,
  Conditioning,
  FlowDescription,
  Layer,
  Solver,
  Trace
} from '../options'
import { contextNames } from './context'
import { WrongCall } from './exit'
import { nonNegative, oneOf, positive, positiveInteger, SOLVERS, widths } from './options'

/** The options of `train` that say what flow is trained and how it is solved. */
export interface ArchitectureChoice {
  hidden: number[]
  layer: Layer
  activation: Activation
  residual?: boolean
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
  evalRtol?: number
  evalAtol?: number
  trace: 'auto' | 'exact' | 'hutchinson'
  noise?: 'gaussian' | 'rademacher'
  probes?: number
  traceForm?: 'tangent' | 'vjp'
  gradient: 'checkpoint' | 'adjoint'
  adjointNorm?: 'seminorm' | 'full'
  kinetic?: number
  jacobian?: number
}

const layers = ['ignore', 'concat', 'concat_v2', 'squash', 'concatsquash', 'blend', 'hyper']
const activations = ['tanh', 'softplus', 'elu', 'relu', 'swish', 'square', 'identity']

export function addArchitecture(command: Command): Command {
  return command
    .optionsGroup('Flow:')
    .option('--hidden <widths>', 'hidden layers of the network', widths, [64, 64, 64])
    .addOption(oneOf('--layer <kind>', 'how time enters a layer', layers).default('concatsquash'))
    .addOption(oneOf('--activation <name>', 'between layers', activations).default('tanh'))
    .option('--residual', 'f(z) − z in place of f(z)')
    .option('--blocks <n>', 'CNF blocks', positiveInteger, 1)
    .option('--time <T>', 'end time, its initial value where it is trained', positive, 0.5)
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
    .addOption(oneOf('--solver <method>', 'solver', SOLVERS).default('dopri5'))
    .option('--rtol <x>', 'relative tolerance (default: 1e-5)', nonNegative)
    .option('--atol <x>', 'absolute tolerance (default: 1e-5)', nonNegative)
    .option('--steps <n>', 'steps of a fixed-step solver', positiveInteger)
    .addOption(
      oneOf('--control <kind>', 'one step size for the batch, a tile of rows, or each row', [
        'batch',
        'tile',
        'sample'
      ])
    )
    .addOption(oneOf('--controller <kind>', 'of the step size', ['pi', 'torchdiffeq']))
    .option('--eval-rtol <x>', 'relative tolerance of everything but training', nonNegative)
    .option('--eval-atol <x>', 'absolute tolerance of everything but training', nonNegative)
    .addOption(oneOf('--trace <kind>', 'divergence', ['auto', 'exact', 'hutchinson']).default('auto'))
    .addOption(oneOf('--noise <law>', 'of the Hutchinson estimate', ['rademacher', 'gaussian']))
    .option('--probes <n>', 'of the Hutchinson estimate', positiveInteger)
    .addOption(oneOf('--trace-form <form>', 'of the Hutchinson estimate', ['tangent', 'vjp']))
    .addOption(oneOf('--gradient <method>', 'of a solve', ['checkpoint', 'adjoint']).default('checkpoint'))
    .addOption(oneOf('--adjoint-norm <norm>', 'error norm of the adjoint', ['seminorm', 'full']))
    .option('--kinetic <weight>', 'regularise the kinetic energy of the paths', nonNegative)
    .option('--jacobian <weight>', 'regularise the Jacobian of the field', nonNegative)
}

/** The flow that the options describe, for samples of `shape`; `fixed` are the maps before the dynamics. */
export function describeFlow(
  choice: ArchitectureChoice,
  shape: readonly number[],
  fixed: readonly Block[] = [],
  context?: Conditioning
): FlowDescription {
  const { hidden, layer, activation, residual = false, time, trainTime } = choice
  const blocks: Block[] = []
  if (choice.logit !== undefined) blocks.push({ type: 'logit', alpha: choice.logit })
  blocks.push(...fixed)
  for (let block = 0; block < choice.blocks; block++) {
    blocks.push({ type: 'cnf', time, trainTime, net: { hidden, layer, activation, residual } })
    if (choice.batchNorm) blocks.push({ type: 'batch_norm' })
  }
  return { shape, blocks, ...(context && { context }) }
}

export function describeComputation(choice: ArchitectureChoice): ComputeOptions {
  const { kinetic, jacobian, gradient, adjointNorm } = choice
  if (adjointNorm && gradient !== 'adjoint')
    throw new WrongCall('--adjoint-norm goes with --gradient adjoint')
  const regularize = {
    ...(kinetic !== undefined && { kinetic }),
    ...(jacobian !== undefined && { jacobian })
  }
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
}): Trace | undefined {
  const { trace, noise, probes, traceForm } = choice
  if (trace === 'hutchinson' || (trace === undefined && noise !== undefined)) {
    return { noise: noise ?? 'rademacher', ...(probes && { probes }), ...(traceForm && { form: traceForm }) }
  }
  if (noise || probes || traceForm) {
    throw new WrongCall('--noise, --probes and --trace-form go with --trace hutchinson')
  }
  return trace
}

function describeSolver(choice: ArchitectureChoice): Solver {
  const { solver: method, rtol, atol, steps, control, controller, evalRtol, evalAtol } = choice
  if (isFixedStep(method)) {
    if (rtol ?? atol ?? evalRtol ?? evalAtol ?? control ?? controller) {
      throw new WrongCall(`--solver ${method} takes equal steps: give --steps alone, or an adaptive solver`)
    }
    if (steps === undefined) throw new WrongCall(`--solver ${method} needs --steps`)
    return { method, steps }
  }
  if (steps !== undefined)
    throw new WrongCall(`--steps goes with ${fixedStepMethods.join(', ')}; ${method} takes --rtol and --atol`)
  const tolerances = { ...(rtol !== undefined && { rtol }), ...(atol !== undefined && { atol }) }
  const evaluation = {
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
