import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Device, Flow, type FlowOptions, fromArray, fromAsyncIterable, fromRows } from 'ffjord'
import { engineNames, largestDifference, tolerance } from './engines'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-context-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const conditional = (device: Device, gates = true): FlowOptions => ({
  shape: [2],
  blocks: [{ type: 'cnf', time: 1, trainTime: true, net: { hidden: [12, 12] } }],
  context: { size: 3, gates },
  trace: 'exact',
  solver: { evaluation: { control: 'batch' } },
  device,
  seed: 4
})

const x = Float64Array.of(0.1, 0.2, -0.5, 1, 0.7, -0.3)
const c = Float64Array.of(1, 0, -1, 0.5, 2, 0, -1, -1, 0.3)

describe.each(engineNames)('%s', (device) => {
  let flow: Flow
  beforeAll(async () => {
    flow = await Flow.create(conditional(device))
  })
  afterAll(() => flow.dispose())

  test('a row sees its own context alone', async () => {
    const all = await flow.logProb(x, { context: c })
    for (let row = 0; row < 3; row++) {
      const options = { context: c.subarray(3 * row, 3 * row + 3) }
      const one = await flow.logProb(x.subarray(2 * row, 2 * row + 2), options)
      expect(Math.abs(one[0]! - all[row]!)).toBeLessThan(1e-4) // other steps
    }
    expect(
      largestDifference(all, await flow.logProb(x, { context: Float64Array.of(1, 0, -1) }))
    ).toBeGreaterThan(1e-3)
  })

  test('one row of context stands for all, in every call', async () => {
    const one = c.subarray(0, 3)
    const context = Float64Array.from([...one, ...one, ...one])
    expect(await flow.logProb(x, { context: [[1, 0, -1]] })).toEqual(await flow.logProb(x, { context }))
    expect(await flow.sample(3, { context: one, seed: 1 })).toEqual(
      await flow.sample(3, { context, seed: 1 })
    )
    expect(await flow.score(x, { context: one })).toEqual(await flow.score(x, { context }))
    expect(flow.forwardSync(x, { context: one })).toEqual(await flow.forward(x, { context }))
    const ways = { x, times: 3 }
    expect(await flow.trajectory({ ...ways, context: one })).toEqual(
      await flow.trajectory({ ...ways, context })
    )
    expect(await flow.velocity(x, { t: 0.3, context: one })).toEqual(
      await flow.velocity(x, { t: 0.3, context })
    )
  })

  test('inverse undoes forward under the same context', async () => {
    const tight = { context: c, rtol: 1e-6, atol: 1e-6 }
    const { z } = await flow.forward(x, tight)
    const back = await flow.inverse(z, tight)
    expect(largestDifference(back.x.data, x)).toBeLessThan(1e-4)
  })

  test('gradients of the context are those of differences', async () => {
    const { contextGradient } = await flow.loss(x, { context: c, contextGradient: true })
    expect(contextGradient!.shape).toEqual([3, 3])
    const precise = tolerance(device) < 1e-6
    const step = precise ? 1e-5 : 1e-2
    for (const place of [0, 4, 8]) {
      const moved = async (by: number) => {
        const context = Float64Array.from(c)
        context[place]! += by
        return (await flow.loss(x, { context })).loss
      }
      const difference = ((await moved(step)) - (await moved(-step))) / (2 * step)
      expect(Math.abs(contextGradient!.data[place]! - difference)).toBeLessThan(precise ? 1e-5 : 1e-3)
    }
    using solution = await flow.solve(x, { context: c })
    await solution.pullback({ z: solution.z.data.map((z) => z / 3), deltaLogp: [1 / 3, 1 / 3, 1 / 3] })
    expect(largestDifference(solution.contextBar!.data, contextGradient!.data)).toBeLessThan(
      tolerance(device)
    )
    const pulled = await flow.velocityPullback(x, { t: 0.2, f: x, context: c, contextGradient: true })
    expect(pulled.context!.shape).toEqual([3, 3])
  })

  test('spectral norm leaves the matrices of a context as they are', async () => {
    const bounded = (spectralNorm: number): FlowOptions => ({
      ...conditional(device),
      blocks: [{ type: 'cnf', net: { hidden: [9, 5], spectralNorm } }]
    })
    using flow = await Flow.create(bounded(1))
    using plain = await Flow.create(bounded(0))
    expect(Object.keys(flow.buffers()).some((name) => name.includes('_context'))).toBe(false)
    const weights = Object.entries(flow.parameters()).filter(([name]) => !name.endsWith('_orig'))
    expect(weights.filter(([name]) => name.includes('_context'))).toHaveLength(3)
    const normalised = Object.entries(flow.buffers()).filter(([name]) => name.endsWith('.weight'))
    plain.setParameters(Object.fromEntries([...weights, ...normalised]))
    const [loss, same] = [await flow.loss(x, { context: c }), await plain.loss(x, { context: c })]
    expect(Math.abs(loss.loss - same.loss)).toBeLessThan(tolerance(device))
    const bars = [flow, plain].map((one) =>
      Object.entries(one.gradients()).filter(([name]) => name.includes('_context'))
    )
    for (const [i, [name, { data }]] of bars[0]!.entries()) {
      expect(bars[1]![i]![0]).toBe(name)
      expect(largestDifference(data, bars[1]![i]![1].data)).toBeLessThan(tolerance(device))
    }
  })

  test('a context that is missing, wrong or not asked for is refused', async () => {
    await failure(() => flow.logProb(x), 'MISSING_CONTEXT')
    await failure(() => flow.sample(2), 'MISSING_CONTEXT')
    await failure(() => flow.fit(x, { iterations: 1 }), 'MISSING_CONTEXT')
    await failure(() => flow.logProb(x, { context: c.subarray(0, 6) }), 'INVALID_SHAPE')
    await failure(() => flow.logProb(x, { context: c.subarray(0, 4) }), 'INVALID_SHAPE')
    await failure(() => flow.logProb(x, { context: c.map(() => Number.NaN) }), 'NOT_FINITE')
    using plain = await Flow.create({ ...conditional(device), context: undefined as never })
    await failure(() => plain.logProb(x, { context: c }), 'CONTRADICTORY_OPTIONS')
    await failure(() => plain.loss(x, { contextGradient: true }), 'CONTRADICTORY_OPTIONS')
    const data = fromArray(x, { shape: [2], context: c })
    await failure(() => plain.evaluate(data), 'CONTRADICTORY_OPTIONS')
    await failure(() => flow.evaluate(fromArray(x, { shape: [2], context: [1, 2, 3] })), 'INVALID_SHAPE')
    await failure(
      () =>
        Flow.create({
          ...conditional(device),
          blocks: [{ type: 'cnf', net: { hidden: [4], layer: 'concat' } }]
        }),
      'INVALID_ARGUMENT'
    )
    await failure(() => Flow.create({ ...conditional(device), context: 0 }), 'INVALID_OPTION')
  })

  test('a saved flow is conditional again', async () => {
    const path = join(folder, `${device}.safetensors`)
    await flow.save(path)
    using again = await Flow.load(path, { device })
    expect(again.description).toEqual(flow.description)
    expect(again.description.context).toEqual({ size: 3, gates: true })
    expect(await again.logProb(x, { context: c })).toEqual(await flow.logProb(x, { context: c }))
    const { parameters } = { parameters: again.parameters() }
    expect(parameters['chain.0.odefunc.diffeq.layers.0._context.weight']!.shape).toEqual([12, 3])
    expect(parameters['chain.0.odefunc.diffeq.layers.1._context_gate.weight']!.shape).toEqual([12, 3])
  })
})

