import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ArrayDataset,
  type Block,
  baselines,
  benchmark,
  decodeColumns,
  Flow,
  type FlowOptions,
  fitGaussian,
  fitMixture,
  fitMixtureAsync,
  fromArray,
  fromAsyncIterable,
  fromFile,
  fromImage,
  fromRows,
  Gaussian,
  GaussianMixture,
  LawDataset,
  odeint,
  readSafetensors,
  splitFile,
  streamFile,
  tableBlocks,
  toy,
  writeSafetensors
} from 'ffjord'
import { failure } from './failure'

const cnf: Block = { type: 'cnf', net: { hidden: [4] } }
const options: FlowOptions = { shape: [2], blocks: [cnf], solver: { method: 'rk4', steps: 2 }, threads: 1 }
const x = Float32Array.of(0.1, 0.2, 0.3, 0.4)
const mine = new Error('of the caller')
const thrower = (): never => {
  throw mine
}
const revoked = (() => {
  const { proxy, revoke } = Proxy.revocable([], {})
  revoke()
  return proxy
})()
const circular: unknown[] = []
circular.push(circular)
const deep = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000)) as unknown
/** What no argument may be, whatever it is for. */
const hostile: [string, unknown][] = [
  ['null', null],
  ['a bigint', 2n ** 70n],
  ['a symbol', Symbol('s')],
  ['a list that holds itself', circular],
  ['a deep list', deep],
  ['a revoked proxy', revoked],
  ['a function', thrower],
  ['a Date', new Date(Number.NaN)],
  ['an object without a prototype', Object.create(null)],
  ['a list of null', [null]],
  ['a list with a hole', new Array(2)],
  ['a list of bigints', [1n, 2n]],
  ['an array that was transferred', transferred(4)]
]

test('an array that was transferred is refused by compiled code too, which miscounts it in Node 20', () => {
  const codes = new Set<unknown>()
  for (let call = 0; call < 100_000; call++) {
    if (call % 100 === 7) fromArray(resizable(), { shape: [2] })
    if (call % 100 !== 11) fromArray(new Float32Array(4), { shape: [2] })
    else
      try {
        fromArray(transferred(4), { shape: [2] })
        codes.add('accepted')
      } catch (error) {
        codes.add((error as { code?: string }).code ?? (error as Error).stack)
      }
  }
  codes.delete('EMPTY_BATCH')
  expect([...codes].filter((code) => code !== 'INVALID_INPUT')).toEqual([])
})

function resizable(): Float32Array {
  const Resizable = ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer
  return new Float32Array(new Resizable(16, { maxByteLength: 32 }))
}

function transferred(size: number): Float32Array {
  const array = new Float32Array(size)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

async function* batches() {
  yield x
}

let folder: string
let flow: Flow
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-'))
  flow = await Flow.create(options)
})
afterAll(() => {
  flow.dispose()
  rmSync(folder, { recursive: true })
})

