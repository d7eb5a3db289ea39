import { type ComputeOptions, Flow, type FlowOptions } from 'ffjord'
import { normalizeDescription } from '../lib/flow/normalize'
import { normalizeOptimizer, normalizeSettings } from '../lib/flow/normalize-settings'
import { failure } from './failure'

const base: FlowOptions = { shape: [2], blocks: [{ type: 'cnf', net: { hidden: [8] } }], device: 'reference' }
const wrong = (change: object) => Flow.create({ ...base, ...change } as FlowOptions)
const cnf = (change: object, net: object = {}) => ({
  blocks: [{ type: 'cnf', net: { hidden: [8], ...net }, ...change }]
})

test('defaults', () => {
  const { training, evaluation } = normalizeSettings({ solver: { evaluation: { rtol: 1e-7 } } })
  expect(training).toEqual({
    trace: { mode: 'auto', noise: 'rademacher', probes: 1, form: 'tangent', bottleneck: false, lattice: 0 },
    solver: {
      method: 'dopri5',
      rtol: 1e-5,
      atol: 1e-5,
      steps: 0,
      control: 'batch',
      controller: 'pi',
      maxAttempts: 10000
    },
    gradient: { method: 'checkpoint', norm: 'seminorm' },
    regularize: {},
    steer: 0
  })
  expect(evaluation.solver).toEqual({ ...training.solver, rtol: 1e-7, control: 'sample' })
  expect(normalizeDescription(base).blocks).toEqual([
    {
      type: 'cnf',
      time: 0.5,
      trainTime: false,
      net: {
        hidden: [8],
        layer: 'concatsquash',
        activation: 'tanh',
        residual: false,
        strides: [],
        parallel: 1,
        zeroLast: false,
        spectralNorm: 0
      }
    }
  ])
  expect(normalizeOptimizer({ type: 'adam' })).toMatchObject({ learningRate: 1e-3, beta1: 0.9, beta2: 0.999 })
})

test('evaluation may have a solver of its own', () => {
  const { training, evaluation } = normalizeSettings({
    solver: { method: 'rk4', steps: 8, evaluation: { method: 'tsit5', atol: 1e-7 } }
  })
  expect(training.solver).toMatchObject({ method: 'rk4', steps: 8 })
  expect(evaluation.solver).toMatchObject({ method: 'tsit5', steps: 0, atol: 1e-7, rtol: 1e-5 })
})

test('in evaluation rows step by themselves, unless evaluation says otherwise', () => {
  const control = (options: ComputeOptions, layer: 'concat' | 'hyper' = 'concat') => {
    const { blocks } = normalizeDescription({
      ...base,
      blocks: [{ type: 'cnf', net: { hidden: [4], layer } }]
    })
    const { gradient, solver } = normalizeSettings(options, blocks).evaluation
    return [solver.control, solver.controller, gradient.method]
  }
  expect(control({})).toEqual(['sample', 'pi', 'checkpoint'])
  expect(control({}, 'hyper')).toEqual(['tile', 'pi', 'checkpoint'])
  expect(control({ gradient: 'adjoint' })).toEqual(['sample', 'pi', 'checkpoint'])
  expect(control({ solver: { controller: 'torchdiffeq' } })).toEqual(['sample', 'pi', 'checkpoint'])
  expect(control({ solver: { evaluation: { controller: 'torchdiffeq' } } })).toEqual([
    'batch',
    'torchdiffeq',
    'checkpoint'
  ])
  expect(control({ solver: { control: 'tile' } })).toEqual(['sample', 'pi', 'checkpoint'])
  expect(control({ solver: { evaluation: { control: 'batch' } }, gradient: 'adjoint' })).toEqual([
    'batch',
    'pi',
    'adjoint'
  ])
  expect(control({ solver: { evaluation: { method: 'tsit5' } } })).toEqual(['sample', 'pi', 'checkpoint'])
})

test('regularisers are left out of evaluation', () => {
  const { training, evaluation } = normalizeSettings({ regularize: { kinetic: 0, steer: 0.25 } })
  expect([training.regularize, evaluation.regularize]).toEqual([{ kinetic: 0 }, {}])
  expect([training.steer, evaluation.steer]).toEqual([0.25, 0])
})

