import {
  type Block,
  type FitResult,
  Flow,
  fromArray,
  fromAsyncIterable,
  fromRows,
  scalingBlocks,
  toy
} from 'ffjord'
import { failure } from './failure'

const cnf: Block = { type: 'cnf', net: { hidden: [8] } }
/** Columns of mean and deviation as given. */
const rows = (columns: [mean: number, deviation: number][], count = 400) =>
  Array.from({ length: count }, (_, i) =>
    columns.map(([mean, deviation], c) => mean + deviation * Math.SQRT2 * Math.sin((c + 1.3) * i * i))
  )

async function fitted(
  blocks: Block[],
  data: Parameters<Flow['fit']>[0],
  context?: number
): Promise<FitResult> {
  using flow = await Flow.create({
    shape: [2],
    blocks,
    solver: { method: 'rk4', steps: 2 },
    ...(context && { context })
  })
  return await flow.fit(data, { iterations: 3, batch: 100 })
}

test.each<[string, [number, number][], string]>([
  [
    'large',
    [
      [1e6, 7e4],
      [0, 1]
    ],
    'x1'
  ],
  [
    'far away',
    [
      [0, 1],
      [-1e4, 2]
    ],
    'x2'
  ],
  [
    'small',
    [
      [0, 1],
      [0, 1e-4]
    ],
    'x2'
  ]
])('columns that are %s are told, with the one call that helps', async (_, columns, column) => {
  const { warnings } = await fitted([cnf], rows(columns))
  expect(warnings).toHaveLength(1)
  expect(warnings[0]).toMatchObject({ code: 'UNSCALED_DATA', column, iteration: 0 })
  expect(warnings[0]!.message).toMatch(/scalingBlocks\(data\)/)
  const scaled = await fitted([...(await scalingBlocks(rows(columns))), cnf], rows(columns))
  expect(scaled.warnings).toEqual([])
})

test('whose blocks scale them are not, nor those that need no scaling', async () => {
  expect((await fitted([cnf], toy('checkerboard'))).warnings).toEqual([])
  const data = rows([
    [1e6, 7e4],
    [0.5, 0.01]
  ])
  expect((await fitted([{ type: 'batch_norm' }, cnf], data)).warnings).toEqual([])
  for (const scaling of ['whiten', 'standardize'] as const)
    expect((await fitted([...(await scalingBlocks(data, scaling)), cnf], data)).warnings).toEqual([])
  const inside = rows([
    [0.5, 0.2],
    [0.5, 0.2]
  ])
  const toLine: Block[] = [{ type: 'logit', alpha: 1e-3 }, cnf]
  expect((await fitted(toLine, inside)).warnings).toEqual([])
  const wrong: Block = { type: 'standardize', mean: [0, 0], scale: [1, 1e3] }
  expect((await fitted([wrong, cnf], inside)).warnings).toMatchObject([{ column: 'x2' }])
})

test('contexts that would drown the net are told, too', async () => {
  const samples = rows([
    [0, 1],
    [0, 1]
  ])
  const context = rows([[1e5, 1]])
  const data = fromRows(samples, { context, contextColumns: ['year'] })
  const { warnings } = await fitted([cnf], data, 1)
  expect(warnings).toMatchObject([{ code: 'UNSCALED_DATA', column: 'year' }])
  expect(warnings[0]!.message).toMatch(/context: \{ size, mean, scale \}/)
})

test('scaling blocks are made of data sets of every kind, and use none of their rows up', async () => {
  const columns: [number, number][] = [
    [1e4, 100],
    [3, 0.1]
  ]
  const expected = await scalingBlocks(rows(columns))
  expect(expected).toMatchObject([{ type: 'whiten', mean: [expect.closeTo(1e4, -2), expect.closeTo(3, 1)] }])
  const set = fromRows(rows(columns), { columns: ['a', 'b'] })
  expect(await scalingBlocks(set)).toEqual(expected)
  expect(set.state()).toEqual({ epoch: 0, row: 0 })
  const stream = fromAsyncIterable(rows(columns), { shape: [2] })
  expect(await scalingBlocks(stream)).toEqual(expected)
  expect((await stream.take(1000)).rows).toBe(400)
  const law = toy('moons')
  expect(await scalingBlocks(law, 'standardize')).toMatchObject([{ type: 'standardize' }])
  expect(law.state().row).toBe(0)
  const image = fromArray(Float32Array.from(rows([[100, 50]], 160).flat()), { shape: [1, 4, 4] })
  expect(await scalingBlocks(image)).toMatchObject([{ type: 'standardize' }])
  await failure(
    () =>
      scalingBlocks(
        fromRows(
          [
            [1, 5],
            [2, 5],
            [3, 5]
          ],
          { columns: ['a', 'b'] }
        )
      ),
    'INVALID_INPUT'
  )
  await failure(() => scalingBlocks(Float32Array.of(1, 2)), 'INVALID_SHAPE')
})

test('columns that combine others are told all at once', async () => {
  const data = rows([
    [0, 1],
    [5, 2],
    [1, 3]
  ]).map(([a, b, c]) => [a!, b!, a! + b!, c!, 2 * c!])
  const { message } = await failure(() => scalingBlocks(data), 'INVALID_INPUT')
  expect(message).toContain("columns 'x3', 'x5' are linear combinations")
  expect(message).toContain("exclude: ['x3', 'x5']")
  const one = data.map((row) => row.slice(0, 4))
  const alone = await failure(() => scalingBlocks(one), 'INVALID_INPUT')
  expect(alone.message).toContain("column 'x3' is a linear combination of the columns before it")
})
