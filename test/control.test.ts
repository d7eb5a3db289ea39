import { FfjordError, Flow, type FlowOptions, odeint, type Solver } from '../lib'
import { engineNames } from './engines'

const flowOptions = (solver: Solver): FlowOptions => ({
  shape: [2],
  blocks: [
    { type: 'cnf', time: 1, net: { hidden: [24, 24], layer: 'concat' } },
    { type: 'cnf', time: 1, net: { hidden: [24] } }
  ],
  solver,
  seed: 3
})

/** Rows of very different reach, so that they need different steps. */
const rows = Array.from({ length: 90 }, (_, i) => [3 * Math.cos(i * i), (4 * i) / 90 - 2])

async function logProb(device: FlowOptions['device'], solver: Solver, x: number[][]) {
  const flow = await Flow.create({ ...flowOptions(solver), device: device! })
  try {
    return { values: Array.from(await flow.logProb(x)), statistics: flow.statistics! }
  } finally {
    flow.dispose()
  }
}

describe.each(engineNames.filter((name) => !name.startsWith('cuda')))('%s', (device) => {
  test("control 'sample': a density does not depend on the rows beside it, to the last bit", async () => {
    const solver: Solver = { control: 'sample' }
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
    const { statistics } = await logProb(device, {}, rows)
    expect(statistics.blockStiffness).toHaveLength(2)
    for (const stiffness of statistics.blockStiffness) {
      expect(stiffness).toBeGreaterThan(0)
      expect(stiffness).toBeLessThan(1)
    }
    expect([0, 1]).toContain(statistics.smallestStepAt!.block)
    expect(rows[statistics.smallestStepAt!.row]).toBeDefined()
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
