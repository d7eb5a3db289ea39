import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Device, Flow, type FlowOptions, toy } from 'ffjord'
import { engineNames, tolerance } from './engines'

const steer = 0.4
const x = Float64Array.of(0.4, -0.9, 1.3, 0.2)

// One Euler step takes T times the integrand at the start, so a regulariser tells the end time of its solve.
function options(device: Device, change: Partial<FlowOptions> = {}): FlowOptions {
  return {
    shape: [2],
    blocks: [{ type: 'cnf', time: 0.8, trainTime: true, net: { hidden: [6] } }],
    solver: { method: 'euler', steps: 1 },
    regularize: { kinetic: 0.3, steer },
    trace: 'exact',
    seed: 2,
    device,
    ...change
  }
}

describe.each(engineNames)('%s', (device) => {
  test('end times are uniform around T, drawn by the seed of a call', async () => {
    using random = await Flow.create(options(device))
    using fixed = await Flow.create(options(device, { regularize: { kinetic: 0.3 } }))
    const kinetic = async (flow: Flow, seed: number) => (await flow.loss(x, { seed })).regularisers.kinetic!
    const atEnd = await kinetic(fixed, 0)
    const factors: number[] = []
    for (let seed = 0; seed < 300; seed++) factors.push((await kinetic(random, seed)) / atEnd)
    expect(Math.min(...factors)).toBeGreaterThan(1 - steer - 1e-5)
    expect(Math.max(...factors)).toBeLessThan(1 + steer + 1e-5)
    const mean = factors.reduce((sum, factor) => sum + factor, 0) / factors.length
    const variance = factors.reduce((sum, factor) => sum + (factor - mean) ** 2, 0) / factors.length
    const deviation = steer / Math.sqrt(3) // of the uniform law
    expect(Math.abs(mean - 1)).toBeLessThan((4 * deviation) / Math.sqrt(factors.length))
    expect(Math.sqrt(variance) / deviation).toBeGreaterThan(0.9)
    expect(Math.sqrt(variance) / deviation).toBeLessThan(1.1)
    expect(await kinetic(random, 7)).toBe(await kinetic(random, 7))
  })

  test('each block draws its own', async () => {
    const cnf = { type: 'cnf', time: 0.8, net: { hidden: [6] } } as const
    using flow = await Flow.create(options(device, { blocks: [cnf, cnf], solver: {} }))
    using other = await Flow.create(options(device, { blocks: [cnf], solver: {} }))
    const z = async (one: Flow) => {
      using solution = await one.solve(x, { seed: 3 })
      return [...solution.z.data]
    }
    expect(await z(flow)).not.toEqual(await z(other))
  })

  test('evaluation knows nothing of it', async () => {
    using random = await Flow.create(options(device))
    using fixed = await Flow.create(options(device, { regularize: {} }))
    expect(await random.logProb(x, { seed: 1 })).toEqual(await fixed.logProb(x, { seed: 1 }))
    expect(await random.sample(5, { seed: 1 })).toEqual(await fixed.sample(5, { seed: 1 }))
  })

  test.each(['checkpoint', 'adjoint'] as const)(
    'the gradient of T is that of the solve, by %s',
    async (gradient) => {
      const solver = { method: 'rk4', steps: 12 } as const
      using flow = await Flow.create(options(device, { gradient, solver }))
      const name = 'chain.0.sqrt_end_time'
      const root = flow.parameters()[name]!.data[0]!
      const loss = async (at: number) => {
        flow.setParameters({ [name]: Float64Array.of(at) })
        return (await flow.loss(x, { seed: 5 })).loss
      }
      const step = 1e-3
      const difference = ((await loss(root + step)) - (await loss(root - step))) / (2 * step)
      await loss(root)
      const derivative = flow.gradients()[name]!.data[0]!
      const allowed = tolerance(device) < 1e-6 ? 1e-6 : 2e-3 // of the step, and of float32
      expect(Math.abs(derivative - difference)).toBeLessThan(allowed + (gradient === 'adjoint' ? 1e-4 : 0))
    }
  )

  test('a resumed fit draws the same end times', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ffjord-steer-'))
    const path = join(folder, 'model.safetensors')
    const fit = { batch: 16, iterations: 6 }
    using whole = await Flow.create(options(device))
    await whole.fit(toy('moons'), fit)
    using begun = await Flow.create(options(device))
    await begun.fit(toy('moons'), { ...fit, iterations: 3 })
    await begun.save(path)
    using resumed = await Flow.load(path, { device })
    await resumed.fit(toy('moons'), { ...fit, resume: true })
    rmSync(folder, { recursive: true, force: true })
    expect(resumed.parameters()).toEqual(whole.parameters())
  })
})
