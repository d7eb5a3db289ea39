import { type Block, type FfjordError, Flow, fromArray } from 'ffjord'
import { engineNames } from './engines'
import { failure } from './failure'

const cnf: Block = { type: 'cnf', net: { hidden: [6] } }
const support: Block = { type: 'support', lower: [0, null], upper: [null, 1] }

describe.each(engineNames)('%s', (device) => {
  const create = (blocks: Block[]) => Flow.create({ shape: [2], blocks, device, trace: 'exact' })
  const rows = [
    [1, 0],
    [-1, 0],
    [2, 0.5],
    [3, 1],
    [0, 0.5]
  ]
  const outside = [1, 3, 4]

  test.each([
    ['in front', [support, cnf]],
    ['behind standardize', [{ type: 'standardize', mean: [0, 0], scale: [1, 1] }, support, cnf]]
  ] as [string, Block[]][])(
    '%s: such a row has log p = −∞, and the others what they have alone',
    async (_, blocks) => {
      using flow = await create(blocks)
      const found = await flow.logProb(rows)
      for (const [i, row] of rows.entries())
        if (outside.includes(i)) expect(found[i]).toBe(-Infinity)
        else expect(Math.abs(found[i]! - (await flow.logProb([row]))[0]!)).toBeLessThan(1e-5)
      const certified = await flow.logProb(rows, { certify: true })
      expect([...certified.logProb].map((value) => value === -Infinity)).toEqual(
        rows.map((_, i) => outside.includes(i))
      )
      for (const errors of [certified.probeError, certified.solverError, certified.roundTripError])
        expect(errors.every(Number.isFinite)).toBe(true)
      const { nll, outside: number, nllInside, rows: all } = await flow.evaluate(rows)
      expect([nll, number, all]).toEqual([Infinity, 3, 5])
      expect(nllInside).toBeCloseTo(-(found[0]! + found[2]!) / 2, 3)
    }
  )

  test('losses, scores and solves name such rows', async () => {
    using flow = await create([support, cnf])
    const before = flow.parameters()
    const calls = [
      () => flow.loss(rows),
      () => flow.score(rows),
      () => flow.forward(rows),
      () => flow.solve(rows)
    ]
    for (const call of calls) {
      const error = await failed(call)
      expect(error.code).toBe('OUTSIDE_SUPPORT')
      expect(error.rows).toEqual(outside)
      expect(error.message).toMatch(/rows 1, 3, 4 .*row 1 .* -1.*blocks\[0\].*\(0, ∞\); drop such rows/)
    }
    const data = fromArray(Float64Array.from(rows.flat()), { shape: [2] })
    const error = await failed(() => flow.fit(data, { iterations: 3, batch: 2, skipFailures: true }))
    expect([error.code, error.rows]).toEqual(['OUTSIDE_SUPPORT', outside])
    expect(flow.parameters()).toEqual(before)
    const inside = [
      [1, 0],
      [2, 0.5]
    ]
    await failure(
      () => flow.fit(inside, { iterations: 2, batch: 2, validation: { data: data, every: 1 } }),
      'OUTSIDE_SUPPORT'
    )
  })

  test('rows that a block with weights moves out of the next one have no density either', async () => {
    using flow = await create([cnf, { type: 'logit', alpha: 0 }, cnf])
    const x = [
      [0.5, 0.5],
      [7, 0.5],
      [0.4, 0.6]
    ]
    const found = await flow.logProb(x)
    expect(found[1]).toBe(-Infinity)
    expect([found[0], found[2]].every(Number.isFinite)).toBe(true)
    const error = await failed(() => flow.loss(x))
    expect([error.code, error.rows]).toEqual(['OUTSIDE_SUPPORT', [1]])
    expect(error.message).toMatch(/blocks\[1\] \(logit\).*\(0, 1\); put the transform in front/)
  })

  test('rows that the engine cannot hold behind the transforms are named', async () => {
    using flow = await create([{ type: 'standardize', mean: [0, 1e300], scale: [1, 1e299] }, cnf])
    expect((await flow.logProb([[1, 1.1e300]])).every(Number.isFinite)).toBe(true)
    if (device === 'reference') return // it holds float64
    const error = await failure(
      () =>
        flow.logProb([
          [1, 1e300],
          [1e40, 1e300]
        ]),
      'INVALID_ARGUMENT'
    )
    expect(error.message).toMatch(/row 1 holds 1e\+40 in element 0/)
  })

  test('saturated samples of a logit stay inside, and have a density', async () => {
    using flow = await create([{ type: 'logit', alpha: 0 }, cnf])
    for (const precision of ['float32', 'float64'] as const) {
      const { x, logProb } = await flow.sampleAndLogProb(200, { temperature: 30, seed: 1, precision })
      expect(x.data.every((value) => value > 0 && value < 1)).toBe(true)
      expect(logProb.every(Number.isFinite)).toBe(true)
      expect((await flow.logProb(x.data)).every(Number.isFinite)).toBe(true)
    }
  })
})

async function failed(call: () => PromiseLike<unknown>): Promise<FfjordError> {
  try {
    await call()
  } catch (error) {
    return error as FfjordError
  }
  throw new Error('nothing failed')
}

it('a score that is more than float32 holds is refused, not NaN', async () => {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [8, 8], layer: 'concat', activation: 'tanh' } }],
    device: 'cpu'
  })
  const parameters = await flow.parameters()
  for (const { data } of Object.values(parameters)) data.fill(1000)
  await flow.setParameters(parameters)
  await expect(flow.score([[0, 0.8]], { rtol: 0.01, atol: 256 })).rejects.toMatchObject({
    code: 'SOLVE_FAILED',
    message: expect.stringContaining('the score of row 0')
  })
})
