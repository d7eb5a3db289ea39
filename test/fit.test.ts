import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Block,
  type Device,
  type FitOptions,
  Flow,
  type FlowOptions,
  fromAsyncIterable,
  fromRows,
  type IterationRecord,
  type LawDataset,
  type Progress,
  toy
} from 'ffjord'
import { engineNames, largestDifference, tolerance } from './engines'
import { failure } from './failure'

const model: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'batch_norm' }, { type: 'cnf', trainTime: true, net: { hidden: [8, 8] } }],
  solver: { rtol: 1e-3, atol: 1e-3 },
  trace: { noise: 'rademacher' },
  seed: 1
}
/** As the defaults of a table have them. */
const tableBlocks: Block[] = [
  { type: 'support', lower: [0, null], upper: [null, 1] },
  { type: 'standardize', mean: [-0.5, 0.2], scale: [1.5, 0.7] },
  { type: 'whiten', mean: [0.1, -0.1], matrix: [1.2, 0, -0.4, 0.9] },
  { type: 'cnf', trainTime: true, net: { hidden: [8, 8] } }
]
const options: FitOptions = { iterations: 12, batch: 32, optimizer: { type: 'adam', lr: 1e-2, average: 0.9 } }

async function collect(
  fit: AsyncIterable<Progress>
): Promise<{ all: Progress[]; records: IterationRecord[] }> {
  const all: Progress[] = []
  for await (const progress of fit) all.push(progress)
  return { all, records: all.flatMap(({ records }) => records) }
}

