import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FitOptions, Flow, type FlowOptions, fromArray, type IterationRecord, toy } from 'ffjord'
import { engineNames, largestDifference } from './engines'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-objective-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const model: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'cnf', time: 0.7, trainTime: true, net: { hidden: [32, 32] } }],
  solver: { rtol: 1e-3, atol: 1e-3 },
  trace: 'exact'
}
const matching: FitOptions = {
  iterations: 300,
  batch: 128,
  optimizer: { type: 'adam', lr: 1e-2 },
  objective: 'fm'
}

async function recordsOf(flow: Flow, options: FitOptions): Promise<IterationRecord[]> {
  const records: IterationRecord[] = []
  for await (const progress of flow.fit(toy('8gaussians', { seed: 1 }), options))
    records.push(...progress.records)
  return records
}

test.each(engineNames)('%s learns a density by flow matching, without a solve', async (device) => {
  using flow = await Flow.create({ ...model, device })
  const test = toy('8gaussians', { seed: 2 })
  const held = await test.take(200)
  const ends = flow.endTimes
  const { nll: before } = await flow.evaluate(held)
  const records = await recordsOf(flow, matching)
  const { nll: after } = await flow.evaluate(held)
  expect(before - test.entropy).toBeGreaterThan(2)
  expect(after - test.entropy).toBeLessThan(1.3)
  expect(after - test.entropy).toBeGreaterThan(-0.1)
  expect(flow.endTimes).toEqual(ends)
  expect(
    records.every(
      ({ phase, nfe, negativeLogProb }) => phase === 'fm' && nfe === 1 && Number.isNaN(negativeLogProb)
    )
  )
  expect(records).toHaveLength(300)
})

test('blocks own parts of the path, behind fixed transforms; optimal couplings straighten it', async () => {
  const net = { hidden: [32, 32] }
  const blocks: FlowOptions['blocks'] = [
    { type: 'standardize', mean: [1, -1], scale: [4, 2] },
    { type: 'cnf', time: 0.3, net },
    { type: 'cnf', time: 1.5, net }
  ]
  const test = toy('8gaussians', { seed: 2 })
  const held = await test.take(500)
  const options = { ...matching, iterations: 600 }
  const losses: number[] = []
  for (const coupling of ['independent', 'optimal'] as const) {
    using flow = await Flow.create({ ...model, blocks, device: 'cpu' })
    const records = await recordsOf(flow, { ...options, objective: { type: 'fm', coupling } })
    losses.push(records.slice(-100).reduce((sum, { loss }) => sum + loss / 100, 0))
    const found = await flow.evaluate(held)
    expect(found.nll - test.entropy).toBeLessThan(1.3)
    expect(found.nll - test.entropy).toBeGreaterThan(-0.1)
  }
  // Lines that do not cross leave less that no field can follow.
  expect(losses[1]).toBeLessThan(0.5 * losses[0]!)
})

test('flow matching, then maximum likelihood; a run resumed in either phase, or between them, is the same run', async () => {
  const options: FitOptions = {
    iterations: 16,
    batch: 32,
    optimizer: { type: 'adam', lr: 1e-2 },
    objective: { type: 'fm+ml', matching: 9 }
  }
  using whole = await Flow.create({ ...model, device: 'cpu' })
  const records = await recordsOf(whole, options)
  expect(records.map(({ phase }) => phase)).toEqual([...Array(9).fill('fm'), ...Array(7).fill('ml')])
  expect(records[9]!.nfe).toBeGreaterThan(1)
  for (const stop of [4, 9, 12]) {
    const path = join(folder, `${stop}.safetensors`)
    using first = await Flow.create({ ...model, device: 'cpu' })
    await first.fit(toy('8gaussians', { seed: 1 }), { ...options, iterations: stop })
    await first.save(path)
    using second = await Flow.load(path, { device: 'cpu' })
    const { objective: _, ...rest } = options
    await second.fit(toy('8gaussians', { seed: 1 }), { ...rest, iterations: 16, resume: true })
    expect(second.parameters()).toEqual(whole.parameters())
  }
})

test('patience ends flow matching, and then the run', async () => {
  using flow = await Flow.create({ ...model, device: 'cpu' })
  const phases: string[] = []
  const data = toy('8gaussians', { seed: 1 })
  const fit = flow.fit(data, {
    iterations: 500,
    batch: 16,
    objective: { type: 'fm+ml', matching: 400 },
    optimizer: { type: 'adam', lr: 1e-9 },
    validation: { data: await data.take(50), every: 2, patience: 2 }
  })
  for await (const { phase } of fit) phases.push(phase)
  const { stopped, iterations } = await fit
  expect(stopped).toBe('patience')
  expect(iterations).toBeLessThan(100)
  expect([...new Set(phases)]).toEqual(['fm', 'ml'])
})

test('combinations without meaning are refused', async () => {
  const refused = async (
    change: Partial<FlowOptions>,
    options: Partial<FitOptions>,
    code: Parameters<typeof failure>[1]
  ) => {
    using flow = await Flow.create({ ...model, device: 'cpu', ...change })
    const data = change.context
      ? fromArray(new Float32Array(8), { shape: [2], context: new Float32Array(4) })
      : toy('moons')
    await failure(() => flow.fit(data, { ...matching, iterations: 1, ...options } as FitOptions), code)
  }
  const cnf = model.blocks[0]!
  await refused({ regularize: { kinetic: 0.01 } }, {}, 'CONTRADICTORY_OPTIONS')
  await refused({ blocks: [cnf, { type: 'batch_norm' }] }, {}, 'UNSUPPORTED')
  await refused({ blocks: [{ type: 'batch_norm' }, cnf] }, {}, 'UNSUPPORTED')
  await refused({ blocks: [{ type: 'cnf', net: { hidden: [4], layer: 'hyper' } }] }, {}, 'UNSUPPORTED')
  await refused({ context: 1 }, { objective: { type: 'fm', coupling: 'optimal' } }, 'UNSUPPORTED')
})

test('a batch solved in parts has the gradient of the whole', async () => {
  const solved = async (accumulate: number, objective: 'ml' | 'fm') => {
    using flow = await Flow.create({ ...model, solver: { method: 'rk4', steps: 4 }, device: 'reference' })
    const data = toy('moons', { seed: 3 })
    await flow.fit(data, {
      iterations: 3,
      batch: 10,
      accumulate,
      objective,
      optimizer: { type: 'sgd', lr: 1e-2 }
    })
    return Object.values(flow.parameters()).flatMap(({ data }) => [...data])
  }
  expect(largestDifference(await solved(1, 'ml'), await solved(3, 'ml'))).toBeLessThan(1e-12)
  expect((await solved(3, 'fm')).every(Number.isFinite)).toBe(true)
})

test('epochs are passes over the data', async () => {
  using flow = await Flow.create({ ...model, device: 'cpu' })
  const data = await toy('moons').take(50)
  const { iterations } = await flow.fit(data, { epochs: 3, batch: 20, objective: 'fm' })
  expect(iterations).toBe(8) // ⌈150 / 20⌉
})

test('without a length, training goes on until held-out rows say that it is enough', async () => {
  using flow = await Flow.create({ ...model, device: 'cpu' })
  const data = await toy('moons', { seed: 5 }).take(200)
  const { nll: before } = await flow.evaluate(data)
  const { stopped, best, validation } = await flow.fit(data, { objective: 'fm', batch: 64 })
  const { nll: after } = await flow.evaluate(data)
  expect(stopped).toBe('patience')
  expect(best!.validation).toBeLessThanOrEqual(validation!)
  expect(after).toBeLessThan(before - 0.5)
})
