import { type Device, Flow } from 'ffjord'
import { engineNames } from './engines'

/** A banana: x₁ ~ N(0, 1), x₂ | x₁ ~ N(x₁²/2 − 1, 0.5²). */
const logDensity = (x: number, y: number) =>
  -0.5 * x * x - 2 * (y - 0.5 * x * x + 1) ** 2 - Math.log(2 * Math.PI * 0.5)
const logDensityGradient = (x: number, y: number) => {
  const residual = y - 0.5 * x * x + 1
  return [-x + 4 * residual * x, -4 * residual]
}

/** Minimises KL(q ‖ p) = E_z[log N(z) + Δlogp(z) − log p(x(z))]; returns all estimates. */
async function trainByReverseKl(device: Device): Promise<number[]> {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [16, 16], layer: 'concatsquash' } }],
    solver: { rtol: 1e-3, atol: 1e-3 },
    trace: 'exact',
    device
  })
  const optimizer = flow.optimizer({ type: 'adam', lr: 2e-2 })
  const batch = 64
  const estimates: number[] = []
  for (let iteration = 0; iteration < 150; iteration++) {
    const { data: z } = flow.sampleBase(batch)
    using solution = await flow.solve(z, { direction: 'reverse' })
    const { data: x } = solution.x
    let divergence = 0
    const xBar = new Float32Array(2 * batch)
    for (let row = 0; row < batch; row++) {
      const [a, b, u, v] = [x[2 * row]!, x[2 * row + 1]!, z[2 * row]!, z[2 * row + 1]!]
      const logQ = -0.5 * (u * u + v * v) - Math.log(2 * Math.PI) + solution.deltaLogp[row]!
      divergence += (logQ - logDensity(a, b)) / batch
      xBar.set(
        logDensityGradient(a, b).map((slope) => -slope / batch),
        2 * row
      )
    }
    estimates.push(divergence)
    flow.zeroGradients()
    await solution.pullback({ x: xBar, deltaLogp: new Float32Array(batch).fill(1 / batch) })
    await optimizer.step()
  }
  return estimates
}

test.each(engineNames)('%s learns a given density by reverse KL', async (device) => {
  const estimates = await trainByReverseKl(device)
  const last = estimates.slice(-20).reduce((sum, value) => sum + value / 20, 0)
  expect(estimates[0]).toBeGreaterThan(2)
  expect(last).toBeGreaterThan(-0.02)
  expect(last).toBeLessThan(0.35)
})
