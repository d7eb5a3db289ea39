import { type Device, Flow, type FlowOptions } from 'ffjord'
import { binding } from '../lib/native/binding'
import { regularisers } from '../lib/native/regularisers'
import { engineNames, tolerance } from './engines'
import { failure } from './failure'

const x = Float64Array.of(0.3, -1.2, 0.8, 1.1, 0.2, -0.4, -0.7, 0.5, 0.9)
const rows = 3
const tracked = Object.fromEntries(regularisers.map((name, i) => [name, 0.1 * i]))

function options(device: Device, change: Partial<FlowOptions> = {}): FlowOptions {
  const cnf = { type: 'cnf', time: 0.6, net: { hidden: [7, 6] } } as const
  return { shape: [3], blocks: [cnf, cnf], device, seed: 4, ...change }
}

test('their names are those of the core, in its order', () => {
  expect(regularisers).toEqual(binding().regularisers())
})

describe.each(engineNames)('%s', (device) => {
  test('each is in the loss with its weight, and its mean is reported', async () => {
    using flow = await Flow.create(options(device, { regularize: tracked }))
    const {
      loss,
      negativeLogProb,
      regularisers: means,
      inputGradient
    } = await flow.loss(x, {
      inputGradient: true
    })
    expect(Object.keys(means)).toEqual(regularisers)
    const added = regularisers.reduce((sum, name) => sum + tracked[name]! * means[name]!, 0)
    expect(loss - negativeLogProb).toBeCloseTo(added, 6)
    expect(inputGradient!.data.every(Number.isFinite)).toBe(true)
    using solution = await flow.solve(x)
    for (const name of regularisers) {
      const values = solution.regularisers[name]!
      expect(values).toHaveLength(rows)
      const mean = values.reduce((sum, value) => sum + value, 0) / rows
      expect(Math.abs(mean - means[name]!)).toBeLessThan(tolerance(device))
    }
  })

  test('they do not change the steps, nor the density in evaluation', async () => {
    using plain = await Flow.create(options(device, { trace: 'exact' }))
    using regular = await Flow.create(options(device, { trace: 'exact', regularize: { kinetic: 1 } }))
    using whole = await Flow.create(options(device, { regularize: { JFrobint: 1 } }))
    expect((await regular.loss(x)).nfe).toBe((await plain.loss(x)).nfe)
    expect(await regular.logProb(x)).toEqual(await plain.logProb(x))
    expect(whole.traces).toEqual(['exact (unit tangents)', 'exact (unit tangents)'])
  })

  test('the cotangent of each reaches the rows', async () => {
    using flow = await Flow.create(
      options(device, { regularize: tracked, solver: { method: 'rk4', steps: 3 } })
    )
    const zero = new Float64Array(x.length)
    for (const name of regularisers) {
      const value = async (at: Float64Array) => {
        using solution = await flow.solve(at, { differentiable: false })
        return solution.regularisers[name]!.reduce((sum, one) => sum + one, 0)
      }
      const step = tolerance(device) < 1e-6 ? 1e-6 : 5e-3
      const along = x.map((_, i) => Math.sin(1 + i))
      const moved = (sign: number) => x.map((one, i) => one + sign * step * along[i]!)
      const difference = ((await value(moved(1))) - (await value(moved(-1)))) / (2 * step)
      using solution = await flow.solve(x)
      const bar = await solution.pullback({ z: zero, regularisers: { [name]: [1, 1, 1] } })
      const derivative = bar.data.reduce((sum, one, i) => sum + one * along[i]!, 0)
      expect(Math.abs(derivative - difference)).toBeLessThan(tolerance(device) < 1e-6 ? 1e-7 : 1e-3)
    }
  })
})

const reference = (change: object) => Flow.create(options('reference', change))

test.each([
  [
    { regularize: { JFrobint: 1 }, trace: { noise: 'gaussian' } },
    'UNSUPPORTED',
    "use trace 'exact' or 'auto', or the regulariser jacobian"
  ],
  [{ shape: [1], regularize: { JoffdiagFrobint: 0 } }, 'UNSUPPORTED', 'leave it out'],
  [
    { regularize: { jacobian: 1 }, trace: { noise: 'gaussian', form: 'vjp' } },
    'UNSUPPORTED',
    "use trace.form 'tangent'"
  ],
  [{ regularize: { kinetics: 1 } }, 'UNKNOWN_OPTION', "'kinetic'"]
] as const)('%j is refused', async (change, code, words) => {
  const { message } = await failure(() => reference(change), code)
  expect(message).toContain(words)
})

test('cotangents of what is not tracked are refused', async () => {
  using flow = await reference({ regularize: { kinetic: 0 } })
  using solution = await flow.solve(x)
  await failure(() => solution.pullback({ z: x, regularisers: { l1int: [1, 1, 1] } }), 'UNKNOWN_OPTION')
})
