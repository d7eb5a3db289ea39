import { type Block, Flow, type FlowOptions } from 'ffjord'

/** The certified interval of a log-density far from zero, behind every fixed transform, in either precision of the rows. */

const count = 60
const near = Float64Array.from(
  { length: 2 * count },
  (_, i) => Math.round((0.5 + 0.42 * Math.sin(i * i + 1)) * 2 ** 21) / 2 ** 21
)
const transforms: Record<string, (offset: number) => Block[]> = {
  standardize: (offset) => [{ type: 'standardize', mean: [offset + 0.5, offset + 0.5], scale: [0.3, 0.3] }],
  whiten: (offset) => [{ type: 'whiten', mean: [offset + 0.5, offset + 0.5], matrix: [3, 0, -1, 4] }],
  support: (offset) => [{ type: 'support', lower: [offset, offset - 1], upper: [offset + 1, null] }],
  logit: (offset) => [
    { type: 'standardize', mean: [offset, offset], scale: [1, 1] },
    { type: 'logit', alpha: 0.01 }
  ],
  zero_mean: (offset) => [
    { type: 'standardize', mean: [offset, offset], scale: [0.5, 0.5] },
    { type: 'zero_mean' }
  ]
}

describe.each(Object.keys(transforms))('%s', (name) => {
  test.each([
    [1e5, 'float64'],
    [1.7e9, 'float64'],
    [1e4, 'float32'],
    [1e5, 'float32']
  ])('rows at %p in %s: value ± 2 errors covers the float64 value', async (offset, given) => {
    const options: FlowOptions = {
      shape: [2],
      blocks: [...transforms[name]!(offset), { type: 'cnf', time: 1, net: { hidden: [12, 12] } }],
      trace: 'exact',
      seed: 4
    }
    using truth = await Flow.create({ ...options, device: 'reference' })
    using flow = await Flow.create({ ...options, device: 'cpu' })
    const x = near.map((value) => value + offset)
    const exact = await truth.logProb(x, { rtol: 1e-10, atol: 1e-10 })
    const rows = given === 'float64' ? x : Float32Array.from(x)
    const { logProb, solverError } = await flow.logProb(rows, { certify: true })
    const covered = exact.filter((value, i) => Math.abs(logProb[i]! - value) <= 2 * solverError[i]!)
    expect(covered.length / count).toBeGreaterThanOrEqual(0.95)
    // Not by errors beyond all measure: numbers in float64 lose nothing.
    if (given === 'float64') expect(Math.max(...solverError)).toBeLessThan(1e-3)
  })
})
