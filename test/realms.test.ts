import { join } from 'node:path'
import { types } from 'node:util'
import { runInNewContext } from 'node:vm'
import { Worker } from 'node:worker_threads'
import { Flow, fromArray, fromRows, odeint } from 'ffjord'
import { isFfjordError } from '../lib/native/errors'
import { failure } from './failure'

const options = { shape: [2], blocks: [{ type: 'cnf' as const, net: { hidden: [4] } }], seed: 1 }

test('what the package returns goes back into it: tests are a realm beside that of the addon', async () => {
  using flow = await Flow.create(options)
  const { x, logProb } = await flow.sampleAndLogProb(4, { precision: 'float64', seed: 2 })
  // Otherwise this test shows nothing.
  expect(x.data).not.toBeInstanceOf(Float64Array)
  const again = await flow.logProb(x)
  expect(types.isFloat64Array(again)).toBe(true)
  for (let row = 0; row < 4; row++) expect(again[row]).toBeCloseTo(logProb[row]!, 3)
  flow.setParameters(flow.parameters())
  expect((await flow.fit(x, { iterations: 2 })).iterations).toBe(2)
})

test('arrays, lists and objects of another realm are like those of this one', async () => {
  using flow = await Flow.create(options)
  const expected = [...(await flow.logProb([[1, 2]]))]
  const foreign = (text: string) => runInNewContext(text) as number[][]
  for (const text of [
    'new Float32Array([1, 2])',
    'new Float64Array([1, 2])',
    '[[1, 2]]',
    '[new Float64Array([1, 2])]',
    '({ data: new Float32Array([1, 2]), shape: [1, 2] })'
  ]) {
    const found = await flow.logProb(foreign(text))
    expect([...found].map((value) => value.toPrecision(5))).toEqual(
      expected.map((value) => value.toPrecision(5))
    )
  }
  expect(types.isFloat64Array(await flow.logProb(foreign('new Float64Array([1, 2])')))).toBe(true)
  const data = fromArray(foreign('new Float64Array([1, 2, 3, 4])') as never, {
    shape: foreign('[2]') as never
  })
  expect(types.isFloat64Array(data.data)).toBe(true)
  const [part] = data.split(foreign('[0.5, 0.5]') as unknown as number[])
  expect(types.isFloat64Array(part!.data)).toBe(true)
  expect(fromRows(foreign('[[1, 2], [3, 4]]')).rows).toBe(2)
  const f = runInNewContext('(t, y) => new Float64Array([-y[0]])') as (
    t: number,
    y: Float64Array
  ) => Float64Array
  expect(odeint(f, [1], [0, 1], { rtol: 1e-8 }).y.at(-1)![0]).toBeCloseTo(Math.exp(-1), 6)
})

test('an error of the package is known by name and code, whatever realm or copy it came from', async () => {
  const copied = runInNewContext(`
    class FfjordError extends Error {
      constructor(code, message) { super(message); this.code = code; this.name = 'FfjordError' }
    }
    new FfjordError('CANCELLED', 'the signal ended this call; repeat it')`)
  expect(isFfjordError(copied)).toBe(true)
  expect(isFfjordError(runInNewContext("Object.assign(new Error('x'), { code: 'ENOENT' })"))).toBe(false)
  const thrower = () => {
    throw copied
  }
  expect(() => odeint(thrower, [1], [0, 1])).toThrow(copied as Error)
  const { code } = await failure(() => odeint(() => [1, 2], [1], [0, 1]), 'INVALID_SHAPE')
  expect(code).toBe('INVALID_SHAPE')
})

test('a worker thread takes arrays from the main thread, and gives back its own', async () => {
  const work = `
    const { parentPort, workerData } = require('node:worker_threads')
    const { Flow } = require(workerData.built)
    ;(async () => {
      const flow = await Flow.create(workerData.options)
      const refused = await flow.logProb([[1]]).catch(({ code }) => code)
      parentPort.postMessage({ logProb: await flow.logProb(workerData.x), refused })
      flow.dispose()
    })()`
  using flow = await Flow.create(options)
  const x = Float32Array.of(1, 2, 3, 4)
  const worker = new Worker(work, {
    eval: true,
    workerData: { built: join(__dirname, '..', 'dist', 'index.js'), options, x }
  })
  const { logProb, refused } = await new Promise<{ logProb: Float32Array; refused: string }>(
    (resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    }
  )
  expect([...logProb]).toEqual([...(await flow.logProb(x))])
  expect(refused).toBe('INVALID_SHAPE')
})
