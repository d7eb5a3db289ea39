import { type Block, Flow } from 'ffjord'
import { engineNames, largestDifference, tolerance } from './engines'
import { failure } from './failure'

const cnf: Block = { type: 'cnf', net: { hidden: [8, 8], layer: 'concat' } }
const support: Block = { type: 'support', lower: [0, null, -1, null], upper: [null, 2, 1, null] }
const whiten: Block = {
  type: 'whiten',
  mean: [0.1, -0.2, 0.3, 0],
  matrix: [1.2, 0, 0, 0, -0.4, 0.8, 0, 0, 0.3, 0.2, 1.5, 0, 0.1, 0, -0.6, 0.9]
}
const x = Float64Array.of(0.5, -3, 0.7, 12, 4, 1.9, -0.99, -7)

describe.each(engineNames)('%s', (device) => {
  const tight = tolerance(device)
  const solver = device === 'reference' ? { rtol: 1e-9, atol: 1e-9 } : { rtol: 1e-6, atol: 1e-6 }
  const trace = 'exact'

  test('bounded and correlated columns: there and back, and the score', async () => {
    using flow = await Flow.create({ shape: [4], blocks: [support, whiten, cnf], device, solver, trace })
    const { z, deltaLogp } = await flow.forward(x)
    const back = await flow.inverse(z)
    const scale = Math.max(...x.map(Math.abs))
    expect(largestDifference(back.x.data, x)).toBeLessThan(20 * tight * scale)
    expect(
      largestDifference(
        back.deltaLogp,
        deltaLogp.map((value) => -value)
      )
    ).toBeLessThan(20 * tight)
    const { data } = await flow.score(x)
    const h = device === 'reference' ? 1e-5 : 2e-3
    for (let i = 0; i < x.length; i++) {
      const moved = (by: number) => x.map((value, j) => (i === j ? value + by : value))
      const [up, down] = [flow.logProbSync(moved(h)), flow.logProbSync(moved(-h))]
      const row = Math.floor(i / 4)
      const slope = (up[row]! - down[row]!) / (2 * h)
      // Near an end of its interval the density bends within h.
      expect(Math.abs(data[i]! - slope) / (1 + Math.abs(slope))).toBeLessThan(
        device === 'reference' ? 1e-4 : 0.05
      )
    }
  })

  test.each([
    ['a half-line', [0], [null], (i: number) => Math.exp(-12 + (24 * i) / 4000)],
    ['an interval', [-1], [2], (i: number) => -1 + 3 / (1 + Math.exp(12 - (24 * i) / 4000))]
  ] as const)('a density on %s integrates to 1', async (_, lower, upper, point) => {
    using flow = await Flow.create({
      shape: [1],
      blocks: [{ type: 'support', lower, upper }, cnf],
      device,
      solver,
      trace
    })
    const points = Float64Array.from({ length: 4001 }, (_, i) => point(i))
    const density = (await flow.logProb(points)).map(Math.exp)
    let mass = 0
    for (let i = 1; i < points.length; i++)
      mass += ((density[i]! + density[i - 1]!) / 2) * (points[i]! - points[i - 1]!)
    expect(Math.abs(mass - 1)).toBeLessThan(2e-3)
  })

  test('samples stay inside their intervals, and have a density', async () => {
    using flow = await Flow.create({ shape: [4], blocks: [support, whiten, cnf], device, solver, trace })
    const { x: samples, logProb } = await flow.sampleAndLogProb(2000, {
      seed: 1,
      temperature: 4,
      precision: device === 'reference' ? 'float64' : 'float32'
    })
    for (let i = 0; i < samples.data.length; i += 4) {
      expect(samples.data[i]!).toBeGreaterThan(0)
      expect(samples.data[i + 1]!).toBeLessThan(2)
      expect(Math.abs(samples.data[i + 2]!)).toBeLessThan(1)
    }
    expect(logProb.every(Number.isFinite)).toBe(true)
  })

  test('a model file keeps intervals and matrices', async () => {
    using flow = await Flow.create({ shape: [4], blocks: [support, whiten, cnf], device, solver, trace })
    expect(flow.description.blocks[0]).toEqual(support)
    expect(flow.description.blocks[1]).toEqual(whiten)
  })
})

test.each([
  [{ type: 'support', lower: [0], upper: [1] }, 'INVALID_ARGUMENT'],
  [{ type: 'support', lower: [0, 1, 0, 0], upper: [1, 1, 1, 1] }, 'INVALID_OPTION'],
  [{ type: 'support', lower: [0, 'a', 0, 0], upper: [1, 1, 1, 1] }, 'INVALID_OPTION'],
  [{ type: 'whiten', mean: [0, 0, 0, 0], matrix: [1] }, 'INVALID_ARGUMENT'],
  [{ ...whiten, matrix: whiten.matrix.map((value) => -value) }, 'INVALID_OPTION'],
  [{ ...whiten, matrix: [...whiten.matrix].reverse() }, 'INVALID_ARGUMENT']
])('%j is refused', async (block, code) => {
  await failure(() => Flow.create({ shape: [4], blocks: [block as Block, cnf] }), code as 'INVALID_OPTION')
})
