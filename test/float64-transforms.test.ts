import { type Block, Flow, type FlowOptions, fromArray, fromAsyncIterable, fromRows } from 'ffjord'
import { engineNames, largestDifference } from './engines'

/** The transforms that a flow begins with are computed in float64: what float32 would round away is seen. */

const cnf: Block = { type: 'cnf', time: 1, net: { hidden: [12, 12] } }
const count = 40

/** Rows in [0.05, 0.95], in steps of 2⁻²¹ so that a shift by a whole number below 2³¹ is exact in float64. */
const near = Float64Array.from(
  { length: 2 * count },
  (_, i) => Math.round((0.5 + 0.45 * Math.sin(i * i + 1)) * 2 ** 21) / 2 ** 21
)

/** Each fixed transform at `shift` from where it would stand around 0. */
const shifted: Record<string, (shift: number) => Block[]> = {
  standardize: (shift) => [{ type: 'standardize', mean: [shift + 0.5, shift + 0.25], scale: [0.25, 0.5] }],
  whiten: (shift) => [{ type: 'whiten', mean: [shift + 0.5, shift + 0.25], matrix: [4, 0, -1, 2] }],
  support: (shift) => [
    { type: 'support', lower: [shift, shift - 1], upper: [shift + 1, null] },
    { type: 'standardize', mean: [0.5, 0.5], scale: [1.5, 1] }
  ],
  'logit behind standardize': (shift) => [
    { type: 'standardize', mean: [shift, shift], scale: [1, 1] },
    { type: 'logit', alpha: 0.01 }
  ],
  'zero_mean behind standardize': (shift) => [
    { type: 'standardize', mean: [shift, shift], scale: [0.5, 0.5] },
    { type: 'zero_mean' }
  ]
}

async function create(device: string, blocks: Block[], more: Partial<FlowOptions> = {}): Promise<Flow> {
  return Flow.create({
    shape: [2],
    blocks: [...blocks, cnf],
    device: device as 'cpu',
    trace: 'exact',
    seed: 5,
    ...more
  })
}

const moved = (shift: number, rows = near) => rows.map((value) => value + shift)

