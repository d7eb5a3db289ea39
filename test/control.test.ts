import { type AdaptiveSolver, FfjordError, Flow, type FlowOptions, odeint, type Solver } from '../lib'
import { engineNames, largestDifference } from './engines'
import { failure } from './failure'

const flowOptions = (solver: Solver): FlowOptions => ({
  shape: [2],
  blocks: [
    { type: 'cnf', time: 1, net: { hidden: [24, 24], layer: 'concat' } },
    { type: 'cnf', time: 1, net: { hidden: [24] } }
  ],
  solver,
  seed: 3
})

/** `solver` in training and in evaluation. */
const throughout = (solver: AdaptiveSolver): Solver => ({
  ...solver,
  evaluation: { method: 'dopri5', ...solver }
})

/** Rows of very different reach, so that they need different steps. */
const rows = Array.from({ length: 90 }, (_, i) => [3 * Math.cos(i * i), (4 * i) / 90 - 2])

async function logProb(device: FlowOptions['device'], solver: AdaptiveSolver, x: number[][]) {
  const flow = await Flow.create({ ...flowOptions(throughout(solver)), device: device! })
  try {
    return { values: Array.from(await flow.logProb(x)), statistics: flow.statistics! }
  } finally {
    flow.dispose()
  }
}

/** A gated net, whose closed-form trace gives way to unit tangents, and others; estimates too. */
const nets: Record<string, Partial<FlowOptions>> = {
  gated: { blocks: [{ type: 'cnf', time: 1, trainTime: true, net: { hidden: [24, 24] } }] },
  concat: { blocks: [{ type: 'cnf', trainTime: true, net: { hidden: [24], layer: 'concat' } }] },
  blend: {
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [8, 8], layer: 'blend', activation: 'softplus' } }]
  },
  'swish, a pulled probe': {
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [24, 24, 24], activation: 'swish' } }],
    trace: { noise: 'rademacher', probes: 2, form: 'vjp' }
  },
  regularised: {
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [24, 24] } }],
    regularize: { kinetic: 0.1, jacobian: 0.1 }
  }
}

async function withGradients(options: FlowOptions, x: number[][]) {
  using flow = await Flow.create(options)
  const { loss, nfe, inputGradient } = await flow.loss(x, { inputGradient: true, seed: 5 })
  const gradients = Object.values(flow.gradients()).flatMap(({ data }) => [...data])
  const { accepted, rejected } = flow.statistics!
  return { loss, nfe, accepted, rejected, rows: [...inputGradient!.data], gradients }
}

