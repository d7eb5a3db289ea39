import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { type Dataset, type DatasetState, fromArray, fromAsyncIterable, fromRows } from 'ffjord'
import { failure } from './failure'

const ten = () => fromRows(Array.from({ length: 10 }, (_, i) => [i, -i]))

async function epoch(data: Dataset, options: Parameters<Dataset['batches']>[0]): Promise<number[][]> {
  const batches: number[][] = []
  for await (const { data: values } of data.batches(options))
    batches.push([...values].filter((_, i) => i % 2 === 0))
  return batches
}

test('rows in their order, with a smaller last batch or without it', async () => {
  const data = ten()
  expect(await epoch(data, { size: 4, shuffle: false })).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9]
  ])
  expect(data.state()).toEqual({ epoch: 1, row: 0 })
  expect(await epoch(data, { size: 4, shuffle: false, drop: true })).toEqual([
    [0, 1, 2, 3],
    [4, 5, 6, 7]
  ])
})

test('an epoch holds every row once; seeds and epochs have orders of their own', async () => {
  const data = ten()
  const first = (await epoch(data, { size: 4, seed: 1 })).flat()
  const second = (await epoch(data, { size: 4, seed: 1 })).flat()
  const other = (await epoch(ten(), { size: 4, seed: 2 })).flat()
  for (const order of [first, second, other])
    expect([...order].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(second).not.toEqual(first)
  expect(other).not.toEqual(first)
})

test('a restored data set goes on with the rows that come next', async () => {
  const data = ten()
  const rest: number[][] = []
  let state: DatasetState | undefined
  for await (const { data: values } of data.batches({ size: 3, seed: 7 })) {
    if (state) rest.push([...values].filter((_, i) => i % 2 === 0))
    state ??= data.state()
  }
  const again = ten()
  again.restore(state!)
  expect(await epoch(again, { size: 3, seed: 7 })).toEqual(rest)
  await failure(() => again.restore({ epoch: 0, row: 11 }), 'INVALID_OPTION')
})

test('what fit looks ahead at are the batches that come, through the end of an epoch', async () => {
  const data = ten()
  const options = { size: 4, shuffle: true, seed: 3, drop: false }
  const { indices, sizes } = await data.peek(5, options)
  expect([...sizes]).toEqual([4, 4, 2, 4, 4])
  const [one, two] = [await epoch(data, options), await epoch(data, options)]
  expect([...indices]).toEqual([...one.flat(), ...two.flat().slice(0, 8)])

  const fresh = ten()
  fresh.advance(4, options)
  expect(fresh.state()).toEqual({ epoch: 1, row: 4 })
})

test('parts are contiguous, or drawn with a seed, and complete', async () => {
  const values = (data: { data: ArrayLike<number> }) => Array.from(data.data).filter((_, i) => i % 2 === 0)
  const [train, test] = ten().split([0.7, 0.3]).map(values)
  expect([train, test]).toEqual([
    [0, 1, 2, 3, 4, 5, 6],
    [7, 8, 9]
  ])
  const mixed = ten().split([0.5, 0.5], { seed: 1 }).map(values)
  expect(mixed.flat().sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(mixed.flat()).not.toEqual(ten().split([1]).flatMap(values))
  await failure(() => ten().split([0.5, 0.6]), 'INVALID_OPTION')
  await failure(() => ten().split([0.99, 0.01]), 'EMPTY_BATCH')
})

test('arrays know their shape and columns', async () => {
  const data = fromArray(new Float64Array(12), { shape: [3], columns: ['a', 'b', 'c'] })
  expect([data.rows, data.shape, data.columns]).toEqual([4, [3], ['a', 'b', 'c']])
  expect(fromArray({ data: new Float32Array(8), shape: [2, 1, 2, 2] }).shape).toEqual([1, 2, 2])
  expect((await data.take(2)).rows).toBe(2)
  await failure(() => fromArray(new Float32Array(4)), 'INVALID_SHAPE')
  await failure(() => fromArray(new Float32Array(4), { shape: [3] }), 'INVALID_SHAPE')
  await failure(() => fromArray(new Float32Array(4), { shape: [2], columns: ['a'] }), 'INVALID_SHAPE')
  await failure(() => fromRows([]), 'EMPTY_BATCH')
  await failure(() => fromRows([[1, 2], [3]]), 'INVALID_SHAPE')
  const nan = await failure(
    () =>
      fromRows([
        [1, 2],
        [3, Number.NaN]
      ]),
    'NOT_FINITE'
  )
  expect(nan.message).toContain('row 1, column 1')
})

describe('streams', () => {
  async function* rows(count: number) {
    for (let i = 0; i < count; i++) yield [i, -i]
  }

  test('give rows as they come, whatever the size of their parts', async () => {
    async function* parts() {
      yield [0, 0]
      yield Float32Array.of(1, -1, 2, -2)
      yield [
        [3, -3],
        [4, -4]
      ]
    }
    expect(await epoch(fromAsyncIterable(parts(), { shape: [2] }), { size: 2 })).toEqual([
      [0, 1],
      [2, 3],
      [4]
    ])
  })

  test('that can be opened again go on after a restore', async () => {
    const stream = fromAsyncIterable(() => rows(9), { shape: [2] })
    await stream.take(4)
    const state = stream.state()
    expect(state).toEqual({ epoch: 0, row: 4 })
    const again = fromAsyncIterable(() => rows(9), { shape: [2] })
    again.restore(state)
    expect(await epoch(again, { size: 3 })).toEqual([
      [4, 5, 6],
      [7, 8]
    ])
  })

  test('refuse what they cannot do', async () => {
    const once = fromAsyncIterable(rows(5), { shape: [2] })
    await once.take(3)
    await failure(() => once.restore({ epoch: 0, row: 0 }), 'UNSUPPORTED')
    await failure(() => once.split([0.5, 0.5]), 'UNSUPPORTED')
    const wrong = fromAsyncIterable([[1, 2, 3]], { shape: [2] })
    await failure(() => wrong.take(1), 'INVALID_SHAPE')
    const none = fromAsyncIterable(5 as unknown as number[][], { shape: [2] })
    await failure(() => none.take(1), 'INVALID_INPUT')
  })
})

/** Run by itself: in a process where a realm went with registries of its own to tidy, V8 tidies none again. */
const abandons = `
  const { fromAsyncIterable } = require(${JSON.stringify(join(__dirname, '..', 'dist', 'index.js'))})
  let closed = 0
  async function* open() {
    try {
      for (;;) yield [1, 2]
    } finally {
      closed++
    }
  }
  const taken = async (source) => (await fromAsyncIterable(source, { shape: [2] }).take(3)).rows
  async function run() {
    const own = open()
    const rows = await Promise.all([open, own].map(taken))
    for (let attempt = 0; attempt < 500 && closed === 0; attempt++) {
      gc()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    console.log(JSON.stringify({ rows, closed, done: (await own.next()).done }))
  }
  run()
`

test("a stream that nobody holds any more is closed, but not the caller's own", () => {
  const said = execFileSync(process.execPath, ['--expose-gc', '-e', abandons], { encoding: 'utf8' })
  expect(JSON.parse(said)).toEqual({ rows: [3, 3], closed: 1, done: false })
})