const learner: FlowOptions = {
  shape: [1],
  blocks: [{ type: 'cnf', time: 1, net: { hidden: [16, 16] } }],
  context: { size: 1, columns: ['c'] },
  solver: { rtol: 1e-3, atol: 1e-3 },
  device: 'cpu'
}
/** x | c = c + ½ n: what c explains is most of it. */
async function shifted(rows: number, seed: number) {
  using source = await Flow.create(learner)
  const normals = source.sampleBase(2 * rows, { seed }).data
  const context = normals.subarray(0, rows)
  return fromArray(
    Float32Array.from({ length: rows }, (_, i) => context[i]! + 0.5 * normals[rows + i]!),
    { shape: [1], context: { data: context, shape: [rows, 1] }, columns: ['x'], contextColumns: ['c'] }
  )
}

const training = { iterations: 120, batch: 256, optimizer: { type: 'adam', lr: 2e-2 } } as const

test('fit learns what the context explains, and goes on from a file bit for bit', async () => {
  const data = await shifted(4000, 1)
  const test = await shifted(2000, 2)
  using flow = await Flow.create(learner)
  await flow.fit(data, training)
  const entropy = 0.5 * Math.log(2 * Math.PI * Math.E * 0.25)
  const { nll } = await flow.evaluate(test)
  expect(nll).toBeGreaterThan(entropy - 0.1)
  expect(nll).toBeLessThan(entropy + 0.1)
  const { data: samples } = await flow.sample(500, { context: [[2]], seed: 1 })
  expect(Math.abs(samples.reduce((sum, value) => sum + value, 0) / 500 - 2)).toBeLessThan(0.15)

  const path = join(folder, 'half.safetensors')
  using first = await Flow.create(learner)
  await first.fit(await shifted(4000, 1), { ...training, iterations: 50 })
  await first.save(path)
  using second = await Flow.load(path, { device: 'cpu' })
  await second.fit(await shifted(4000, 1), { ...training, resume: true })
  expect(second.parameters()).toEqual(flow.parameters())
})