test.each([
  ['an unknown option', { devise: 'cpu' }, 'UNKNOWN_OPTION', "did you mean 'device'?"],
  ['an unknown option of a block', cnf({ trainTme: true }), 'UNKNOWN_OPTION', "did you mean 'trainTime'?"],
  ['an unknown option of a net', cnf({}, { layers: 'concat' }), 'UNKNOWN_OPTION', "did you mean 'layer'?"],
  ['an unknown layer', cnf({}, { layer: 'concatsquish' }), 'INVALID_OPTION', "did you mean 'concatsquash'?"],
  ['an unknown activation', cnf({}, { activation: 'gelu' }), 'INVALID_OPTION', 'softplus'],
  ['no shape', { shape: undefined }, 'INVALID_OPTION', 'shape'],
  ['an empty shape', { shape: [] }, 'INVALID_SHAPE', 'shape'],
  ['a shape of fractions', { shape: [1.5] }, 'INVALID_OPTION', 'shape[0]'],
  ['no blocks', { blocks: [] }, 'INVALID_OPTION', 'blocks'],
  ['a block of no type', { blocks: [{}] }, 'INVALID_OPTION', 'blocks[0].type'],
  ['a hidden layer of no width', cnf({}, { hidden: [0] }), 'INVALID_OPTION', 'hidden[0]'],
  ['a negative end time', cnf({ time: -1 }), 'INVALID_OPTION', 'time'],
  ['a convolution on vectors', cnf({}, { strides: [1, 1] }), 'INVALID_ARGUMENT', 'strides'],
  [
    'statistics of another size',
    { blocks: [{ type: 'standardize', mean: [0], scale: [1] }] },
    'INVALID_ARGUMENT',
    'mean'
  ],
  ['alpha out of range', { blocks: [{ type: 'logit', alpha: 0.5 }] }, 'INVALID_OPTION', 'alpha'],
  ['an unknown solver', { solver: { method: 'dopri6' } }, 'INVALID_OPTION', "did you mean 'dopri5'?"],
  ['steps of dopri5', { solver: { steps: 5 } }, 'CONTRADICTORY_OPTIONS', 'steps'],
  ['tolerances of rk4', { solver: { method: 'rk4', steps: 5, rtol: 1e-3 } }, 'CONTRADICTORY_OPTIONS', 'rtol'],
  ['rk4 without steps', { solver: { method: 'rk4' } }, 'INVALID_OPTION', 'steps'],
  ['more steps than there are', { solver: { method: 'rk4', steps: 1e10 } }, 'INVALID_OPTION', 'steps'],
  ['a negative tolerance', { solver: { rtol: -1e-5 } }, 'INVALID_OPTION', 'rtol'],
  ['no tolerance at all', { solver: { rtol: 0, atol: 0 } }, 'CONTRADICTORY_OPTIONS', 'atol'],
  ['a tolerance that is no number', { solver: { atol: '1e-5' } }, 'INVALID_OPTION', 'atol'],
  [
    'torchdiffeq with tsit5',
    { solver: { method: 'tsit5', controller: 'torchdiffeq' } },
    'CONTRADICTORY_OPTIONS',
    'dopri5'
  ],
  [
    'torchdiffeq a row',
    { solver: { control: 'sample', controller: 'torchdiffeq' } },
    'CONTRADICTORY_OPTIONS',
    'control'
  ],
  [
    'torchdiffeq with regularisers',
    { solver: { controller: 'torchdiffeq' }, regularize: { kinetic: 1 } },
    'CONTRADICTORY_OPTIONS',
    'pi'
  ],
  [
    'an adjoint a row',
    { solver: { control: 'sample' }, gradient: 'adjoint' },
    'CONTRADICTORY_OPTIONS',
    'checkpoint'
  ],
  [
    'a norm of checkpoints',
    { gradient: { method: 'checkpoint', norm: 'full' } },
    'CONTRADICTORY_OPTIONS',
    'norm'
  ],
  ['an unknown trace', { trace: 'hutchinson' }, 'INVALID_OPTION', 'exact'],
  ['no probes', { trace: { noise: 'gaussian', probes: 0 } }, 'INVALID_OPTION', 'probes'],
  ['an end time that may be 0', { regularize: { steer: 1 } }, 'INVALID_OPTION', 'steer'],
  [
    'spectral norm of weights that are 0',
    cnf({}, { layer: 'hyper', spectralNorm: 1 }),
    'INVALID_ARGUMENT',
    'hyper'
  ],
  ['a negative weight', { regularize: { kinetic: -1 } }, 'INVALID_OPTION', 'kinetic'],
  ['a device that is not there', { device: 'tpu' }, 'DEVICE_UNUSABLE', 'reference'],
  ['a seed of fractions', { seed: 0.5 }, 'INVALID_OPTION', 'seed'],
  ['no threads', { threads: 0 }, 'INVALID_OPTION', 'threads']
] as const)('%s is refused', async (_, change, code, words) => {
  const { message } = await failure(() => wrong(change), code)
  expect(message).toContain(words)
})

test.each([
  [{ type: 'adma' }, 'INVALID_OPTION', "did you mean 'adam'?"],
  [{ type: 'adam', momentum: 0.9 }, 'CONTRADICTORY_OPTIONS', 'momentum'],
  [{ type: 'sgd', beta1: 0.9 }, 'CONTRADICTORY_OPTIONS', 'beta1'],
  [{ type: 'adam', lr: -1 }, 'INVALID_OPTION', 'lr'],
  [{ type: 'adam', beta2: 1 }, 'INVALID_OPTION', 'beta2'],
  [{ type: 'adam', learningRate: 1 }, 'UNKNOWN_OPTION', 'learningRate']
])('the optimizer %j is refused', async (options, code, words) => {
  const { message } = await failure(() => normalizeOptimizer(options), code as 'INVALID_OPTION')
  expect(message).toContain(words)
})
