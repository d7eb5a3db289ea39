import { types } from 'node:util'
import { type Device, type FfjordError, Flow, type FlowOptions } from 'ffjord'
import { engineNames, engines, largestDifference, tolerance } from './engines'
import { failure } from './failure'

/** One step for all rows, in evaluation as in training; rows by themselves: one-score.test.ts. */
const together = { control: 'batch', evaluation: { control: 'batch' } } as const

const net: FlowOptions = {
  shape: [2],
  blocks: [
    { type: 'standardize', mean: [0.1, -0.2], scale: [1.5, 0.5] },
    { type: 'cnf', time: 0.8, trainTime: true, net: { hidden: [12, 12] } },
    { type: 'cnf', net: { hidden: [8], layer: 'concat', activation: 'softplus' } }
  ],
  solver: { rtol: 1e-9, atol: 1e-9, ...together },
  trace: 'exact',
  seed: 3
}
const single: FlowOptions = { ...net, solver: { rtol: 1e-6, atol: 1e-6, ...together } }
const options = (device: Device) => ({ ...(device === 'reference' ? net : single), device })
const x = Float64Array.of(0.3, -0.7, 1.1, 0.4, -0.5, 0.9)

describe.each(engineNames)('%s', (device) => {
  const tight = tolerance(device)
  let flow: Flow
  beforeAll(async () => {
    flow = await Flow.create(options(device))
  })
  afterAll(() => flow.dispose())

  test('log p is the base density of z minus Δlogp', async () => {
    const { z, deltaLogp } = await flow.forward(x)
    expect(z.shape).toEqual([3, 2])
    const expected = [0, 1, 2].map(
      (row) =>
        -0.5 * (z.data[2 * row]! ** 2 + z.data[2 * row + 1]! ** 2) - Math.log(2 * Math.PI) - deltaLogp[row]!
    )
    expect(largestDifference(await flow.logProb(x), expected)).toBeLessThan(tight)
    expect(flow.logProbSync(x)).toEqual(await flow.logProb(x))
    expect(flow.forwardSync(x)).toEqual({ z, deltaLogp })
  })

  test('inverse undoes forward, and their Δlogp are opposite', async () => {
    const { z, deltaLogp } = await flow.forward(x)
    const back = await flow.inverse(z)
    expect(largestDifference(back.x.data, x)).toBeLessThan(10 * tight)
    expect(
      largestDifference(
        back.deltaLogp,
        deltaLogp.map((value) => -value)
      )
    ).toBeLessThan(10 * tight)
  })

  test('float64 in, float64 out; every form of a batch gives the same', async () => {
    const narrow = Float32Array.from(x)
    const expected = await flow.logProb(narrow)
    expect(types.isFloat32Array(expected)).toBe(true)
    expect(types.isFloat64Array(await flow.logProb(x))).toBe(true)
    const rows = [0, 1, 2].map((row) => [...narrow.subarray(2 * row, 2 * row + 2)])
    expect(await flow.logProb(rows)).toEqual(expected)
    expect(await flow.logProb({ data: narrow, shape: [3, 2] })).toEqual(expected)
    expect(types.isFloat64Array((await flow.sample(2, { precision: 'float64' })).data)).toBe(true)
  })

  test('the divergence of −Δlogp is the Jacobian’s log-determinant', async () => {
    const h = device === 'reference' ? 1e-5 : 1e-2
    const at = (dx: number, dy: number) => flow.forwardSync(Float64Array.of(0.3 + dx, -0.7 + dy)).z.data
    const column = (plus: ArrayLike<number>, minus: ArrayLike<number>) =>
      [0, 1].map((i) => (plus[i]! - minus[i]!) / (2 * h))
    const [a, c] = column(at(h, 0), at(-h, 0))
    const [b, d] = column(at(0, h), at(0, -h))
    const { deltaLogp } = await flow.forward(x.subarray(0, 2))
    expect(Math.abs(Math.log(Math.abs(a! * d! - b! * c!)) + deltaLogp[0]!)).toBeLessThan(
      device === 'reference' ? 1e-8 : 2e-3
    )
  })

  test('the score is the gradient of log p', async () => {
    const h = device === 'reference' ? 1e-5 : 1e-2
    const { data, shape } = await flow.score(x)
    expect(shape).toEqual([3, 2])
    for (let i = 0; i < x.length; i++) {
      const moved = (step: number) => flow.logProbSync(x.map((value, j) => (j === i ? value + step : value)))
      const slope = (moved(h)[i >> 1]! - moved(-h)[i >> 1]!) / (2 * h)
      expect(Math.abs(slope - data[i]!)).toBeLessThan(device === 'reference' ? 1e-7 : 5e-3)
    }
  })

  test('samples follow their seed; their density is that of logProb', async () => {
    const first = await flow.sampleAndLogProb(50, { seed: 7, precision: 'float64' })
    const again = await flow.sample(50, { seed: 7, precision: 'float64' })
    expect(again).toEqual(first.x)
    expect((await flow.sample(50, { seed: 8, precision: 'float64' })).data).not.toEqual(first.x.data)
    const density = await flow.logProb(first.x)
    expect(largestDifference(density, first.logProb)).toBeLessThan(20 * tight)
    const base = flow.sampleBase(50, { seed: 7 })
    expect(largestDifference((await flow.inverse(base)).x.data, first.x.data)).toBeLessThan(1e-5)
    const fresh = await flow.sample(50)
    expect((await flow.sample(50)).data).not.toEqual(fresh.data)
  })

  test('a sample cut in parts is the sample', async () => {
    const whole = await flow.sample(6, { seed: 1 })
    const part = await flow.sample(2, { seed: 1, rowOffset: 4 })
    expect(largestDifference(part.data, whole.data.slice(8))).toBeLessThan(tight)
  })

  test('a trajectory starts at the data, ends at the base, and lands on its times', async () => {
    const end = flow.endTimes.reduce((sum, time) => sum + time, 0)
    expect(end).toBeCloseTo(1.3, 6)
    const path = await flow.trajectory({ x: Float32Array.from(x), times: 5 })
    expect(path.direction).toBe('forward')
    expect(largestDifference(path.times, [0, end / 4, end / 2, (3 * end) / 4, end])).toBeLessThan(1e-12)
    expect(path.states.shape).toEqual([5, 3, 2])
    const { z, deltaLogp } = await flow.forward(Float32Array.from(x))
    expect(largestDifference(path.states.data.slice(-6), z.data)).toBeLessThan(1e-4)
    expect(largestDifference(path.deltaLogp.data.slice(-3), deltaLogp)).toBeLessThan(1e-4)

    const samples = await flow.sample(4, { seed: 2 })
    const back = await flow.trajectory({ samples: 4, seed: 2, times: [0, 0.5, 1] })
    expect(back.times).toEqual([1, 0.5, 0])
    const standardized = samples.data.map((value, i) =>
      i % 2 === 0 ? (value - 0.1) / 1.5 : (value + 0.2) / 0.5
    )
    expect(largestDifference(back.states.data.slice(-8), standardized)).toBeLessThan(1e-4)
  })

  test('the velocity is the slope of the trajectory, and its divergence that of Δlogp', async () => {
    const t = 0.4
    const h = device === 'reference' ? 1e-4 : 2e-2
    const path = await flow.trajectory({ x, times: [t - h, t, t + h] })
    const state = (k: number) => path.states.data.subarray(6 * k, 6 * k + 6)
    const { f, divergence } = await flow.velocity(Float64Array.from(state(1)), { t, divergence: true })
    const slope = [...state(2)].map((value, i) => (value - state(0)[i]!) / (2 * h))
    expect(largestDifference(f.data, slope)).toBeLessThan(5e-3)
    const [before, after] = [path.deltaLogp.data.subarray(0, 3), path.deltaLogp.data.subarray(6)]
    const change = [...after].map((value, i) => -(value - before[i]!) / (2 * h))
    expect(largestDifference(divergence!, change)).toBeLessThan(5e-3)
    const perRow = await flow.velocity(x, { t: [0.1, t, 0.7] })
    const shared = await flow.velocity(x, { t })
    expect(largestDifference(perRow.f.data.slice(2, 4), shared.f.data.slice(2, 4))).toBeLessThan(tight)
  })

  test('loss is −mean log p, and its gradients are those of finite differences', async () => {
    const { loss, inputGradient } = await flow.loss(x, { inputGradient: true })
    const logProb = await flow.logProb(x)
    expect(Math.abs(loss + logProb.reduce((sum, value) => sum + value, 0) / 3)).toBeLessThan(tight)
    expect(
      largestDifference(
        inputGradient!.data,
        (await flow.score(x)).data.map((value) => -value / 3)
      )
    ).toBeLessThan(tight)

    const h = device === 'reference' ? 1e-5 : 1e-2
    const gradients = flow.gradients()
    const parameters = flow.parameters()
    for (const [name, { data }] of Object.entries(gradients)) {
      const at = async (step: number) => {
        const moved = parameters[name]!.data.slice()
        moved[0]! += step
        flow.setParameters({ [name]: moved })
        const values = await flow.logProb(x)
        flow.setParameters({ [name]: parameters[name]! })
        return -values.reduce((sum, value) => sum + value, 0) / 3
      }
      const slope = ((await at(h)) - (await at(-h))) / (2 * h)
      expect({ name, close: Math.abs(slope - data[0]!) < (device === 'reference' ? 1e-7 : 5e-3) }).toEqual({
        name,
        close: true
      })
    }
  })

  test('a pullback gives what loss gives', async () => {
    await flow.loss(x)
    const expected = flow.gradients()
    flow.zeroGradients()
    using solution = await flow.solve(x)
    const bar = {
      z: solution.z.data.map((value) => value / 3),
      deltaLogp: Float64Array.of(1 / 3, 1 / 3, 1 / 3)
    }
    const xBar = await solution.pullback(bar)
    expect(xBar.shape).toEqual([3, 2])
    for (const [name, { data }] of Object.entries(flow.gradients()))
      expect(largestDifference(data, expected[name]!.data)).toBeLessThan(10 * tight)
    await solution.pullback({ ...bar, parameters: false })
    for (const [name, { data }] of Object.entries(flow.gradients()))
      expect(largestDifference(data, expected[name]!.data)).toBeLessThan(10 * tight)
    solution.dispose()
    await failure(() => solution.pullback(bar), 'DISPOSED')
  })

  test('noise may be given; drawn noise follows its seed', async () => {
    const estimated = await Flow.create({ ...options(device), trace: { noise: 'gaussian' } })
    const noise = [Float64Array.of(1, 0, 1, 0, 1, 0), Float64Array.of(0, 1, 0, 1, 0, 1)]
    const given = await estimated.logProb(x, { noise })
    expect(await estimated.logProb(x, { noise })).toEqual(given)
    expect(await estimated.logProb(x, { noise: [...noise].reverse() })).not.toEqual(given)
    expect(await estimated.logProb(x, { seed: 1 })).toEqual(await estimated.logProb(x, { seed: 1 }))
    expect(await estimated.logProb(x, { seed: 2 })).not.toEqual(await estimated.logProb(x, { seed: 1 }))
    // A score is the same whenever it is asked for; a loss draws afresh.
    expect(await estimated.logProb(x)).toEqual(await estimated.logProb(x))
    expect((await estimated.loss(x)).loss).not.toBe((await estimated.loss(x)).loss)
    const exact = await estimated.logProb(x, { trace: 'exact' })
    expect(largestDifference(exact, await flow.logProb(x))).toBeLessThan(tight)
    expect(estimated.statistics!.traces.every((trace) => trace.startsWith('exact'))).toBe(true)
    expect(estimated.traces.every((trace) => trace.startsWith('hutchinson (gaussian'))).toBe(true)
    await failure(() => estimated.logProb(x, { noise, seed: 1 }), 'CONTRADICTORY_OPTIONS')
    await failure(() => estimated.logProb(x, { noise: [noise[0]!.subarray(1)] }), 'INVALID_ARGUMENT')
    await failure(() => flow.logProb(x, { noise }), 'INVALID_ARGUMENT')
    estimated.dispose()
  })

  test('tolerances of evaluation apply outside training, and a call may ask for its own', async () => {
    const loose = await Flow.create({
      ...options(device),
      solver: { rtol: 1e-2, atol: 1e-2, evaluation: { rtol: 1e-6, atol: 1e-6 } }
    })
    const { nfe } = await loose.loss(x)
    await loose.logProb(x)
    const evaluation = loose.statistics!.nfe
    expect(evaluation).toBeGreaterThan(nfe)
    await loose.logProb(x, { rtol: 1e-3, atol: 1e-3 })
    expect(loose.statistics!.nfe).toBeLessThan(evaluation)
    loose.dispose()
  })

  test('a call that fails leaves the flow as it was, and names where it failed', async () => {
    const limited = await Flow.create({
      ...options(device),
      solver: { rtol: 1e-9, atol: 1e-9, maxAttempts: 1 }
    })
    const before = limited.parameters()
    const error: FfjordError = await failure(() => limited.loss(x), 'SOLVE_FAILED')
    expect(error.failure!.block).toBe(1)
    expect(error.failure!.t).toBeGreaterThanOrEqual(0)
    expect(error.failure!.h).toBeGreaterThan(0)
    expect(limited.parameters()).toEqual(before)
    const { loss } = await limited.loss(x).catch(() => ({ loss: 0 }))
    expect(loss).toBe(0)
    expect(
      largestDifference(await limited.logProb(x, { rtol: 10, atol: 10 }), await flow.logProb(x))
    ).toBeLessThan(1e-3)
    limited.dispose()
  })

  test('wrong calls are refused before work starts', async () => {
    await failure(() => flow.logProb([[1, Number.NaN]]), 'NOT_FINITE')
    await failure(() => flow.logProb([[1, 2, 3]]), 'INVALID_SHAPE')
    await failure(() => flow.logProb(x, { rtol: -1 }), 'INVALID_OPTION')
    await failure(() => flow.logProb(x, { sede: 1 } as object), 'UNKNOWN_OPTION')
    await failure(() => flow.sample(0), 'INVALID_OPTION')
    await failure(() => flow.sample(1.5), 'INVALID_OPTION')
    await failure(() => flow.sample(2, { temperature: -1 }), 'INVALID_OPTION')
    await failure(() => flow.trajectory({ x, times: [0, 9] }), 'INVALID_OPTION')
    await failure(() => flow.velocity(x, { t: 0, block: 2 }), 'INVALID_OPTION')
    await failure(() => flow.velocity(x, { t: [0, 1] }), 'INVALID_SHAPE')
    await failure(() => flow.optimizer(), 'INVALID_OPTION')
    await failure(() => flow.setParameters({ nothing: x }), 'INVALID_OPTION')
    const [name] = Object.keys(flow.parameters())
    await failure(() => flow.setParameters({ [name!]: new Float32Array(99) }), 'INVALID_SHAPE')
    await failure(() => flow.setParameters({ [name!]: Float32Array.of(Number.NaN) }), 'NOT_FINITE')
    expect(flow.logProbSync(x)).toEqual(await flow.logProb(x))
  })

  test('calls queue up, flows run side by side, a signal ends a call', async () => {
    const other = await Flow.create(options(device))
    const expected = await flow.logProb(x)
    const many = await Promise.all(
      [flow, other, flow, other].map((one, i) =>
        i < 2 ? one.logProb(x) : one.loss(x).then(() => one.logProb(x))
      )
    )
    for (const values of many) expect(values).toEqual(expected)

    const aborted = AbortSignal.abort()
    await failure(() => flow.logProb(x, { signal: aborted }), 'CANCELLED')
    const controller = new AbortController()
    const rows = device.endsWith('emulated') ? 10_000 : 200_000 // that take longer than the signal
    const slow = flow.sample(rows, { signal: controller.signal })
    setTimeout(() => controller.abort(), 5)
    await failure(() => slow, 'CANCELLED')
    expect(await flow.logProb(x)).toEqual(expected)
    other.dispose()
  })

  test('a disposed flow says so', async () => {
    const gone = await Flow.create(options(device))
    const pending = gone.logProb(x)
    gone.dispose()
    gone.dispose()
    await pending
    await failure(() => gone.logProb(x), 'DISPOSED')
    await failure(() => gone.parameters(), 'DISPOSED')
    await failure(async () => gone.fit(x, { iterations: 1 }), 'DISPOSED')
  })

  test('regularisers are tracked and enter the loss with their weights', async () => {
    const regular = await Flow.create({
      ...options(device),
      regularize: { kinetic: 0.5, jacobian: 0 },
      trace: { noise: 'gaussian' }
    })
    const { loss, negativeLogProb, regularisers } = await regular.loss(x)
    const { kinetic = Number.NaN, jacobian } = regularisers
    expect(kinetic).toBeGreaterThan(0)
    expect(jacobian).toBeGreaterThan(0)
    expect(Math.abs(loss - negativeLogProb - 0.5 * kinetic)).toBeLessThan(1e-5)
    using solution = await regular.solve(x)
    expect(solution.regularisers.kinetic).toHaveLength(3)
    await solution.pullback({ z: solution.z, regularisers: { kinetic: [1, 1, 1] } })
    regular.dispose()
  })

  test.each(['adam', 'adamw', 'adamax', 'sgd'] as const)('%s lowers the loss', async (type) => {
    const trained = await Flow.create(options(device))
    const optimizer = trained.optimizer({ type, lr: 0.02, clipNorm: 10 })
    const { loss: first } = await trained.loss(x)
    let last = first
    for (let i = 0; i < 10; i++) {
      const { gradientNorm } = await optimizer.step()
      expect(gradientNorm).toBeGreaterThan(0)
      last = (await trained.loss(x)).loss
    }
    expect(last).toBeLessThan(first)
    trained.dispose()
  })
})

test('engines agree', async () => {
  const values = await Promise.all(
    engines.map(async ({ name }) => {
      using flow = await Flow.create({ ...single, device: name as Device })
      return flow.logProb(x)
    })
  )
  for (const one of values) expect(largestDifference(one, values[0]!)).toBeLessThan(1e-4)
})

test('a loss that is not finite leaves no gradients', async () => {
  const bounded = { type: 'cnf', net: { hidden: [8], layer: 'concat', activation: 'tanh' } } as const
  using flow = await Flow.create({ shape: [2], blocks: [bounded], device: 'reference' })
  await flow.loss(x)
  const huge = Float64Array.of(1e200, 0) // finite, and its square is not
  expect((await failure(() => flow.loss(huge), 'SOLVE_FAILED')).message).toMatch(/the loss is not finite/)
  for (const { data } of Object.values(flow.gradients()))
    expect(data.every((value) => value === 0)).toBe(true)
})
