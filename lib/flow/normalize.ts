import { boolean, choice, fail, integer, isObject, list, number, object, show } from '../native/check'
import type {
  NativeBlock,
  NativeConvolution,
  NativeDescription,
  NativeOptimizer,
  NativeSettings
} from '../native/interface'
import { adaptiveMethods, fixedStepMethods, isFixedStep } from '../native/methods'
import { regularisers } from '../native/regularisers'
import { normalizeContext } from './context'
import { largestFloat, smallestNormal } from './impossible'
import type { ComputeOptions, FlowDescription } from './options'

/** Checks what users pass, fills in defaults, and hands the binding complete plain data. */

export const layers = [
  'ignore',
  'concat',
  'concat_v2',
  'concatcoord',
  'squash',
  'concatsquash',
  'blend',
  'hyper'
] as const
export const activations = ['tanh', 'softplus', 'elu', 'relu', 'swish', 'square', 'identity'] as const
const methods = [...adaptiveMethods, ...fixedStepMethods]
const blockTypes = [
  'cnf',
  'batch_norm',
  'logit',
  'zero_mean',
  'standardize',
  'support',
  'whiten',
  'squeeze',
  'split'
] as const

/** Settings of training, and those of everything else. */
export interface NormalizedSettings {
  training: NativeSettings
  evaluation: NativeSettings
}

export function normalizeDescription(value: FlowDescription): NativeDescription {
  const shape = integers(value.shape, 'shape', 1)
  if (shape.length !== 1 && shape.length !== 3)
    fail(
      'INVALID_SHAPE',
      `shape is [${shape}]; give [D] for vectors, or [channels, height, width] for images`
    )
  const given = list(value.blocks, 'blocks', 'a list of at least one block')
  if (given.length === 0) fail('INVALID_OPTION', 'blocks is []; give a list of at least one block')
  const blocks: NativeBlock[] = []
  for (const [i, block] of given.entries())
    blocks.push(
      normalizeBlock(block, `blocks[${i}]`, blocks.every(({ type }) => isFixed(type)) ? float64 : float32)
    )
  if (value.context === undefined) return { shape, blocks }
  return { shape, blocks, context: normalizeContext(value.context) }
}

/** Sizes that a number may have whose inverse is one, too. */
interface Range {
  least: number
  most: number
}
const float32: Range = { least: smallestNormal, most: largestFloat }
const float64: Range = { least: 2 ** -1022, most: Number.MAX_VALUE }

/** Whether a block has no weights. Those that a flow begins with are computed in float64. */
function isFixed(type: NativeBlock['type']): boolean {
  return type !== 'cnf' && type !== 'batch_norm' && type !== 'split'
}

function normalizeBlock(value: unknown, name: string, range: Range): NativeBlock {
  if (!isObject(value)) fail('INVALID_OPTION', `${name} is ${show(value)}; give an object with a type`)
  const type = choice(value.type, `${name}.type`, blockTypes)
  switch (type) {
    case 'cnf': {
      const block = object(value, name, ['type', 'time', 'trainTime', 'net'])
      return {
        type,
        time: number(block.time ?? 0.5, `${name}.time`, float32),
        trainTime: boolean(block.trainTime ?? false, `${name}.trainTime`),
        net: normalizeNet(block.net, `${name}.net`)
      }
    }
    case 'batch_norm': {
      const block = object(value, name, ['type', 'lag'])
      const lag = number(block.lag ?? 0, `${name}.lag`, { least: 0, most: 1 })
      if (lag === 1) fail('INVALID_OPTION', `${name}.lag is 1; give a number in [0, 1)`)
      return { type, lag }
    }
    case 'logit': {
      const block = object(value, name, ['type', 'alpha'])
      const alpha = number(block.alpha ?? 1e-6, `${name}.alpha`, { least: 0, most: 0.5 })
      if (Math.fround(alpha) === 0.5)
        fail('INVALID_OPTION', `${name}.alpha is ${alpha}, which maps all x to 0; give a number in [0, 0.5)`)
      return { type, alpha }
    }
    case 'standardize': {
      const block = object(value, name, ['type', 'mean', 'scale'])
      const scale = list(block.scale, `${name}.scale`, 'an array of numbers').map((one, i) =>
        number(one, `${name}.scale[${i}]`, range)
      )
      return { type, mean: numbers(block.mean, `${name}.mean`, range), scale }
    }
    case 'support': {
      const block = object(value, name, ['type', 'lower', 'upper'])
      const [lower, upper] = [ends(block.lower, `${name}.lower`), ends(block.upper, `${name}.upper`)]
      lower.forEach((from, i) => {
        checkWidth(from, upper[i], `${name}.upper[${i}]`, range)
      })
      return { type, lower, upper }
    }
    case 'whiten': {
      const block = object(value, name, ['type', 'mean', 'matrix'])
      return {
        type,
        mean: numbers(block.mean, `${name}.mean`, range),
        matrix: checkDiagonal(numbers(block.matrix, `${name}.matrix`, range), `${name}.matrix`, range)
      }
    }
    default:
      object(value, name, ['type'])
      return { type }
  }
}

