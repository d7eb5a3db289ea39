import { Flow, type FlowOptions, toy } from 'ffjord'
import { engineNames, largestDifference, tolerance } from './engines'
import { failure } from './failure'

const model: FlowOptions = {
  shape: [2],
  blocks: [
    { type: 'standardize', mean: [0.2, -0.1], scale: [1.5, 0.8] },
    { type: 'cnf', time: 1, net: { hidden: [12, 12] } },
    { type: 'cnf', time: 0.5, net: { hidden: [12] } }
  ],
  seed: 3
}
const { data: x } = toy('pinwheel', { seed: 1 }).sample(64)

/** Weights that make the solver work, in place of the first ones. */
async function steep(options: Partial<FlowOptions>): Promise<Flow> {
  const flow = await Flow.create({ ...model, ...options })
  const weights = Object.entries(flow.parameters())
    .filter(([name]) => name.endsWith('_layer.weight'))
    .map(([name, { data }]) => [name, data.map((value) => 2.5 * value)])
  flow.setParameters(Object.fromEntries(weights))
  return flow
}

describe.each(engineNames)('%s', (device) => {
  test('an exact trace has no error of its own; the solver has, and the way back', async () => {
    using flow = await steep({ device, trace: 'exact', solver: { rtol: 1e-3, atol: 1e-3 } })
    const { logProb, probeError, solverError, roundTripError } = await flow.logProb(x, { certify: true })
    expect(largestDifference(logProb, await flow.logProb(x))).toBeLessThan(tolerance(device))
    expect(Math.max(...probeError)).toBe(0)
    const tight = await flow.logProb(x, { rtol: 1e-5, atol: 1e-5 })
    const difference = logProb.map((value, i) => Math.abs(value - tight[i]!))
    expect(largestDifference(solverError, difference)).toBeLessThan(Math.max(tolerance(device), 1e-5))
    expect(Math.max(...solverError)).toBeGreaterThan(1e-5)
    expect(Math.max(...roundTripError)).toBeGreaterThan(1e-6)
    expect(Math.max(...roundTripError)).toBeLessThan(1e-3)
  })

  test('the probes of an estimate tell its spread, and their mean is that of one solve', async () => {
    const trace = { noise: 'rademacher', probes: 16 } as const
    using flow = await steep({ device, trace, solver: { rtol: 1e-5, atol: 1e-5 } })
    const { logProb, probeError } = await flow.logProb(x, { certify: true, seed: 7 })
    expect(flow.statistics!.traces[0]).toBe('hutchinson (rademacher, 16 probes, tangent)')
    expect(largestDifference(logProb, await flow.logProb(x, { seed: 7 }))).toBeLessThan(2e-4)
    const exact = await flow.logProb(x, { trace: 'exact' })
    const ratios = logProb.map((value, i) => (value - exact[i]!) / probeError[i]!)
    const spread = Math.sqrt(ratios.reduce((sum, ratio) => sum + ratio ** 2, 0) / ratios.length)
    expect(spread).toBeGreaterThan(0.7)
    expect(spread).toBeLessThan(1.5)
  })
})

test('an evaluation tells the errors of its first rows', async () => {
  using flow = await steep({ device: 'cpu', trace: 'exact', solver: { rtol: 1e-3, atol: 1e-3 } })
  const { errors, nll } = await flow.evaluate(x, { certify: 20, batch: 30 })
  expect(errors).toMatchObject({ rows: 20, probe: 0 })
  expect(errors!.solver).toBeGreaterThan(1e-6)
  expect(errors!.roundTrip).toBeGreaterThan(0)
  expect((await flow.evaluate(x)).nll).toBeCloseTo(nll, 3)
})

test('few probes become enough; a part of the batch has the same errors', async () => {
  using flow = await steep({
    device: 'reference',
    trace: { noise: 'gaussian' },
    solver: { method: 'rk4', steps: 10 }
  })
  const { probeError, solverError } = await flow.logProb(x, { certify: true, seed: 1 })
  expect(flow.statistics!.traces[0]).toContain('64 probes')
  expect(Math.min(...probeError)).toBeGreaterThan(0)
  const part = await flow.logProb(x.subarray(20, 40), { certify: true, seed: 1, rowOffset: 10 })
  expect(largestDifference(part.probeError, probeError.subarray(10, 20))).toBeLessThan(1e-5)
  expect(largestDifference(part.solverError, solverError.subarray(10, 20))).toBeLessThan(1e-5)
  const given = { certify: true, noise: [new Float32Array(128), new Float32Array(128)] } as never
  await failure(() => flow.logProb(x, given), 'CONTRADICTORY_OPTIONS')
})

test('value ± 2 errors covers the float64 value', async () => {
  const { data: rows } = toy('pinwheel', { seed: 2 }).sample(300)
  using truth = await steep({ device: 'reference', trace: 'exact' })
  const exact = await truth.logProb(Float64Array.from(rows), { rtol: 1e-10, atol: 1e-10 })
  for (const trace of ['exact', { noise: 'rademacher' }] as const) {
    using flow = await steep({ device: 'cpu', trace, solver: { rtol: 1e-4, atol: 1e-4 } })
    const { logProb, probeError, solverError } = await flow.logProb(rows, { certify: true, seed: 1 })
    const covered = exact.filter(
      (value, i) => Math.abs(logProb[i]! - value) <= 2 * Math.hypot(probeError[i]!, solverError[i]!)
    )
    expect(covered.length / exact.length).toBeGreaterThan(0.9)
  }
})