describe.each(engineNames)('%s', (device) => {
  test.each(Object.entries(nets))("'sample' of a net (%s) has the reference's gradients", async (_, net) => {
    for (const method of ['dopri5', 'adaptive_heun'] as const) {
      const solver: Solver = { method, control: 'sample', rtol: 1e-4, atol: 1e-4 }
      const options = { ...flowOptions(solver), ...net }
      const x = rows.slice(0, 41)
      const ours = await withGradients({ ...options, device }, x)
      const reference = await withGradients({ ...options, device: 'reference' }, x)
      expect(Math.abs(ours.loss - reference.loss)).toBeLessThan(1e-4)
      expect(largestDifference(ours.rows, reference.rows)).toBeLessThan(1e-4)
      expect(largestDifference(ours.gradients, reference.gradients)).toBeLessThan(1e-3)
      // Rounding turns a decision now and then.
      for (const count of ['nfe', 'accepted', 'rejected'] as const)
        expect(Math.abs(ours[count] - reference[count])).toBeLessThan(0.5)
    }
  })

  test("'sample': the gradient of a row does not depend on the rows beside it, to the last bit", async () => {
    for (const net of [nets.gated, nets.blend]) {
      using flow = await Flow.create({ ...flowOptions({ control: 'sample' }), ...net, device })
      const gradient = async (x: number[][]) => (await flow.score(x)).data
      const together = await gradient(rows)
      expect(await gradient(rows.slice(30, 67))).toEqual(together.slice(60, 134))
      expect(await gradient(rows.slice(41, 42))).toEqual(together.slice(82, 84))
    }
  })

  test("'sample': stops on the way are the row's own", async () => {
    for (const method of ['tsit5', 'adaptive_heun'] as const) {
      using flow = await Flow.create({ ...flowOptions({ method, control: 'sample' }), device })
      const times = [0, 0.3, 0.7, 1.4, 2]
      const together = await flow.trajectory({ x: rows.slice(0, 40), times })
      const alone = await flow.trajectory({ x: rows.slice(7, 8), times })
      for (const [i] of times.entries())
        expect(alone.states.data.slice(2 * i, 2 * i + 2)).toEqual(
          together.states.data.slice(2 * (40 * i + 7), 2 * (40 * i + 8))
        )
      const { z } = await flow.forward(rows.slice(0, 40))
      expect(largestDifference(together.states.data.slice(-80), z.data)).toBeLessThan(1e-4)
    }
  })

  test("'sample': a solve that fails names the rows", async () => {
    using flow = await Flow.create({
      ...flowOptions(throughout({ control: 'sample', maxAttempts: 2 })),
      device
    })
    const error = await failure(() => flow.logProb(rows.slice(30, 40)), 'SOLVE_FAILED')
    expect(error.message).toMatch(/attempts/)
    // The reference names rows over their tolerance alone, of which there are none here.
    if (device !== 'reference') expect(error.failure!.rows).toContain(8)
  })

  test("control 'sample': a density does not depend on the rows beside it, to the last bit", async () => {
    const solver: AdaptiveSolver = { control: 'sample' }
    const together = await logProb(device, solver, rows)
    const turned = await logProb(device, solver, [...rows].reverse())
    expect(turned.values.reverse()).toEqual(together.values)
    const alone = await logProb(device, solver, rows.slice(41, 42))
    expect(alone.values[0]).toBe(together.values[41])
  })

  test('the three controls agree to the tolerance', async () => {
    const tolerances = { rtol: 1e-6, atol: 1e-6 }
    const [batch, tile, sample] = await Promise.all(
      (['batch', 'tile', 'sample'] as const).map((control) =>
        logProb(device, { control, ...tolerances }, rows)
      )
    )
    for (const [i, value] of batch!.values.entries()) {
      expect(tile!.values[i]).toBeCloseTo(value, 4)
      expect(sample!.values[i]).toBeCloseTo(value, 4)
    }
  })

  test('statistics say how stiff each block is, and where the smallest step was', async () => {
    for (const control of ['batch', 'tile', 'sample'] as const) {
      // At 1e-5 the error of the smallest step, a batch's first, is rounding in float32.
      const tolerances = { rtol: 1e-4, atol: 1e-4 }
      const { statistics } = await logProb(device, { control, ...tolerances }, rows)
      const { statistics: reference } = await logProb('reference', { control, ...tolerances }, rows)
      expect(statistics.blockStiffness).toHaveLength(2)
      for (const [block, stiffness] of statistics.blockStiffness.entries()) {
        expect(stiffness).toBeGreaterThan(0)
        expect(stiffness).toBeLessThan(1)
        // A tile is as large as an engine likes; in a single row's last stages rounding is seen.
        if (control === 'tile') continue
        const tolerance = control === 'batch' ? 0.01 : 0.2
        expect(Math.abs(stiffness / reference.blockStiffness[block]! - 1)).toBeLessThan(tolerance)
      }
      expect([0, 1]).toContain(statistics.smallestStepAt!.block)
      expect(rows[statistics.smallestStepAt!.row]).toBeDefined()
      if (control !== 'tile') expect(statistics.smallestStepAt).toEqual(reference.smallestStepAt)
    }
  })

  test('hyper layers refuse a time a row, and say what to take instead; the reference solves row by row', async () => {
    using flow = await Flow.create({
      shape: [2],
      blocks: [{ type: 'cnf', net: { hidden: [8], layer: 'hyper' } }],
      solver: { control: 'sample' },
      device
    })
    const call = () => flow.logProb(rows.slice(0, 2))
    if (device === 'reference') expect(await call()).toHaveLength(2)
    else expect((await failure(call, 'UNSUPPORTED')).message).toMatch(/'tile' or 'batch'/)
  })
})

/** Its solution is about cos t, which an explicit method may not take in long steps. */
const stiff = (t: number, y: Float64Array) => [-1000 * (y[0]! - Math.cos(t))]
const smooth = (_t: number, y: Float64Array) => [y[1]!, -y[0]!]

test.each(['dopri5', 'tsit5', 'bosh3', 'dopri8', 'adaptive_heun', 'fehlberg2'] as const)(
  '%s tells a stiff system from one that is not',
  (method) => {
    const stiffness = (f: typeof smooth, y0: number[], tolerance: number) =>
      odeint(f, y0, [0, 2], { method, rtol: tolerance, atol: tolerance }).statistics.stiffness
    expect(stiffness(stiff, [1], 1e-3)).toBeGreaterThan(0.5)
    expect(stiffness(smooth, [1, 0], 1e-6)).toBeLessThan(0.4)
  }
)

test('a solve that gives up says what held it back', () => {
  const failure = (call: () => unknown): FfjordError => {
    try {
      call()
    } catch (error) {
      return error as FfjordError
    }
    throw new Error('it went on')
  }
  const tooStiff = failure(() => odeint(stiff, [1], [0, 10], { maxAttempts: 200, rtol: 1e-3, atol: 1e-3 }))
  expect(tooStiff.message).toMatch(/as long as stability allows/)
  const tooExact = failure(() =>
    odeint(smooth, [1, 0], [0, 100], { maxAttempts: 20, rtol: 1e-9, atol: 1e-9 })
  )
  expect(tooExact.message).toMatch(/accuracy asks/)
  const pole = failure(() => odeint((_t, y) => [y[0]! ** 2], [1], [0, 2]))
  expect(pole.message).toMatch(/pole|not finite/)
  for (const error of [tooStiff, tooExact, pole]) {
    expect(error).toBeInstanceOf(FfjordError)
    expect(error.failure!.t).toBeGreaterThan(0)
  }
})