function normalizeNet(value: unknown, name: string) {
  const net = object(value, name, [
    'hidden',
    'layer',
    'activation',
    'residual',
    'strides',
    'parallel',
    'zeroLast',
    'spectralNorm'
  ])
  return {
    hidden: integers(net.hidden, `${name}.hidden`, 1),
    layer: choice(net.layer ?? 'concatsquash', `${name}.layer`, layers),
    activation: choice(net.activation ?? 'tanh', `${name}.activation`, activations),
    residual: boolean(net.residual ?? false, `${name}.residual`),
    strides:
      net.strides === undefined
        ? []
        : list(net.strides, `${name}.strides`, 'one entry a layer').map((stride, l) =>
            normalizeStride(stride, `${name}.strides[${l}]`)
          ),
    parallel: integer(net.parallel ?? 1, `${name}.parallel`, 1, 16),
    zeroLast: boolean(net.zeroLast ?? false, `${name}.zeroLast`),
    spectralNorm: integer(net.spectralNorm ?? 0, `${name}.spectralNorm`, 0, 1000)
  }
}

/** A number of the published code, which the core knows, or a geometry with its defaults. */
function normalizeStride(value: unknown, name: string): number | NativeConvolution {
  if (!isObject(value)) {
    if (typeof value === 'number' && [-2, 0, 1, 2].includes(value)) return value
    fail('INVALID_OPTION', `${name} is ${show(value)}; give 1, 0, 2, -2 or { kernel, stride, padding }`)
  }
  const one = object(value, name, ['kernel', 'stride', 'padding', 'outputPadding', 'transposed'])
  const sides =
    typeof one.kernel === 'number'
      ? [one.kernel, one.kernel]
      : list(one.kernel, `${name}.kernel`, 'a number, or its height and width')
  if (sides.length !== 2)
    fail('INVALID_OPTION', `${name}.kernel is ${show(one.kernel)}; give a number, or its height and width`)
  const [height, width] = sides.map((side) => integer(side, `${name}.kernel`, 1, 1024)) as [number, number]
  return {
    kernel: [height, width],
    stride: integer(one.stride ?? 1, `${name}.stride`, 1, 1024),
    padding: integer(one.padding ?? 0, `${name}.padding`, 0, 1024),
    outputPadding: integer(one.outputPadding ?? 0, `${name}.outputPadding`, 0, 1023),
    transposed: boolean(one.transposed ?? false, `${name}.transposed`)
  }
}

export function normalizeSettings(
  options: ComputeOptions,
  blocks: readonly NativeBlock[] = []
): NormalizedSettings {
  // Hyper layers cannot have a time a row.
  const alone = blocks.some((block) => block.type === 'cnf' && block.net.layer === 'hyper')
    ? 'tile'
    : 'sample'
  const { training: solver, evaluation } = normalizeSolvers(options.solver, alone)
  const training: NativeSettings = {
    trace: normalizeTrace(options.trace),
    solver,
    gradient: normalizeGradient(options.gradient),
    ...normalizeRegularize(options.regularize)
  }
  if (training.gradient.method === 'adjoint' && solver.control !== 'batch')
    fail(
      'CONTRADICTORY_OPTIONS',
      "gradient 'adjoint' works with solver.control 'batch' alone; use gradient 'checkpoint' or control 'batch'"
    )
  if (solver.controller === 'torchdiffeq' && Object.keys(training.regularize).length > 0)
    fail(
      'CONTRADICTORY_OPTIONS',
      "controller 'torchdiffeq' takes no regularisers; drop regularize or use controller 'pi'"
    )
  // The adjoint steps whole batches alone.
  const gradient = evaluation.control === 'batch' ? training.gradient : normalizeGradient()
  // Regularisers belong to the loss alone, random end times to training.
  return { training, evaluation: { ...training, solver: evaluation, gradient, regularize: {}, steer: 0 } }
}

