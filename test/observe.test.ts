import { Flow, multiscale } from 'ffjord'
import { failure } from './failure'

/** Pairs of correlation 0.9 through a logit: what the first number says of the second is known. */
const rho = 0.9
const mean = 1
const sigmoid = (u: number) => 1 / (1 + Math.exp(-u))
const logit = (x: number) => Math.log(x / (1 - x))

async function trained(): Promise<Flow> {
  const flow = await Flow.create({
    shape: [2],
    blocks: [
      { type: 'logit', alpha: 0 },
      { type: 'standardize', mean: [mean, 0], scale: [1, 1] },
      { type: 'cnf', time: 1, net: { hidden: [32, 32], layer: 'concatsquash' } }
    ],
    seed: 1
  })
  const base = flow.sampleBase(4000, { seed: 5 }).data
  const rows = Float64Array.from(base, (value, i) =>
    sigmoid(i % 2 ? rho * base[i - 1]! + Math.sqrt(1 - rho * rho) * value : mean + value)
  )
  await flow.fit(rows, {
    objective: 'fm',
    iterations: 1200,
    batch: 256,
    optimizer: { type: 'adam', lr: 1e-2 },
    schedule: { type: 'cosine' }
  })
  return flow
}

let flow: Flow
beforeAll(async () => {
  flow = await trained()
})
afterAll(() => flow.dispose())

test('what is observed comes out as it was, and says what it should of the rest', async () => {
  for (const u of [-1.2, 0.8]) {
    const first = sigmoid(mean + u)
    const { data } = await flow.sample(1500, {
      observe: { mask: [true, false], values: [first, Number.NaN] },
      precision: 'float64',
      seed: 3
    })
    const second = data.filter((_, i) => i % 2).map(logit)
    expect(new Set(data.filter((_, i) => i % 2 === 0))).toEqual(new Set([first]))
    const average = second.reduce((sum, value) => sum + value, 0) / second.length
    const variance = second.reduce((sum, value) => sum + (value - average) ** 2, 0) / second.length
    expect(Math.abs(average - rho * u)).toBeLessThan(0.2) // of the marginal it would be 0
    expect(Math.sqrt(variance)).toBeLessThan(0.7) // of the marginal 1, of the conditional 0.44
    expect(Math.sqrt(variance)).toBeGreaterThan(0.2)
  }
})

test('without an observation samples are those of the flow', async () => {
  const observe = { mask: [0, 0], values: [0, 0] }
  const bent = await flow.sample(200, { observe, seed: 4 })
  const free = await flow.sample(200, { seed: 4 })
  for (const [i, value] of bent.data.entries()) expect(Math.abs(value - free.data[i]!)).toBeLessThan(0.05)
})

test('observations that cannot be are refused', async () => {
  const observe = { mask: [1, 0], values: [0.5, 0] }
  await failure(() => flow.sample(2, { observe: { ...observe, values: [2, 0] } }), 'OUTSIDE_SUPPORT')
  await failure(() => flow.sample(2, { observe: { ...observe, values: [Number.NaN, 0] } }), 'NOT_FINITE')
  await failure(() => flow.sample(2, { observe: { ...observe, mask: [1] } }), 'INVALID_SHAPE')
  await failure(() => flow.sample(3, { observe: { ...observe, mask: [1, 0, 1, 0] } }), 'INVALID_SHAPE')
  await failure(() => flow.sampleAndLogProb(2, { observe }), 'UNSUPPORTED')
  for (const mask of [[1, {}], [1, Symbol('one')], 'ab', new DataView(new ArrayBuffer(8)), null])
    await failure(() => flow.sample(2, { observe: { ...observe, mask: mask as number[] } }), 'INVALID_INPUT')
  const detached = new Float64Array([1, 0])
  structuredClone(detached, { transfer: [detached.buffer] })
  await failure(() => flow.sample(2, { observe: { ...observe, mask: detached } }), 'INVALID_INPUT')
  const { proxy, revoke } = Proxy.revocable({ observe }, {})
  revoke()
  await failure(() => flow.sample(2, proxy), 'INVALID_OPTION')
  const signal = AbortSignal.abort()
  await failure(() => flow.sample(2, { observe, signal }), 'CANCELLED')
  using whitened = await Flow.create({
    shape: [2],
    blocks: [
      { type: 'whiten', mean: [0, 0], matrix: [1, 0, 0, 1] },
      { type: 'cnf', net: { hidden: [2] } }
    ]
  })
  await failure(() => whitened.sample(2, { observe }), 'UNSUPPORTED')
  const shape = [1, 8, 8]
  using scales = await Flow.create({
    shape,
    blocks: multiscale({ shape, hidden: [2], activation: 'softplus' })
  })
  const picture = { mask: new Array(64).fill(1), values: new Array(64).fill(0.5) }
  const { message } = await failure(() => scales.sample(1, { observe: picture }), 'UNSUPPORTED')
  expect(message).toMatch(/one velocity.*this flow has squeeze; .*net\.parallel/)
})

test('a field that no number of steps follows is told, not drawn', async () => {
  using wild = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [2], activation: 'square' } }]
  })
  const weights = Object.entries(wild.parameters()).map(([name, { data, shape }]) => [
    name,
    { data: data.map(() => 1e3), shape }
  ])
  wild.setParameters(Object.fromEntries(weights.filter(([name]) => !String(name).endsWith('sqrt_end_time'))))
  const observe = { mask: [1, 0], values: [0.5, 0], steps: 5 }
  const { message } = await failure(() => wild.sample(2, { observe }), 'NOT_FINITE')
  expect(message).toMatch(/^sample 0 with observe came to .* in 5 steps; take more steps/)
})
