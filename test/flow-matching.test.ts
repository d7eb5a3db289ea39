import {
  type Block,
  type Device,
  Flow,
  type FlowOptions,
  fitGaussian,
  fromArray,
  fromImages,
  type Objective,
  toy
} from 'ffjord'
import { engineNames, largestDifference } from './engines'

/**
 * Conditional flow matching (Lipman et al. 2023, eq. 23) on straight lines from data at t = 0 to base points at t = 1:
 * regress f(x_t, t) on x₁ − x₀, without a solve.
 */
async function trainByFlowMatching(flow: Flow, iterations: number): Promise<void> {
  const optimizer = flow.optimizer({ type: 'adam', lr: 1e-2 })
  const data = toy('8gaussians', { seed: 1 })
  const batch = 128
  for (let iteration = 0; iteration < iterations; iteration++) {
    const x0 = data.sample(batch).data
    const { data: x1 } = flow.sampleBase(batch)
    const t = Float64Array.from({ length: batch }, (_, row) => (row + ((iteration * 0.618) % 1)) / batch)
    const x = x0.map((start, i) => start + t[i >> 1]! * (x1[i]! - start))
    const { f } = await flow.velocity(x, { t })
    const fBar = f.data.map((value, i) => (2 * (value - (x1[i]! - x0[i]!))) / batch)
    flow.zeroGradients()
    await flow.velocityPullback(x, { t, f: fBar })
    await optimizer.step()
  }
}

async function gains(device: Device) {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [32, 32], layer: 'concatsquash' } }],
    solver: { rtol: 1e-3, atol: 1e-3 },
    trace: 'exact',
    device
  })
  const test = toy('8gaussians', { seed: 2 })
  const held = await test.take(200)
  const { nll: before } = await flow.evaluate(held)
  await trainByFlowMatching(flow, 300)
  const { nll: after } = await flow.evaluate(held)
  // The Gaussian of these very rows, which is what a flow of linear maps would reach at best.
  const rows = { data: held.data, shape: [200, 2] }
  const gaussian = fitGaussian(rows)
    .logProb(rows)
    .reduce((sum, one) => sum - one / 200, 0)
  return { before, after, gaussian, entropy: test.entropy }
}

test.each(engineNames)('%s learns without a solve, by flow matching', async (device) => {
  const { before, after, gaussian, entropy } = await gains(device)
  expect(before - entropy).toBeGreaterThan(2)
  expect(after - entropy).toBeGreaterThan(-0.1)
  expect(after - entropy).toBeLessThan(1)
  expect(gaussian - after).toBeGreaterThan(0.4)
})

/** Points are made where the rows lie: of one block with independent couplings, else on the host. */
const cnf = (net: object = {}): Block => ({ type: 'cnf', time: 0.7, net: { hidden: [6, 5], ...net } })
const values = (count: number) => Float32Array.from({ length: count }, (_, i) => 1.2 * Math.sin(1 + i * i))
const table = () => fromArray(values(150), { shape: [3] })
const conditioned = () =>
  fromArray(values(150), { shape: [3], context: { data: values(100), shape: [50, 2] } })
const pictures = () =>
  fromImages(
    Uint8Array.from({ length: 50 * 32 }, (_, i) => (i * i) % 256),
    { shape: [2, 4, 4], seed: 4 }
  )

const cases: [string, FlowOptions, () => ReturnType<typeof table | typeof pictures>, Objective][] = [
  ['rows', { shape: [3], blocks: [cnf()] }, table, 'fm'],
  [
    'rows behind fixed transforms, with a context',
    {
      shape: [3],
      context: 2,
      blocks: [{ type: 'standardize', mean: [0.1, 0, 0.2], scale: [1, 0.7, 1] }, cnf()]
    },
    conditioned,
    'fm'
  ],
  [
    'images',
    { shape: [2, 4, 4], blocks: [{ type: 'logit', alpha: 0.05 }, cnf({ hidden: [4], strides: [1, 1] })] },
    pictures,
    'fm'
  ],
  ['optimal couplings', { shape: [3], blocks: [cnf()] }, table, { type: 'fm', coupling: 'optimal' }],
  ['two blocks', { shape: [3], blocks: [cnf(), cnf()] }, table, 'fm']
]

describe.each(engineNames.filter((name) => name !== 'reference'))('%s', (device) => {
  test.each(cases)('matches %s as the reference does', async (_, options, data, objective) => {
    const fitted = async (on: Device) => {
      using flow = await Flow.create({ ...options, device: on, seed: 3 })
      const fit = flow.fit(data(), {
        iterations: 3,
        batch: 20,
        objective,
        optimizer: { type: 'sgd', lr: 0.05 },
        seed: 5
      })
      const losses: number[] = []
      const norms: number[] = []
      for await (const { records } of fit) {
        losses.push(...records.map(({ loss }) => loss))
        norms.push(...records.map(({ gradientNorm }) => gradientNorm))
      }
      return { losses, norms, weights: Object.values(flow.parameters()).flatMap(({ data }) => [...data]) }
    }
    const [own, expected] = [await fitted(device), await fitted('reference')]
    expect(own.losses).toHaveLength(3)
    for (const [i, loss] of own.losses.entries()) expect(loss / expected.losses[i]!).toBeCloseTo(1, 5)
    for (const [i, norm] of own.norms.entries()) expect(norm / expected.norms[i]!).toBeCloseTo(1, 4)
    expect(largestDifference(own.weights, expected.weights)).toBeLessThan(2e-5)
  })
})