export function normalizeTrace(value: unknown = 'auto'): NativeSettings['trace'] {
  const hutchinson = {
    noise: 'rademacher',
    probes: 1,
    form: 'tangent',
    bottleneck: false,
    lattice: 0
  } as const
  if (value === 'auto' || value === 'exact') return { mode: value, ...hutchinson }
  if (!isObject(value))
    fail('INVALID_OPTION', `trace is ${show(value)}; give 'auto', 'exact' or { noise: 'rademacher' }`)
  const trace = object(value, 'trace', ['noise', 'probes', 'form', 'bottleneck', 'lattice'])
  const bottleneck = boolean(trace.bottleneck ?? false, 'trace.bottleneck')
  if (bottleneck) refuse(trace, 'trace', ['form'], 'bottleneck noise has a form of its own')
  return {
    mode: 'hutchinson',
    noise: choice(trace.noise, 'trace.noise', ['gaussian', 'rademacher']),
    probes: integer(trace.probes ?? 1, 'trace.probes', 1, 65534),
    form: choice(trace.form ?? 'tangent', 'trace.form', ['tangent', 'vjp']),
    bottleneck,
    lattice: integer(trace.lattice ?? 0, 'trace.lattice', 0, 1024)
  }
}

type NativeSolver = NativeSettings['solver']

/**
 * How steps are shared and controlled in training says nothing of evaluation: there a row's score must not depend on the rows beside it, so that
 * each steps by itself unless `evaluation` says otherwise.
 */
function normalizeSolvers(
  value: unknown = {},
  alone: 'sample' | 'tile'
): { training: NativeSolver; evaluation: NativeSolver } {
  if (!isObject(value))
    fail('INVALID_OPTION', `solver is ${show(value)}; give an object like { method: 'dopri5' }`)
  const { evaluation = {}, ...training } = value
  const solver = normalizeSolver(training, 'solver')
  const name = 'solver.evaluation'
  const own = isObject(evaluation) && evaluation.method !== undefined
  if (!own)
    object(
      evaluation,
      name,
      solver.steps > 0 ? ['steps', 'method'] : ['rtol', 'atol', 'control', 'controller', 'method']
    )
  const { control, controller: _, ...shared } = training
  const merged = { ...(own ? {} : shared), ...(evaluation as Record<string, unknown>) }
  const standard =
    isFixedStep(merged.method as string | undefined) || merged.controller === 'torchdiffeq'
      ? {}
      : { control: control === 'sample' ? control : alone }
  return { training: solver, evaluation: normalizeSolver({ ...standard, ...merged }, name) }
}

export function normalizeSolver(value: Record<string, unknown>, name: string): NativeSolver {
  const method = choice(value.method ?? 'dopri5', `${name}.method`, methods)
  const base = {
    method,
    rtol: 1e-5,
    atol: 1e-5,
    control: 'batch',
    controller: 'pi',
    maxAttempts: 10000
  } as const
  if (isFixedStep(method)) {
    refuse(
      value,
      name,
      ['rtol', 'atol', 'control', 'controller', 'maxAttempts'],
      `steps are fixed with ${method}`
    )
    object(value, name, ['method', 'steps'])
    if (value.steps === undefined)
      fail(
        'INVALID_OPTION',
        `${name}.steps is missing; ${method} takes the number of equal steps over [0, T]`
      )
    return { ...base, steps: integer(value.steps, `${name}.steps`, 1, 2 ** 31 - 1) }
  }
  refuse(value, name, ['steps'], `${method} chooses its steps; use rtol and atol, or method 'rk4'`)
  const known = ['method', 'rtol', 'atol', 'control', 'controller', 'maxAttempts']
  const solver = object(value, name, known)
  const controller = choice(solver.controller ?? 'pi', `${name}.controller`, ['pi', 'torchdiffeq'])
  const control = choice(solver.control ?? 'batch', `${name}.control`, ['batch', 'tile', 'sample'])
  if (controller === 'torchdiffeq' && (method !== 'dopri5' || control !== 'batch'))
    fail(
      'CONTRADICTORY_OPTIONS',
      `${name}.controller 'torchdiffeq' goes with method 'dopri5' and control 'batch'; use controller 'pi'`
    )
  const rtol = number(solver.rtol ?? base.rtol, `${name}.rtol`, { least: 0 })
  const atol = number(solver.atol ?? base.atol, `${name}.atol`, { least: 0 })
  if (rtol === 0 && atol === 0)
    fail('CONTRADICTORY_OPTIONS', `${name}.rtol and atol are both 0; give at least one above 0`)
  const maxAttempts = integer(solver.maxAttempts ?? base.maxAttempts, `${name}.maxAttempts`, 1, 2 ** 31 - 1)
  return { method, rtol, atol, steps: 0, control, controller, maxAttempts }
}

