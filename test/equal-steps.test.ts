import { Flow, odeint } from 'ffjord'
import { engineNames } from './engines'
import { failure } from './failure'

test('as many equal steps are taken as were asked for', () => {
  const steps = 59_000
  const { y, statistics } = odeint((_, state) => state, [0.5], [0, 5.9], { method: 'euler', steps })
  expect(y.at(-1)![0]! / (0.5 * (1 + 1e-4) ** steps)).toBeCloseTo(1, 8)
  expect(statistics.accepted).toBe(steps)
})

test.each(engineNames)('on %s, too', async (device) => {
  using flow = await Flow.create({
    shape: [1],
    blocks: [{ type: 'cnf', net: { hidden: [2] } }],
    solver: { method: 'euler', steps: 12_000 },
    trace: 'exact',
    threads: 1,
    device
  })
  const [logProb] = await flow.logProb([[0.3]])
  expect(flow.statistics!.accepted).toBe(12_000)
  using coarse = await Flow.create({
    shape: [1],
    blocks: [{ type: 'cnf', net: { hidden: [2] } }],
    solver: { rtol: 1e-8, atol: 1e-8 },
    trace: 'exact',
    threads: 1,
    device
  })
  coarse.setParameters(flow.parameters())
  expect(logProb).toBeCloseTo((await coarse.logProb([[0.3]]))[0]!, 3)
})

test('a failure of equal steps speaks of steps, not of tolerances', async () => {
  const { message } = await failure(
    () => odeint((_, y) => y, [1], [1, 1 + 1e-12], { method: 'euler', steps: 1_000_000 }),
    'SOLVE_FAILED'
  )
  expect(message).toMatch(/fewer than 1000000 steps/)
  expect(message).not.toMatch(/rtol|attempts/)
  const grows = await failure(
    () => odeint((_, y) => y.map((one) => one * 1e300), [1], [0, 9], { method: 'euler', steps: 9 }),
    'SOLVE_FAILED'
  )
  expect(grows.message).not.toMatch(/rtol|tolerance|attempts/)
})