type Call = (value: never) => unknown
/** Calls with one wrong argument each. */
const calls: Record<string, Call> = {
  'Flow.create': (v) => Flow.create(v),
  shape: (v) => Flow.create({ ...options, shape: v }),
  blocks: (v) => Flow.create({ ...options, blocks: v }),
  hidden: (v) => Flow.create({ ...options, blocks: [{ type: 'cnf', net: { hidden: v } }] }),
  trace: (v) => Flow.create({ ...options, trace: v }),
  solver: (v) => Flow.create({ ...options, solver: v }),
  regularize: (v) => Flow.create({ ...options, regularize: v }),
  context: (v) => Flow.create({ ...options, context: v }),
  device: (v) => Flow.create({ ...options, device: v }),
  'Flow.load': (v) => Flow.load(v),
  save: (v) => flow.save(v),
  'save options': (v) => flow.save(join(folder, 'm'), v),
  logProb: (v) => flow.logProb(v),
  seed: (v) => flow.logProb(x, { seed: v }),
  signal: (v) => flow.logProb(x, { signal: v }),
  noise: (v) => flow.logProb(x, { noise: v }),
  'logProb context': (v) => flow.logProb(x, { context: v }),
  logProbSync: (v) => flow.logProbSync(v),
  forward: (v) => flow.forward(v),
  'batch shape': (v) => flow.logProb({ data: x, shape: v }),
  'batch row': (v) => flow.logProb([[1, 2], v]),
  sample: (v) => flow.sample(v),
  sampleBase: (v) => flow.sampleBase(v),
  trajectory: (v) => flow.trajectory(v),
  times: (v) => flow.trajectory({ x, times: v }),
  'velocity options': (v) => flow.velocity(x, v),
  velocityPullback: (v) => flow.velocityPullback(x, { t: 0, f: v }),
  loss: (v) => flow.loss(v),
  optimizer: (v) => flow.optimizer(v),
  setParameters: (v) => flow.setParameters(v),
  table: (v) => {
    flow.table = v
  },
  'columns of a table': (v) => {
    flow.table = { columns: v }
  },
  evaluate: (v) => flow.evaluate(v),
  'evaluate options': (v) => flow.evaluate(x, v),
  solve: (v) => flow.solve(v),
  pullback: async (v) => {
    using solution = await flow.solve(x)
    await solution.pullback(v)
  },
  fit: (v) => flow.fit(v, { iterations: 1 }),
  'fit options': (v) => flow.fit(x, v),
  'fit validation': (v) => flow.fit(x, { iterations: 1, validation: v }),
  'fit checkpoint': (v) => flow.fit(x, { iterations: 1, checkpoint: v }),
  'fit signal': (v) => flow.fit(x, { iterations: 1, signal: v }),
  'fit schedule': (v) => flow.fit(x, { iterations: 1, schedule: v }),
  'odeint y0': (v) => odeint((_, y) => y, v, [0, 1]),
  'odeint times': (v) => odeint((_, y) => y, [1], v),
  'odeint options': (v) => odeint((_, y) => y, [1], [0, 1], v),
  'odeint f returns': (v) => odeint(() => v, [1, 2], [0, 1]),
  fromArray: (v) => fromArray(v, { shape: [2] }),
  'fromArray options': (v) => fromArray(x, v),
  'fromArray shape': (v) => fromArray(x, { shape: v }),
  'fromArray columns': (v) => fromArray(x, { shape: [2], columns: v }),
  'fromArray context': (v) => fromArray(x, { shape: [2], context: v }),
  fromRows: (v) => fromRows(v),
  'fromRows row': (v) => fromRows([[1, 2], v]),
  ArrayDataset: (v) => new ArrayDataset(x, v),
  LawDataset: (v) => new LawDataset('name', v, 0),
  condition: (v) => fromArray(x, { shape: [2], columns: ['a', 'b'] }).condition(v),
  split: (v) => fromArray(x, { shape: [2] }).split(v),
  'split options': (v) => toy('moons').split([0.5, 0.5], v),
  take: (v) => toy('moons').take(v),
  restore: (v) => fromArray(x, { shape: [2] }).restore(v),
  'batch options': (v) =>
    fromArray(x, { shape: [2] })
      .batches(v)
      .next(),
  fromAsyncIterable: (v) => fromAsyncIterable(v, { shape: [2] }).take(1),
  'stream shape': (v) => fromAsyncIterable(batches, { shape: v }),
  'stream columns': (v) => fromAsyncIterable(batches, { shape: [2], columns: v }),
  'stream item': (v) => fromAsyncIterable([v], { shape: [2] }).take(1),
  toy: (v) => toy(v),
  'toy options': (v) => toy('moons', v),
  fromImage: (v) => fromImage(v),
  benchmark: (v) => benchmark(v, folder),
  'benchmark folder': (v) => benchmark('power', v),
  fromFile: (v) => fromFile(v),
  'fromFile options': (v) => fromFile(join(folder, 'no.csv'), v),
  'fromFile columns': (v) => fromFile(join(folder, 'no.csv'), { columns: v }),
  'fromFile bounds': (v) => fromFile(join(folder, 'no.csv'), { bounds: { a: v } }),
  streamFile: (v) => streamFile(v),
  'splitFile options': (v) => splitFile(join(folder, 'no.csv'), v),
  fitGaussian: (v) => fitGaussian(v),
  Gaussian: (v) => new Gaussian(v, v),
  fitMixture: (v) => fitMixture(v),
  'fitMixture options': (v) => fitMixture([[1], [2]], v),
  fitMixtureAsync: (v) => fitMixtureAsync(v),
  'fitMixtureAsync options': (v) => fitMixtureAsync([[1], [2]], v),
  GaussianMixture: (v) => new GaussianMixture(v, v),
  baselines: (v) => baselines(v, v),
  decodeColumns: (v) => decodeColumns(v, x),
  'decodeColumns samples': (v) => decodeColumns([{ name: 'a', type: 'real' }], v),
  tableBlocks: (v) => tableBlocks(v, x, 'whiten'),
  'tableBlocks data': (v) => tableBlocks([{ name: 'a', type: 'real' }], v, 'whiten'),
  readSafetensors: (v) => readSafetensors(v),
  writeSafetensors: (v) => writeSafetensors(v, { metadata: {}, tensors: new Map() }),
  'writeSafetensors file': (v) => writeSafetensors(join(folder, 't'), v),
  'writeSafetensors tensors': (v) => writeSafetensors(join(folder, 't'), { metadata: {}, tensors: v }),
  'writeSafetensors tensor': (v) =>
    writeSafetensors(join(folder, 't'), { metadata: {}, tensors: new Map([['a', v]]) })
}