function refuse(value: Record<string, unknown>, name: string, keys: string[], reason: string): void {
  for (const key of keys)
    if (value[key] !== undefined)
      fail('CONTRADICTORY_OPTIONS', `${name}.${key} has no meaning here: ${reason}`)
}

function normalizeGradient(value: unknown = 'checkpoint'): NativeSettings['gradient'] {
  if (value === 'checkpoint' || value === 'adjoint') return { method: value, norm: 'seminorm' }
  const gradient = object(value, 'gradient', ['method', 'norm'])
  const method = choice(gradient.method, 'gradient.method', ['checkpoint', 'adjoint'])
  if (method === 'checkpoint')
    refuse(gradient, 'gradient', ['norm'], "'checkpoint' has no error norm of its own; drop it")
  return { method, norm: choice(gradient.norm ?? 'seminorm', 'gradient.norm', ['seminorm', 'full']) }
}

function normalizeRegularize(value: unknown = {}): Pick<NativeSettings, 'regularize' | 'steer'> {
  const given = object(value, 'regularize', [...regularisers, 'steer'])
  const regularize: NativeSettings['regularize'] = {}
  for (const key of regularisers)
    if (given[key] !== undefined) regularize[key] = number(given[key], `regularize.${key}`, { least: 0 })
  const steer = number(given.steer ?? 0, 'regularize.steer', { least: 0, most: 1 })
  if (steer === 1)
    fail('INVALID_OPTION', 'regularize.steer is 1, which allows end times of 0; give a share in [0, 1)')
  return { regularize, steer }
}

/** Everything but the step number, which the optimizer counts. */
export function normalizeOptimizer(value: unknown): Omit<NativeOptimizer, 'step'> {
  if (!isObject(value))
    fail('INVALID_OPTION', `optimizer is ${show(value)}; give an object like { type: 'adam' }`)
  const type = choice(value.type, 'optimizer.type', ['adam', 'adamw', 'adamax', 'sgd'])
  const own = type === 'sgd' ? ['momentum'] : ['beta1', 'beta2', 'epsilon']
  const others = type === 'sgd' ? ['beta1', 'beta2', 'epsilon'] : ['momentum']
  refuse(value, 'optimizer', others, `${type} takes ${own.join(', ')}`)
  const given = object(value, 'optimizer', ['type', 'lr', 'weightDecay', 'clipNorm', 'average', ...own])
  const fraction = (key: string, standard: number) =>
    number(given[key] ?? standard, `optimizer.${key}`, { least: 0, most: 1 - Number.EPSILON })
  return {
    type,
    learningRate: number(given.lr ?? 1e-3, 'optimizer.lr', { least: 0 }),
    beta1: fraction('beta1', 0.9),
    beta2: fraction('beta2', 0.999),
    epsilon: number(given.epsilon ?? 1e-8, 'optimizer.epsilon', { least: 0, open: true }),
    momentum: fraction('momentum', 0),
    weightDecay: number(given.weightDecay ?? 0, 'optimizer.weightDecay', { least: 0 }),
    clipNorm: number(given.clipNorm ?? 0, 'optimizer.clipNorm', { least: 0 }),
    averageDecay: fraction('average', 0)
  }
}

function numbers(value: unknown, name: string, { most }: Range): number[] {
  return list(value, name, 'an array of numbers').map((entry, i) =>
    number(entry, `${name}[${i}]`, { least: -most, most })
  )
}

/** A map into an interval divides by its width. */
function checkWidth(
  lower: number | null,
  upper: number | null | undefined,
  name: string,
  { least, most }: Range
): void {
  if (lower === null || upper === null || upper === undefined) return
  const width = upper - lower
  if (!(width >= least && width <= most))
    fail(
      'INVALID_OPTION',
      `${name} is ${upper}, and lower ${lower}; give ends that rise, no further apart than ${most}`
    )
}

/** A whitening divides by the diagonal. */
function checkDiagonal(matrix: number[], name: string, range: Range): number[] {
  const size = Math.round(Math.sqrt(matrix.length))
  for (let i = 0; i < matrix.length; i += size + 1) number(matrix[i], `${name}[${i}]`, range)
  return matrix
}

/** Ends of intervals; null where there is none. */
function ends(value: unknown, name: string): (number | null)[] {
  return list(value, name, 'an array of numbers, null where there is no end').map((entry, i) =>
    entry === null || entry === Infinity || entry === -Infinity ? null : number(entry, `${name}[${i}]`)
  )
}

function integers(value: unknown, name: string, least: number): number[] {
  return list(value, name, 'an array of integers').map((entry, i) =>
    integer(entry, `${name}[${i}]`, least, 2 ** 31 - 1)
  )
}
