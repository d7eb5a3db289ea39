import {
  type AdaptiveSolver,
  type Device,
  type FixedStepSolver,
  Flow,
  type FlowOptions,
  type Net,
  type Solver,
  type Trace
} from 'ffjord'
import { engineNames, largestDifference } from './engines'

/** Solves and their gradients over nets of few units, which an engine may treat as a whole. */
const rows = (count: number, size: number) =>
  new Float32Array(count * size).map((_, i) => 1.5 * Math.sin(1 + i * i) + (i % size) / 4)

async function lossAndGradients(options: FlowOptions, count: number) {
  using flow = await Flow.create(options)
  const x = rows(count, options.shape[0]!)
  const { loss, nfe, inputGradient } = await flow.loss(x, { seed: 7, inputGradient: true })
  const logProb = await flow.logProb(x, { seed: 7 })
  const { data: samples } = await flow.sample(5, { seed: 2 })
  return { loss, nfe, inputGradient: inputGradient!.data, logProb, samples, gradients: flow.gradients() }
}

/** The largest difference over the largest value, of every result. */
async function compare(device: Device, options: Omit<FlowOptions, 'device'>, count: number) {
  const ours = await lossAndGradients({ ...options, device }, count)
  const reference = await lossAndGradients({ ...options, device: 'reference' }, count)
  const relative = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    largestDifference(a, b) / Math.max(1e-3, ...Array.from(b, Math.abs))
  const worst: Record<string, number> = {
    loss: Math.abs(ours.loss - reference.loss),
    logProb: relative(ours.logProb, reference.logProb),
    samples: relative(ours.samples, reference.samples),
    inputGradient: relative(ours.inputGradient, reference.inputGradient)
  }
  for (const [name, { data }] of Object.entries(reference.gradients))
    worst[name] = relative(ours.gradients[name]!.data, data)
  return { worst, nfe: [ours.nfe, reference.nfe] as const }
}

interface Case {
  name: string
  shape?: number
  net: Net
  trace?: Trace
  solver?: AdaptiveSolver | FixedStepSolver
  regularize?: FlowOptions['regularize']
  rows?: number
}

const probe = { noise: 'gaussian' } as const
const cases: Case[] = [
  { name: 'concatsquash, two dimensions, exact', net: { hidden: [20, 7], layer: 'concatsquash' } },
  { name: 'three dimensions, exact', shape: 3, net: { hidden: [12, 12, 12], layer: 'concat' } },
  {
    name: 'one hidden layer, one probe',
    shape: 6,
    net: { hidden: [30], layer: 'concat_v2', activation: 'softplus' },
    trace: probe
  },
  {
    name: 'more units than a stripe, two probes',
    shape: 5,
    net: { hidden: [70, 9], layer: 'squash', activation: 'elu' },
    trace: { noise: 'rademacher', probes: 2 }
  },
  {
    name: 'square',
    net: { hidden: [9, 9], layer: 'concatsquash', activation: 'square' },
    trace: probe
  },
  {
    name: 'a residual net, regularised',
    net: { hidden: [16, 16], layer: 'concat', residual: true },
    regularize: { kinetic: 0.1, jacobian: 0.2 },
    trace: probe
  },
  {
    name: 'steps of a given number',
    net: { hidden: [10], layer: 'ignore' },
    solver: { method: 'rk4', steps: 3 }
  },
  {
    name: 'a method that is not FSAL',
    net: { hidden: [10] },
    solver: { method: 'dopri8', rtol: 1e-4, atol: 1e-4 },
    trace: probe
  },
  {
    name: 'many steps',
    net: { hidden: [8], layer: 'concat' },
    solver: { method: 'adaptive_heun', rtol: 1e-6, atol: 1e-6 },
    rows: 5
  },
  { name: 'tiles', net: { hidden: [8, 8], layer: 'concatsquash' }, solver: { control: 'tile' }, rows: 70 },
  { name: 'rows by themselves', net: { hidden: [9, 8], layer: 'squash' }, solver: { control: 'sample' } },
  {
    name: 'rows by themselves, one probe',
    shape: 4,
    net: { hidden: [12], layer: 'concat' },
    solver: { control: 'sample', method: 'tsit5' },
    trace: probe
  },
  { name: 'a large batch', net: { hidden: [6], layer: 'concatsquash' }, trace: probe, rows: 1100 },
  {
    name: 'a large batch and wide layers',
    net: { hidden: [37], layer: 'concatsquash' },
    trace: probe,
    solver: { method: 'midpoint', steps: 2 },
    rows: 1030
  },
  {
    name: 'tiles and wide layers',
    net: { hidden: [40, 70], layer: 'concat', activation: 'softplus', residual: true },
    solver: { control: 'tile' },
    regularize: { kinetic: 0.1, dl2int: 0.1 },
    rows: 70
  }
]

/** Rows step together in evaluation as they do in training. */
const throughout = (solver: AdaptiveSolver | FixedStepSolver): Solver =>
  'steps' in solver ? solver : { ...solver, evaluation: { control: solver.control ?? 'batch' } }

// A card takes tiles of few or many rows by the size of a batch, unless it is told (native/cuda/fused/fused_net.cu): those of
// 4 are of float32.
const ways = engineNames
  .filter((name) => name !== 'reference')
  .flatMap((device) => [
    { device, tileRows: 'any' },
    ...(device.startsWith('cuda') ? ['4', '32'].map((tileRows) => ({ device, tileRows })) : [])
  ])

describe.each(ways)('$device, tiles of $tileRows rows', ({ device, tileRows }) => {
  beforeAll(() => {
    if (tileRows !== 'any') process.env.FFJORD_CUDA_OPTIONS = `fused=${tileRows}`
  })
  afterAll(() => {
    delete process.env.FFJORD_CUDA_OPTIONS
  })

  test.each(cases)('$name', async ({ shape = 2, net, trace = 'exact', solver, regularize, rows = 37 }) => {
    const { worst, nfe } = await compare(
      device,
      {
        shape: [shape],
        blocks: [{ type: 'cnf', time: 0.7, trainTime: true, net }],
        trace,
        solver: throughout(solver ?? { rtol: 1e-4, atol: 1e-4 }),
        ...(regularize && { regularize }),
        seed: 5
      },
      rows
    )
    for (const [name, value] of Object.entries(worst))
      expect([name, value < 1e-3, value]).toEqual([name, true, value])
    expect(Math.abs(nfe[0] - nfe[1])).toBeLessThanOrEqual(7)
  })
})