describe.each(engineNames)('%s', (device) => {
  const create = (change: Partial<FlowOptions> = {}) => Flow.create({ ...model, device, ...change })

  test('lowers the loss and reports every iteration', async () => {
    using flow = await create()
    const fit = flow.fit(toy('moons'), { ...options, iterations: 150 })
    const { all, records } = await collect(fit)
    expect(records.map(({ iteration }) => iteration)).toEqual(Array.from({ length: 150 }, (_, i) => i + 1))
    const mean = (some: IterationRecord[]) => some.reduce((sum, { loss }) => sum + loss, 0) / some.length
    expect(mean(records.slice(-20))).toBeLessThan(mean(records.slice(0, 20)) - 0.1)
    expect(records[0]).toMatchObject({ learningRate: 1e-2, skipped: false })
    expect(records[0]!.nfe).toBeGreaterThan(0)
    expect(records[0]!.backwardNfe).toBeGreaterThan(0)
    expect(records[0]!.gradientNorm).toBeGreaterThan(0)
    const last = all.at(-1)!
    expect(last).toMatchObject({ iteration: 150, iterations: 150, etaSeconds: 0, skipped: 0 })
    const result = await fit
    expect(result).toMatchObject({ iterations: 150, stopped: 'iterations', loss: last.loss })
    expect(await fit).toBe(result)
  })

  test.each<[string, Block[], number]>([
    ['whose rows go through fixed transforms', tableBlocks, 0],
    ['on contexts', tableBlocks.slice(-1), 2],
    ['on contexts behind transforms', tableBlocks, 1]
  ])('takes the steps of the reference engine: a flow %s', async (_, blocks, size) => {
    const fitted = async (device: Device) => {
      const conditional = size > 0 ? { context: { size, gates: true } } : {}
      using flow = await create({ solver: { method: 'rk4', steps: 4 }, blocks, ...conditional, device })
      const rows = Array.from({ length: 40 }, (_, i) => [0.1 + Math.sin(i) ** 2, Math.cos(3 * i) - 0.5])
      const context = rows.map(([a, b]) => [a! * b!, a! - b!].slice(0, size))
      const data = fromRows(rows, size > 0 ? { context } : {})
      const { records } = await collect(
        flow.fit(data, { iterations: 6, batch: 16, accumulate: 2, optimizer: { type: 'sgd', lr: 0.05 } })
      )
      const weights = Object.values(flow.parameters()).flatMap(({ data }) => [...data])
      return { losses: records.map(({ loss }) => loss), weights }
    }
    const found = await fitted(device)
    const expected = await fitted('reference')
    expect(largestDifference(found.losses, expected.losses)).toBeLessThan(tolerance(device))
    expect(largestDifference(found.weights, expected.weights)).toBeLessThan(tolerance(device))
  })

  test('can be awaited, gives the same weights, and progress is at most every 50 ms', async () => {
    using awaited = await create()
    using iterated = await create()
    await awaited.fit(toy('moons'), options)
    const times: number[] = []
    for await (const _ of iterated.fit(toy('moons'), options)) times.push(performance.now())
    expect(awaited.parameters()).toEqual(iterated.parameters())
    expect(times.length - 2).toBeLessThanOrEqual((times.at(-1)! - times[0]!) / 50)
  })

  test('is what a loop of loss and step does', async () => {
    using fitted = await create()
    using manual = await create()
    await fitted.fit(toy('moons'), { ...options, iterations: 3 })
    const optimizer = manual.optimizer(options.optimizer)
    const data = toy('moons')
    for (let i = 0; i < 3; i++) {
      await manual.loss(data.sample(32))
      await optimizer.step()
    }
    expect(manual.parameters()).toEqual(fitted.parameters())
    expect(manual.buffers()).toEqual(fitted.buffers())
    expect(manual.average()).toEqual(fitted.average())
  })

  test('break and signals stop after the running step; the flow is usable and can go on', async () => {
    using flow = await create()
    const fit = flow.fit(toy('moons'), { ...options, iterations: 100_000 })
    for await (const progress of fit) if (progress.iteration > 0) break
    const stopped = await fit
    expect(stopped.stopped).toBe('break')
    expect(stopped.iterations).toBeLessThan(100_000)
    expect((await flow.logProb([[0, 0]])).every(Number.isFinite)).toBe(true)

    const controller = new AbortController()
    setTimeout(() => controller.abort(), 30)
    const result = await flow.fit(toy('moons'), {
      ...options,
      iterations: 100_000,
      resume: true,
      signal: controller.signal
    })
    expect(result.stopped).toBe('signal')
    expect(result.iterations).toBeGreaterThanOrEqual(stopped.iterations)
    const aborted = await flow.fit(toy('moons'), { ...options, signal: AbortSignal.abort() })
    expect(aborted).toMatchObject({ iterations: 0, stopped: 'signal' })
  })

  test('resumes from a file bit for bit', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ffjord-fit-'))
    const path = join(folder, 'model.safetensors')
    const rows = (await toy('moons').take(50)).data
    const data = () => fromRows(Array.from({ length: 50 }, (_, i) => rows.subarray(2 * i, 2 * i + 2)))
    const long: FitOptions = { ...options, schedule: { type: 'cosine', warmup: 3 }, batch: 20, seed: 4 }
    using straight = await create()
    await straight.fit(data(), { ...long, checkpoint: { every: 5, save: path } })
    using flow = await Flow.load(path, { device })
    expect(flow.optimizer().state.step).toBe(10)
    const { records } = await collect(flow.fit(data(), { ...long, resume: true }))
    expect(records.map(({ iteration }) => iteration)).toEqual([11, 12])
    expect(flow.parameters()).toEqual(straight.parameters())
    expect(flow.buffers()).toEqual(straight.buffers())
    expect(flow.average()).toEqual(straight.average())
    rmSync(folder, { recursive: true })
  })

  test('validates, keeps the best weights, runs out of patience', async () => {
    using flow = await create()
    const held = await toy('moons', { seed: 9 }).take(200)
    const seen: number[] = []
    const fit = flow.fit(toy('moons'), {
      ...options,
      iterations: 400,
      optimizer: { type: 'adam', lr: 0.3 },
      validation: { data: held, every: 5, trace: 'exact', patience: 3 },
      keepBest: true
    })
    for await (const { validation } of fit) if (validation !== undefined) seen.push(validation)
    const { best, stopped, iterations, validation } = await fit
    expect(stopped).toBe('patience')
    expect(iterations).toBe(5 * seen.length)
    expect(validation).toBe(seen.at(-1))
    expect(best).toEqual({
      validation: Math.min(...seen),
      iteration: 5 * (seen.indexOf(Math.min(...seen)) + 1)
    })
    const { nll } = await flow.evaluate(held, { trace: 'exact' })
    expect(Math.abs(nll - best!.validation)).toBeLessThan(1e-4)
  })

  test('with the best weights kept, a fit that a signal or a break stops goes on bit for bit', async () => {
    const held = await toy('moons', { seed: 9 }).take(100)
    const long: FitOptions = {
      ...options,
      iterations: 30,
      optimizer: { type: 'adam', lr: 0.3 },
      schedule: { type: 'plateau', factor: 0.5, patience: 2 },
      validation: { data: held, every: 5 },
      keepBest: true
    }
    using straight = await create()
    const whole = await straight.fit(toy('moons'), long)
    for (const [how, at] of [
      ['signal', 13],
      ['signal', 20], // before its validation
      ['break', 10]
    ] as const) {
      using flow = await create()
      const controller = new AbortController()
      const data = toy('moons') as LawDataset
      const advance = data.advance.bind(data)
      let advanced = 0
      jest.spyOn(data, 'advance').mockImplementation((batches, given) => {
        advance(batches, given)
        advanced += batches
        if (how === 'signal' && advanced >= at) controller.abort()
      })
      const checkpoint = { every: at, save: () => undefined } // a burst ends there
      const stopping = flow.fit(data, { ...long, signal: controller.signal, checkpoint })
      for await (const { iteration } of stopping) if (how === 'break' && iteration >= at) break
      const stopped = await stopping
      expect([stopped.stopped, stopped.iterations]).toEqual([how, at])
      expect(stopped.best!.iteration).toBeLessThan(stopped.iterations)
      expect(flow.provenance!.validation).toBe(stopped.validation)
      const result = await flow.fit(toy('moons'), { ...long, resume: true })
      expect(flow.parameters()).toEqual(straight.parameters())
      expect(flow.average()).toEqual(straight.average())
      expect([result.best, result.validation]).toEqual([whole.best, whole.validation])
      expect(flow.provenance!.validation).toBe(whole.best!.validation)
    }
  })

  test('a solve that fails rejects and leaves the flow usable, or is skipped and counted', async () => {
    const far = Array.from({ length: 8 }, (_, i) => (i < 4 ? [0.1 * i, 0.2] : [1e6 * i, -1e6]))
    const hard: Partial<FlowOptions> = {
      blocks: [{ type: 'cnf', net: { hidden: [8], activation: 'square', layer: 'concat' } }],
      trace: 'exact',
      solver: { rtol: 1e-6, atol: 1e-6, maxAttempts: 40 }
    }
    using flow = await create(hard)
    const before = flow.parameters()
    const data = () => fromRows(far)
    const fit = { ...options, batch: 4, shuffle: false, iterations: 4 }
    const failing = flow.fit(fromRows(far.slice(4)), fit)
    const { failure: where } = await failure(() => failing, 'SOLVE_FAILED')
    expect(where!.block).toBe(0)
    await failure(() => failing, 'SOLVE_FAILED')
    expect(flow.parameters()).toEqual(before)
    const { all, records } = await collect(flow.fit(data(), { ...fit, skipFailures: true }))
    expect(records.map(({ skipped }) => skipped)).toEqual([false, true, false, true])
    expect(all.at(-1)!.skipped).toBe(2)
    expect(flow.optimizer().state.step).toBe(2)
    expect(flow.parameters()).not.toEqual(before)
  })

  test('data that end end the fit; the plateau and step schedules set the rate', async () => {
    using flow = await create()
    async function* few() {
      for (let i = 0; i < 70; i++) yield [Math.sin(i), Math.cos(3 * i)]
    }
    const fit = flow.fit(fromAsyncIterable(few(), { shape: [2] }), { ...options, batch: 30 })
    const { records } = await collect(fit)
    expect(records).toHaveLength(3)
    expect((await fit).stopped).toBe('data')

    const step = flow.fit(toy('moons'), {
      ...options,
      iterations: 4,
      schedule: { type: 'step', factor: 0.5, every: 2 }
    })
    expect((await collect(step)).records.map(({ learningRate }) => learningRate)).toEqual([
      0.01, 0.01, 0.005, 0.005
    ])
  })

  test('checkpoint functions run between steps', async () => {
    using flow = await create()
    const seen: number[] = []
    await flow.fit(toy('moons'), {
      ...options,
      checkpoint: { every: 4, save: async (one) => void seen.push((await one.logProb([[0, 0]])).length) }
    })
    expect(seen).toEqual([1, 1, 1])
  })

  test('several flows train side by side', async () => {
    const flows = await Promise.all([create(), create(), create({ seed: 2 })])
    await Promise.all(flows.map((flow) => flow.fit(toy('moons'), options)))
    expect(flows[1]!.parameters()).toEqual(flows[0]!.parameters())
    expect(flows[2]!.parameters()).not.toEqual(flows[0]!.parameters())
    for (const flow of flows) flow.dispose()
  })

  test('wrong calls are refused before work starts', async () => {
    using flow = await create()
    const before = flow.parameters()
    const data = toy('moons')
    const refused = async (change: object, code: Parameters<typeof failure>[1]) =>
      failure(() => flow.fit(data, { ...options, ...change }), code)
    await refused({ iterations: 0 }, 'INVALID_OPTION')
    await refused({ epochs: 3 }, 'CONTRADICTORY_OPTIONS')
    await refused({ iterations: undefined, epochs: 3 }, 'CONTRADICTORY_OPTIONS')
    await refused({ accumulate: 0 }, 'INVALID_OPTION')
    await refused({ objective: 'mle' }, 'INVALID_OPTION')
    await refused({ objective: { type: 'ml', coupling: 'optimal' } }, 'CONTRADICTORY_OPTIONS')
    await refused({ iteration: 5 }, 'UNKNOWN_OPTION')
    await refused({ batch: 0 }, 'INVALID_OPTION')
    await refused({ resume: true }, 'INVALID_OPTION')
    await refused({ keepBest: true }, 'CONTRADICTORY_OPTIONS')
    await refused({ schedule: { type: 'plateau', factor: 0.1, patience: 2 } }, 'CONTRADICTORY_OPTIONS')
    await refused({ optimizer: { type: 'adam', lr: -1 } }, 'INVALID_OPTION')
    await refused({ validation: { data: [[1, 2, 3]], every: 2 } }, 'INVALID_SHAPE')
    await refused({ validation: { data, every: 0 } }, 'INVALID_OPTION')
    await refused({ checkpoint: { every: 5, save: 5 } }, 'INVALID_OPTION')
    await refused({ signal: 5 }, 'INVALID_OPTION')
    await failure(() => flow.fit([[1, 2, 3]], options), 'INVALID_SHAPE')
    await failure(() => flow.fit([], options), 'EMPTY_BATCH')
    await failure(() => flow.fit([[1, Number.NaN]], options), 'NOT_FINITE')
    await failure(() => flow.fit(fromRows([[1, 2, 3]]), options), 'INVALID_SHAPE')
    expect(flow.parameters()).toEqual(before)
  })
})

test('a signal within the first iteration brings no progress, as there is none', async () => {
  using flow = await Flow.create({ ...model, device: 'reference' })
  const controller = new AbortController()
  setTimeout(() => controller.abort(), 200)
  const told: Progress[] = []
  const fit = flow.fit(toy('moons'), { ...options, batch: 50_000, signal: controller.signal })
  for await (const progress of fit) told.push(progress)
  expect(await fit).toMatchObject({ iterations: 0, stopped: 'signal' })
  expect(told).toEqual([])
})
