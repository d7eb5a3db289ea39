import { type Device, Flow, fitGaussian, toy } from 'ffjord'
import { engineNames } from './engines'

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
