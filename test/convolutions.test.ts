// Flows of images on the engines that have convolutions, against the reference engine.
import { type Block, deviceInfo, Flow, type FlowOptions, type Net } from '../lib'
import { engineNames, largestDifference } from './engines'

const devices = engineNames.filter((name) =>
  deviceInfo().some((device) => device.name === name && device.convolutions)
)

const shape = [2, 5, 6]
const cnf = (net: Omit<Net, 'hidden'> & { hidden?: number[] }): Block => ({
  type: 'cnf',
  time: 0.7,
  trainTime: true,
  net: { hidden: [8, 9], strides: [1, 1, 1], activation: 'softplus', ...net }
})
const flowOptions = (blocks: Block[], more: Partial<FlowOptions> = {}): FlowOptions => ({
  shape,
  blocks,
  seed: 3,
  solver: { rtol: 1e-4, atol: 1e-4, control: 'batch', evaluation: { control: 'batch' } },
  ...more
})

/** Of so many rows those that an engine gets: few on the emulated card, which is slow. */
const some = (device: string, rows: number) => (device.endsWith('emulated') ? Math.min(rows, 3) : rows)

/** Rows of very different sizes, so that they need different steps. */
const pixels = (rows: number, size = 60) =>
  Array.from({ length: rows }, (_, row) =>
    Array.from({ length: size }, (_, i) => ((row % 7) - 2) * Math.cos(row * 13 + i * i))
  )

async function training(options: FlowOptions, x: number[][]) {
  using flow = await Flow.create(options)
  const values = Object.fromEntries(
    Object.entries(flow.parameters()).map(([name, { data }]) => [name, data.map((value) => 1.5 * value)])
  )
  flow.setParameters(values)
  const batch = { data: Float64Array.from(x.flat()), shape: [x.length, ...options.shape] }
  const { loss, nfe, inputGradient } = await flow.loss(batch, { inputGradient: true, seed: 5 })
  const gradients = Object.values(flow.gradients()).flatMap(({ data }) => [...data])
  return { loss, nfe, rows: [...inputGradient!.data], gradients }
}

const nets: Record<string, Block[]> = {
  concat: [cnf({ layer: 'concat' })],
  'squash, residual': [cnf({ layer: 'squash', activation: 'tanh', residual: true })],
  'concat_v2, elu': [cnf({ layer: 'concat_v2', activation: 'elu' })],
  'blend, swish': [cnf({ layer: 'blend', activation: 'swish' })],
  concatcoord: [cnf({ layer: 'concatcoord' })],
  'concatsquash, a block behind another': [cnf({ layer: 'concatsquash' }), cnf({ layer: 'ignore' })]
}

/** The ways to solve a block and to differentiate the solve. */
const ways: Record<string, Partial<FlowOptions>> = {
  batch: {},
  tile: { solver: { rtol: 1e-4, atol: 1e-4, control: 'tile' } },
  sample: { solver: { rtol: 1e-4, atol: 1e-4, control: 'sample' } },
  rk4: { solver: { method: 'rk4', steps: 4 } },
  adjoint: { gradient: 'adjoint' },
  'adjoint, full norm': { gradient: { method: 'adjoint', norm: 'full' } },
  'two probes': { trace: { noise: 'rademacher', probes: 2 } },
  'vector-Jacobian product': { trace: { noise: 'gaussian', form: 'vjp' } },
  'exact trace': { trace: 'exact', solver: { method: 'rk4', steps: 2 } },
  regularised: { regularize: { kinetic: 0.1, jacobian: 0.1 } }
}