/** Wrong in general, and right here: what is left out of an options object, or may be any object. */
const rightHere: Record<string, string[]> = {
  'save options': ['an object without a prototype'],
  'evaluate options': ['an object without a prototype'],
  'fit options': ['an object without a prototype'],
  'odeint options': ['an object without a prototype'],
  'split options': ['an object without a prototype', 'null'],
  'toy options': ['an object without a prototype'],
  'batch options': ['an object without a prototype'],
  'fitMixture options': ['an object without a prototype'],
  'fitMixtureAsync options': ['an object without a prototype'],
  regularize: ['an object without a prototype'],
  setParameters: ['an object without a prototype'],
  solver: ['an object without a prototype'],
  device: ['null']
}

test.each(Object.entries(calls))(
  '%s: every wrong value is an error with a code and a remedy',
  async (name, call) => {
    const found: string[] = []
    for (const [what, value] of hostile) {
      if (rightHere[name]?.includes(what)) continue
      try {
        await call(value as never)
        found.push(`${what} was accepted`)
      } catch (error) {
        const { name: kind, code, message } = error as { name: string; code?: string; message: string }
        // A function that streams, or that is a stream's source, is called.
        if (error === mine && what === 'a function') continue
        if (kind !== 'FfjordError' || !code || code === 'INTERNAL' || !/[;:,].+\w/.test(message))
          found.push(`${what}: ${kind} ${code} ${message}`)
      }
    }
    expect(found).toEqual([])
  }
)

test('options are read once, whatever their getters and proxies say later, and those of a prototype count', async () => {
  let reads = 0
  const changing = {
    get seed() {
      return reads++ === 0 ? 3 : Symbol('later')
    }
  } as unknown as { seed: number }
  const expected = await flow.sample(2, { seed: 3 })
  expect((await flow.sample(2, changing)).data).toEqual(expected.data)
  expect((await flow.sample(2, new Proxy({ seed: 3 }, {}))).data).toEqual(expected.data)
  expect((await flow.sample(2, Object.create({ seed: 3 }) as object)).data).toEqual(expected.data)
  await failure(() => flow.sample(2, Object.create({ sede: 3 }) as object), 'UNKNOWN_OPTION')
  await expect(flow.sample(2, new Proxy({}, { get: thrower, ownKeys: () => [] }))).rejects.toBe(mine)
})

test('rows whose array was transferred or resized since are refused, not trained on', async () => {
  for (const lose of [
    (array: Float32Array) => structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] }),
    (array: Float32Array) => (array.buffer as ArrayBuffer & { resize(size: number): void }).resize(8)
  ]) {
    const buffer = new (ArrayBuffer as unknown as new (size: number, options: object) => ArrayBuffer)(32, {
      maxByteLength: 64
    })
    const data = fromArray(new Float32Array(buffer), { shape: [2] })
    expect((await flow.evaluate(data)).rows).toBe(4)
    lose(data.data as Float32Array)
    await failure(() => flow.evaluate(data), 'INVALID_INPUT')
    await failure(() => flow.fit(data, { iterations: 2 }), 'INVALID_INPUT')
    await failure(() => data.split([0.5, 0.5]), 'INVALID_INPUT')
    await failure(() => data.take(1), 'INVALID_INPUT')
  }
})

test('an optimizer of a disposed flow says that the flow was disposed', async () => {
  const other = await Flow.create(options)
  const optimizer = other.optimizer({ type: 'sgd' })
  other.dispose()
  await failure(() => optimizer.step(), 'DISPOSED')
})

test('parts of a split have types of their own', () => {
  const [train, rest, ...none] = fromArray(x, { shape: [2] }).split([0.5, 0.5])
  const rows: number = train.rows + rest.rows
  expect([rows, none.length]).toEqual([2, 0])
})

test('the T that a block was given is a time of its trajectory', async () => {
  const { times } = await flow.trajectory({ x, times: [0, 0.5] })
  expect(times[1]).toBeCloseTo(0.5, 6)
  await failure(() => flow.trajectory({ x, times: [0, 0.51] }), 'INVALID_OPTION')
})
