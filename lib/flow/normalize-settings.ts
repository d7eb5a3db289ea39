import { boolean, choice, fail, integer, isObject, number, object, show } from '../native/check'
import type { NativeBlock, NativeOptimizer, NativeSettings } from '../native/interface'
import { adaptiveMethods, fixedStepMethods, isFixedStep } from '../native/methods'
import { regularisers } from '../native/regularisers'
import type { ComputeOptions } from './options'

/** How a model computes and learns: checks what users pass, and fills in defaults. */

const methods = [...adaptiveMethods, ...fixedStepMethods]

/** Settings of training, and those of everything else. */
export interface NormalizedSettings {
  training: NativeSettings
  evaluation: NativeSettings
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