describe.each(devices)('%s', (device) => {
  const agree = async (options: FlowOptions, x: number[][]) => {
    const ours = await training({ ...options, device }, x)
    const reference = await training({ ...options, device: 'reference' }, x)
    const size = Math.max(...reference.gradients.map(Math.abs), 1)
    expect(Math.abs(ours.loss - reference.loss)).toBeLessThan(1e-4 * Math.abs(reference.loss))
    expect(largestDifference(ours.rows, reference.rows)).toBeLessThan(1e-4)
    expect(largestDifference(ours.gradients, reference.gradients) / size).toBeLessThan(1e-3)
    expect(Math.abs(ours.nfe - reference.nfe)).toBeLessThan(7) // rounding turns a decision now and then
  }

  test.each(Object.entries(nets))('solves and gradients of %s are the reference', (_, blocks) =>
    agree(flowOptions(blocks), pixels(some(device, 9)))
  )

  test.each(Object.entries(ways))('so are they by %s', (_, way) =>
    agree(flowOptions([cnf({ layer: 'concatsquash' })], way), pixels(some(device, 5)))
  )

  test.each(['exact', { noise: 'gaussian' }] as const)('nets on several scales, trace %j', (trace) =>
    agree(
      {
        ...flowOptions([cnf({ layer: 'concatcoord', hidden: [6, 6], parallel: 2 })], { trace }),
        solver: { method: 'rk4', steps: 2 },
        shape: [1, 6, 8]
      },
      pixels(some(device, 4), 48)
    )
  )

  test('strides, squeeze and split', () =>
    agree(
      {
        ...flowOptions([
          { type: 'logit', alpha: 0.05 },
          cnf({ hidden: [6, 7, 6], strides: [1, 2, -2, 1], layer: 'concat' }),
          { type: 'squeeze' },
          cnf({ hidden: [8], strides: [1, 1], layer: 'concatsquash' }),
          { type: 'split' },
          cnf({ hidden: [5], strides: [1, 1], layer: 'concat' })
        ]),
        shape: [1, 8, 6]
      },
      pixels(some(device, 4), 48).map((row) => row.map((value) => 1 / (1 + Math.exp(-value))))
    ))

  test('every row has its own t, and gradients of velocity are the reference', async () => {
    const x = { data: Float64Array.from(pixels(5).flat()), shape: [5, ...shape] }
    const t = Float64Array.from([0, 0.1, 0.4, 0.65, 0.7])
    const f = Float64Array.from(x.data, (_, i) => Math.sin(i))
    for (const layer of ['concat', 'concatsquash', 'blend'] as const) {
      const found = []
      for (const engine of [device, 'reference'] as const) {
        using flow = await Flow.create({ ...flowOptions([cnf({ layer })]), device: engine })
        const values = await flow.velocity(x, { t })
        flow.zeroGradients()
        await flow.velocityPullback(x, { t, f })
        const gradients = Object.values(flow.gradients()).flatMap(({ data }) => [...data])
        found.push({ f: [...values.f.data], gradients })
      }
      expect(largestDifference(found[0]!.f, found[1]!.f)).toBeLessThan(1e-5)
      expect(largestDifference(found[0]!.gradients, found[1]!.gradients)).toBeLessThan(1e-4)
    }
  })

  test('any number of threads gives the same bits', async () => {
    const options = flowOptions([cnf({ layer: 'concat', hidden: [16], strides: [1, 1] })])
    for (const control of ['batch', 'sample'] as const) {
      const solver = { rtol: 1e-3, atol: 1e-3, control }
      const [one, three] = await Promise.all(
        [1, 3].map((threads) => training({ ...options, solver, device, threads }, pixels(some(device, 150))))
      )
      expect(three).toEqual(one)
    }
  })

  test('a flow learns images', async () => {
    using flow = await Flow.create({
      ...flowOptions([cnf({ layer: 'concatsquash' })]),
      solver: { method: 'rk4', steps: 2 },
      device
    })
    const rows = some(device, 64)
    const batch = { data: Float64Array.from(pixels(rows).flat()), shape: [rows, ...shape] }
    const { nll: before } = await flow.evaluate(batch)
    const optimizer = flow.optimizer({ type: 'adam', lr: 1e-2 })
    for (let iteration = 0; iteration < 20; iteration++) {
      await flow.loss(batch)
      await optimizer.step()
    }
    const { nll: after } = await flow.evaluate(batch)
    expect(after).toBeLessThan(before - 5)
  })
})