describe.each(engineNames)('%s', (device) => {
  describe.each(Object.keys(shifted))('%s', (name) => {
    test.each([1e5, 1.7e9])(
      'log p and score far from zero (%p) are those of the shifted flow',
      async (shift) => {
        using here = await create(device, shifted[name]!(0))
        using far = await create(device, shifted[name]!(shift))
        const [expected, found] = [await here.logProb(near), await far.logProb(moved(shift))]
        for (let i = 0; i < count; i++)
          expect(Math.abs(found[i]! - expected[i]!)).toBeLessThan(1e-5 * Math.max(1, Math.abs(expected[i]!)))
        const [slope, farSlope] = [(await here.score(near)).data, (await far.score(moved(shift))).data]
        const size = Math.max(...slope.map(Math.abs))
        expect(largestDifference(farSlope, slope)).toBeLessThan(1e-4 * size)
      }
    )

    test('x → z → x at 1.7e9 comes back in float64', async () => {
      const solver = { rtol: 1e-7, atol: 1e-7 }
      using flow = await create(device, shifted[name]!(1.7e9), { solver })
      const x = moved(1.7e9)
      const { z, deltaLogp } = await flow.forward(x)
      const back = await flow.inverse(z)
      expect(back.x.data.constructor.name).toBe('Float64Array')
      // float32 numbers lie 128 apart there, float64 ones 2.4e-7.
      expect(largestDifference(back.x.data, x)).toBeLessThan(1e-4)
      expect(
        largestDifference(
          back.deltaLogp,
          deltaLogp.map((value) => -value)
        )
      ).toBeLessThan(1e-3)
    })

    test('samples in float64 have the density that came with them', async () => {
      const solver = { rtol: 1e-7, atol: 1e-7 }
      using flow = await create(device, shifted[name]!(1.7e9), { solver })
      const { x, logProb } = await flow.sampleAndLogProb(50, { precision: 'float64', seed: 1 })
      const found = await flow.logProb(x.data)
      for (let i = 0; i < 50; i++)
        expect(Math.abs(found[i]! - logProb[i]!)).toBeLessThan(1e-3 * Math.max(1, Math.abs(logProb[i]!)))
      expect(new Set(x.data.map((value) => value % 1)).size).toBeGreaterThan(50)
    })
  })

  test('a score is the slope of log p, through every transform, and the loss has it too', async () => {
    for (const [name, blocks] of Object.entries(shifted)) {
      using flow = await create(device, blocks(1e5), { solver: { rtol: 1e-8, atol: 1e-8 } })
      const x = moved(1e5).slice(0, 12)
      const { data: slope } = await flow.score(x)
      const { inputGradient } = await flow.loss(x, { inputGradient: true })
      const h = device === 'reference' ? 2 ** -16 : 2 ** -7
      const size = Math.max(...slope.map(Math.abs))
      for (let i = 0; i < x.length; i++) {
        const at = (by: number) =>
          flow.logProbSync(x.map((value, j) => (i === j ? value + by : value)))[i >> 1]!
        const difference = (at(h) - at(-h)) / (2 * h)
        expect([
          name,
          Math.abs(difference - slope[i]!) / size < (device === 'reference' ? 1e-4 : 0.03)
        ]).toEqual([name, true])
        expect(Math.abs(inputGradient!.data[i]! + slope[i]! / 6) / size).toBeLessThan(1e-3)
      }
    }
  })

  test('a reverse solve passes cotangents through the transforms', async () => {
    using flow = await create(device, shifted.support!(1e5))
    const z = Float64Array.of(0.3, -0.2, -1, 0.4)
    const solution = await flow.solve(z, { direction: 'reverse', training: false })
    const bar = Float64Array.of(1, -2, 0.5, 1)
    const deltaLogp = Float64Array.of(0.7, -0.3)
    const { data } = await solution.pullback({ x: bar, deltaLogp })
    const h = device === 'reference' ? 1e-4 : 1e-2
    const value = async (rows: Float64Array) => {
      const { x, deltaLogp: d } = await flow.inverse(rows)
      return (
        x.data.reduce((sum, one, i) => sum + bar[i]! * (one - 1e5), 0) +
        d.reduce((sum, one, i) => sum + deltaLogp[i]! * one, 0)
      )
    }
    for (let i = 0; i < 4; i++) {
      const at = (by: number) => value(z.map((one, j) => (i === j ? one + by : one)))
      const difference = ((await at(h)) - (await at(-h))) / (2 * h)
      expect(Math.abs(data[i]! - difference)).toBeLessThan(
        (device === 'reference' ? 1e-4 : 2e-2) * (1 + Math.abs(difference))
      )
    }
  })

  test('training far from zero takes the steps of training around it, from arrays, rows and streams', async () => {
    const shift = 1.7e9
    const x = moved(shift)
    const rows = Array.from({ length: count }, (_, i) => [x[2 * i]!, x[2 * i + 1]!])
    const options = { iterations: 8, batch: 10, optimizer: { type: 'adam', lr: 1e-2 } } as const
    const train = async (data: Parameters<Flow['fit']>[0], by: number) => {
      using flow = await create(device, shifted.standardize!(by))
      await flow.fit(data, options)
      return Object.values(flow.parameters()).flatMap(({ data }) => [...data])
    }
    const expected = await train(fromArray(near, { shape: [2] }), 0)
    expect(await train(fromArray(x, { shape: [2] }), shift)).toEqual(expected)
    expect(await train(fromRows(rows), shift)).toEqual(expected)
    const stream = (values: number[][]) =>
      fromAsyncIterable(
        async function* () {
          yield values
        },
        { shape: [2] }
      )
    const plain = Array.from({ length: count }, (_, i) => [near[2 * i]!, near[2 * i + 1]!])
    const few = { ...options, iterations: 3 }
    const stepped = async (values: number[][], by: number) => {
      using flow = await create(device, shifted.standardize!(by))
      await flow.fit(stream(values), few)
      return Object.values(flow.parameters()).flatMap(({ data }) => [...data])
    }
    expect(await stepped(rows, shift)).toEqual(await stepped(plain, 0))
  })

  test('contexts are standardised in float64', async () => {
    const shift = 1.7e9
    const make = (by: number) => create(device, [], { context: { size: 1, mean: [by + 0.5], scale: [0.25] } })
    using here = await make(0)
    using far = await make(shift)
    const context = near.slice(0, count)
    const expected = await here.logProb(near, { context })
    expect(await far.logProb(near, { context: moved(shift, context) })).toEqual(expected)
    const fit = { iterations: 5, batch: 10, optimizer: { type: 'adam', lr: 1e-2 } } as const
    await here.fit(fromArray(near, { shape: [2], context }), fit)
    await far.fit(fromArray(near, { shape: [2], context: moved(shift, context) }), fit)
    expect(far.parameters()).toEqual(here.parameters())
  })
})
