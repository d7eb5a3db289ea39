import { type Device, Flow, type FlowOptions, type HutchinsonTrace } from 'ffjord'
import { engineNames, largestDifference } from './engines'
import { failure } from './failure'

const size = 12
const width = 3

function options(device: Device, change: Partial<FlowOptions> = {}): FlowOptions {
  const net = { hidden: [20, width, 20], layer: 'concat' } as const
  return { shape: [size], blocks: [{ type: 'cnf', net }], device, seed: 3, ...change }
}

/** Mean and variance of the divergence of some points over many draws of the noise. */
async function moments(flow: Flow, trace: HutchinsonTrace, draws: number) {
  const { data: z } = flow.sampleBase(4, { seed: 1 })
  const sums = new Float64Array(4)
  const squares = new Float64Array(4)
  for (let seed = 0; seed < draws; seed++) {
    const { divergence } = await flow.velocity(z, { t: 0.25, divergence: true, trace, seed })
    divergence!.forEach((value, row) => {
      sums[row]! += value / draws
      squares[row]! += value ** 2 / draws
    })
  }
  const exact = (await flow.velocity(z, { t: 0.25, divergence: true, trace: 'exact' })).divergence!
  return [...exact].map((truth, row) => ({
    truth,
    mean: sums[row]!,
    variance: squares[row]! - sums[row]! ** 2
  }))
}

describe.each(engineNames)('%s', (device) => {
  test.each(['gaussian', 'rademacher'] as const)('%s noise: the same mean, less variance', async (noise) => {
    using flow = await Flow.create(options(device))
    const draws = 800
    const narrow = await moments(flow, { noise, bottleneck: true }, draws)
    const wide = await moments(flow, { noise }, draws)
    for (const { truth, mean, variance } of narrow)
      expect(Math.abs(mean - truth)).toBeLessThan(4.5 * Math.sqrt(variance / draws))
    const total = (some: { variance: number }[]) => some.reduce((sum, { variance }) => sum + variance, 0)
    expect(total(narrow)).toBeLessThan(0.7 * total(wide))
  })

  test('it trains, and says what it did', async () => {
    using flow = await Flow.create(
      options(device, { trace: { noise: 'rademacher', probes: 2, bottleneck: true } })
    )
    expect(flow.traces).toEqual([`hutchinson (rademacher, 2 probes, bottleneck of ${width})`])
    const rows = new Float32Array(size * 16).map((_, i) => Math.sin(i * i))
    const optimizer = flow.optimizer({ type: 'adam', lr: 0.01 })
    const { loss: first } = await flow.loss(rows, { seed: 0 })
    for (let i = 0; i < 10; i++) {
      await flow.loss(rows)
      await optimizer.step()
    }
    expect((await flow.loss(rows, { seed: 0 })).loss).toBeLessThan(first)
    await flow.logProb(rows, { noise: [new Float32Array(2 * 16 * width)] })
    await failure(() => flow.logProb(rows, { noise: [new Float32Array(2 * 16 * size)] }), 'INVALID_ARGUMENT')
  })
})

const trace = { noise: 'rademacher', bottleneck: true } as const

/** A conditional flow of 12 numbers with 2 of context. */
const gated = { net: { hidden: [20, width, 20] }, gates: true }
const ungated = { net: { hidden: [20, width, 20], layer: 'concat' as const }, gates: false }
describe.each(engineNames.filter((name) => name !== 'reference'))('%s', (device) => {
  test.each([
    ['a context in the first layer', ungated, 'batch'],
    ['a context in gates', gated, 'batch'],
    ['a step for every row', ungated, 'sample'],
    ['a step for every row, a context in gates', gated, 'sample']
  ] as const)('%s: values and gradients of the reference engine', async (_, { net, gates }, control) => {
    const rows = new Float64Array(size * 5).map((_, i) => Math.sin(i * i))
    const context = new Float64Array(2 * 5).map((_, i) => Math.cos(3 * i))
    const found = await Promise.all(
      [device, 'reference' as const].map(async (one) => {
        using flow = await Flow.create({
          ...options(one, { trace, context: { size: 2, gates } }),
          blocks: [{ type: 'cnf', net }],
          solver: { rtol: 1e-6, atol: 1e-6, control, evaluation: { control } }
        })
        const { loss, contextGradient } = await flow.loss(rows, { context, contextGradient: true, seed: 5 })
        const logProb = await flow.logProb(rows, { context, trace: 'exact' })
        const exact = -logProb.reduce((sum, value) => sum + value / 5, 0)
        flow.zeroGradients()
        await flow.loss(rows, { context, seed: 5 })
        const gradients = Object.values(flow.gradients()).flatMap(({ data }) => [...data])
        return { loss, exact, context: contextGradient!.data, gradients }
      })
    )
    const [fast, truth] = found as [(typeof found)[0], (typeof found)[0]]
    expect(Math.abs(truth.loss - truth.exact)).toBeGreaterThan(1e-3) // it is an estimate
    expect(Math.abs(fast.loss - truth.loss)).toBeLessThan(1e-4)
    expect(largestDifference(fast.context, truth.context)).toBeLessThan(1e-4)
    expect(largestDifference(fast.gradients, truth.gradients)).toBeLessThan(1e-4)
    expect(truth.gradients.some((slope) => Math.abs(slope) > 0.01)).toBe(true)
  })
})

test.each([
  [{ trace: { ...trace, form: 'vjp' } }, 'CONTRADICTORY_OPTIONS'],
  [{ trace, shape: [3] }, 'UNSUPPORTED'],
  [{ trace, regularize: { jacobian: 1 } }, 'UNSUPPORTED'],
  [{ trace, regularize: { JFrobint: 1 } }, 'UNSUPPORTED'],
  [{ trace: { ...trace, bottleneck: 1 } }, 'INVALID_OPTION']
] as const)('%j is refused', async (change, code) => {
  await failure(() => Flow.create(options('reference', change as Partial<FlowOptions>)), code)
})