test('mean and scale of the context are those of the data', async () => {
  const scaled = { size: 3, gates: true, mean: [1, -2, 0], scale: [2, 10, 0.5] }
  using plain = await Flow.create(conditional('reference'))
  using flow = await Flow.create({ ...conditional('reference'), context: scaled })
  const raw = c.map((value, i) => value * scaled.scale[i % 3]! + scaled.mean[i % 3]!)
  const options = { contextGradient: true } as const
  const expected = await plain.loss(x, { ...options, context: c })
  const found = await flow.loss(x, { ...options, context: raw })
  expect(Math.abs(found.loss - expected.loss)).toBeLessThan(1e-9)
  const gradient = expected.contextGradient!.data.map((value, i) => value / scaled.scale[i % 3]!)
  expect(largestDifference(found.contextGradient!.data, gradient)).toBeLessThan(1e-9)
  await failure(
    () => Flow.create({ ...conditional('cpu'), context: { size: 3, mean: [1, 2, 3] } }),
    'INVALID_OPTION'
  )
})

test('data sets keep the context beside its rows', async () => {
  const table = fromRows(
    Array.from({ length: 10 }, (_, i) => [i, -i, 10 * i]),
    { columns: ['a', 'b', 'c'] }
  )
  const data = table.condition(['c', 'a'])
  expect(data.columns).toEqual(['b'])
  expect(data.context).toEqual({ size: 2, columns: ['c', 'a'] })
  const parts = data.split([0.5, 0.5], { seed: 3 })
  for (const part of [...parts, await data.take(4)])
    for await (const { data: rows, context } of part.batches({ size: 3, seed: 1 })) {
      expect(context!.shape).toEqual([rows.length, 2])
      rows.forEach((b, i) => {
        expect([context!.data[2 * i], context!.data[2 * i + 1]]).toEqual([-10 * b, -b])
      })
    }
  await failure(() => table.condition(['d']), 'INVALID_OPTION')
  await failure(() => table.condition(['a', 'b', 'c']), 'INVALID_OPTION')
  await failure(() => fromRows([[1], [2]], { context: [[1]] }), 'INVALID_SHAPE')
  using flow = await Flow.create({ ...learner, context: { size: 1, columns: ['other'] } })
  await failure(() => shifted(10, 1).then((data) => flow.evaluate(data)), 'INVALID_INPUT')
})

test('a stream brings the context at the end of each row', async () => {
  const rows = Array.from({ length: 6 }, (_, i) => [i, 10 * i])
  const data = fromAsyncIterable(rows, { shape: [1], context: 1 })
  const batches: number[][] = []
  for await (const { data: values, context } of data.batches({ size: 4 }))
    batches.push([...values, ...context!.data])
  expect(batches).toEqual([
    [0, 1, 2, 3, 0, 10, 20, 30],
    [4, 5, 40, 50]
  ])
  using flow = await Flow.create({ ...learner, context: 1 })
  const { iterations } = await flow.fit(
    fromAsyncIterable(() => rows, { shape: [1], context: 1 }),
    {
      iterations: 2,
      batch: 3
    }
  )
  expect(iterations).toBe(2)
})
