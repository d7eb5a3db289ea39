import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ArrayDataset,
  baselines,
  type Dataset,
  Flow,
  type FlowOptions,
  fromFile,
  streamFile,
  type TableDataset
} from 'ffjord'
import { cellLogProb } from '../lib/evaluation/cell-density'
import { failure } from './failure'

/** The score of a row with dequantised values: of the cell it stands for, not of its place in a file. */

const seed = Number(process.env.FFJORD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}; repeat with FFJORD_TEST_SEED=${seed}`)
let state = seed
const draw = () => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0
  return state / 2 ** 32
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-cells-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Columns: a category, whole numbers, multiples of 0.25, real numbers. */
const line = () =>
  [
    'abc'[Math.floor(3 * draw() ** 2)],
    Math.round(4 * draw()),
    0.25 * Math.floor(12 * draw()),
    (3 * draw() - 1).toFixed(4)
  ].join(',')

function table(name: string, lines: readonly string[]): string {
  const path = join(folder, name)
  writeFileSync(path, `kind,rooms,quarter,size\n${lines.join('\n')}\n`)
  return path
}

const reading = { categorical: 'one-hot', dequantize: { rooms: 1, quarter: 0.25 } } as const

async function flowFor(data: Dataset, change: Partial<FlowOptions> = {}): Promise<Flow> {
  return Flow.create({
    shape: data.shape,
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [16], layer: 'concat' } }],
    device: 'cpu',
    seed: 3,
    ...change
  })
}

const order = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ i, rank: draw() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ i }) => i)

describe.each([
  ['exact trace', {}, []],
  ['one probe', { trace: { noise: 'rademacher' } }, []],
  ['exact trace, given a context', { trace: 'exact' }, ['size']],
  ['float64, one probe', { device: 'reference', trace: { noise: 'gaussian' } }, []]
] as [string, Partial<FlowOptions>, string[]][])('%s', (_, change, context) => {
  const conditioned = (data: TableDataset) => (context.length > 0 ? data.condition(context) : data)
  const opened = async (name: string, lines: readonly string[], schema?: TableDataset['schema']) =>
    conditioned(await fromFile(table(name, lines), schema ? { schema } : { ...reading, context }))
  const call = { draws: 64 }

  test('permuting, adding and taking rows, and cutting batches, change no score by a bit', async () => {
    const lines = Array.from({ length: 40 }, line)
    // An equal row at another place.
    lines.push(lines[7]!)
    const whole = await fromFile(table('whole.csv', lines), { ...reading, context })
    const rows = conditioned(whole)
    const given = context.length > 0 ? { context: context.length } : {}
    using flow = await flowFor(rows, { ...change, ...given })
    const { logProb, bound, draws, spread } = await flow.evaluate(rows, call)
    expect(bound).toMatch(/^lower bound, (32 to )?\d+ draws$/)
    expect(logProb[40]).toBe(logProb[7])
    expect([draws!.length, spread!.length]).toEqual([41, 41])

    const permuted = order(41)
    const turned = await opened(
      'turned.csv',
      permuted.map((row) => lines[row]!),
      whole.schema
    )
    const found = await flow.evaluate(turned, call)
    expect([...found.logProb]).toEqual(permuted.map((row) => logProb[row]))

    const more = await opened('more.csv', [line(), ...lines, ...lines.slice(0, 9).reverse()], whole.schema)
    const among = await flow.evaluate(more, call)
    expect([...among.logProb.slice(1, 42)]).toEqual([...logProb])
    expect([...among.logProb.slice(42)]).toEqual([...logProb.slice(0, 9)].reverse())

    const pieces = await flow.evaluate(rows, { ...call, batch: 1 + Math.floor(9 * draw()) })
    expect([...pieces.logProb]).toEqual([...logProb])
    const [part] = rows.split([0.5, 0.5], { seed: 4 })
    const values = new Set(logProb)
    expect([...(await flow.evaluate(part!, call)).logProb].every((value) => values.has(value))).toBe(true)
    expect([...(await flow.evaluate(await rows.take(5), call)).logProb]).toEqual([...logProb.slice(0, 5)])

    // Another seed is another estimate of the same; one draw is the row that training takes.
    const other = await flow.evaluate(rows, { ...call, seed: 99 })
    expect([...other.logProb]).not.toEqual([...logProb])
    const one = await flow.evaluate(rows, { draws: 1 })
    expect(one.bound).toBe('lower bound, 1 draw')
    const { contextData } = rows
    const trained = await flow.logProb(rows.data, contextData ? { context: contextData } : {})
    expect([...one.logProb]).toEqual(Array.from(trained))
  })
})

test('the score of a cell is the mean density over it, and the spread says how far it may be', async () => {
  const data = await fromFile(table('small.csv', Array.from({ length: 12 }, line)), {
    columns: ['rooms', 'quarter'],
    dequantize: reading.dequantize
  })
  using flow = await flowFor(data, { device: 'reference', solver: { rtol: 1e-8, atol: 1e-8 } })
  const { logProb, spread, draws } = await flow.evaluate(data, { draws: 4096 })
  const grid = 60
  let [errors, spreads] = [0, 0]
  for (let row = 0; row < data.rows; row++) {
    const cell = data.cells!.values.subarray(2 * row, 2 * row + 2)
    const points = Float64Array.from({ length: 2 * grid * grid }, (_, i) => {
      const place = i % 2 === 0 ? (i >> 1) % grid : Math.floor((i >> 1) / grid)
      return cell[i % 2]! + ([1, 0.25][i % 2]! * (place + 0.5)) / grid
    })
    const values = await flow.logProb(points)
    const mean = values.reduce((sum, value) => sum + Math.exp(value), 0) / values.length
    expect(spread![row]!).toBeLessThan(0.01)
    errors += (logProb[row]! - Math.log(mean)) ** 2
    spreads += spread![row]! ** 2
    expect(draws![row]! % 32).toBe(0)
  }
  // A spread is found from eight sets, so that a single row may well err by five of them; all together may not.
  expect(Math.sqrt(errors)).toBeLessThan(3 * Math.sqrt(spreads) + 1e-4)
})

test('draws go on until the spread is small, are told where they end before, and equal rows share them', async () => {
  const asked: number[] = []
  // A steep density over the first cell; the second value stands for itself.
  const density = async (points: Float64Array) => {
    asked.push(points.length / 2)
    return Float64Array.from({ length: points.length / 2 }, (_, i) => -points[2 * i]! * points[2 * i + 1]!)
  }
  const values = Float64Array.of(0, 0.01, 0, 8, 0, 0.01, 0, 40)
  const steps = [1, 0]
  const { logProb, spread, draws, points } = await cellLogProb({ values, steps }, density, {
    seed: 1,
    draws: 256
  })
  const truth = [0.01, 8, 0.01, 40].map((rate) => Math.log((1 - Math.exp(-rate)) / rate))
  expect([draws[0], draws[2], draws[3]]).toEqual([32, 32, 256])
  expect(draws[1]).toBeGreaterThan(32)
  expect(logProb[0]).toBe(logProb[2])
  expect(points).toBe(32 + draws[1]! + draws[3]!)
  expect(asked.reduce((sum, one) => sum + one, 0)).toBe(points)
  truth.forEach((value, row) => {
    expect(Math.abs(logProb[row]! - value)).toBeLessThan(5 * spread[row]! + 1e-3)
  })
  expect(spread[0]).toBeLessThan(0.01)
})

test('the spread is the standard error of the estimate over seeds', async () => {
  const density = async (points: Float64Array) => points.map((x) => -6 * x)
  const found = await Promise.all(
    Array.from({ length: 200 }, (_, seed) =>
      cellLogProb({ values: Float64Array.of(2), steps: [1] }, density, { seed, draws: 16 })
    )
  )
  const values = found.map(({ logProb }) => logProb[0]!)
  const mean = values.reduce((sum, value) => sum + value, 0) / 200
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 199)
  const told = Math.sqrt(found.reduce((sum, { spread }) => sum + spread[0]! ** 2, 0) / 200)
  expect(told / deviation).toBeGreaterThan(0.7)
  expect(told / deviation).toBeLessThan(1.4)
})

test('rows that stand for themselves have exact densities, and batches carry the cells of their rows', async () => {
  const rows = new ArrayDataset(new Float32Array([0, 1, 2, 3]), [2])
  using flow = await flowFor(rows)
  const { bound, logProb, spread, draws, solves } = await flow.evaluate(rows)
  expect([bound, spread, draws, solves]).toEqual(['exact density', undefined, undefined, 2])
  expect(Float32Array.from(logProb)).toEqual(await flow.logProb(rows.data))
  const estimated = await flow.evaluate(rows, { trace: { noise: 'gaussian' } })
  expect(estimated.bound).toBe('unbiased estimate')
  await failure(() => flow.evaluate(rows, { draws: 0 }), 'INVALID_OPTION')

  const data = await fromFile(table('batches.csv', Array.from({ length: 9 }, line)), reading)
  const { steps } = data.cells!
  expect(steps).toEqual([1, 1, 1, 1, 0.25, 0].slice(6 - data.shape[0]!))
  for await (const { data: values, cells } of data.batches({ size: 4, seed: 2 }))
    for (let at = 0, from = 0; at < values.length; at++) {
      const step = steps[at % steps.length]!
      if (step === 0) continue
      const cell = cells!.values[from++]!
      expect(values[at]!).toBeGreaterThanOrEqual(cell)
      expect(values[at]!).toBeLessThan(cell + (step as number))
    }
})

test('rows of a stream, which has no cells, are bounds of one draw', async () => {
  const path = table('stream.csv', Array.from({ length: 20 }, line))
  const { schema, shape } = await fromFile(path, reading)
  using flow = await flowFor({ shape } as Dataset)
  flow.table = schema
  const { bound, rows } = await flow.evaluate(await streamFile(path, { schema }))
  expect([bound, rows]).toEqual(['lower bound, 1 draw', 20])
})

test('noise stays within its cell in either precision, far from zero too', async () => {
  const cells: [Float32Array | Float64Array, number][] = [
    [Float32Array.of(2 ** 23 - 1), 1],
    [Float32Array.of(2 ** 25), 1],
    [Float64Array.of(1.7e12 + 3), 1],
    [Float64Array.of(0.1), 0.01]
  ]
  for (const [values, step] of cells) {
    const [x] = values as unknown as [number]
    const seen = new Set<number>()
    const density = async (points: Float64Array) => {
      for (const point of points) {
        seen.add(point)
        expect(point).toBeGreaterThanOrEqual(x)
        expect(point).toBeLessThan(x + step)
        if (x < 2 ** 24) expect(Math.fround(point)).toBeLessThan(Math.fround(x + step))
      }
      return points.map(() => 0)
    }
    await cellLogProb({ values, steps: [step] }, density, { seed: 1, draws: 64 })
    expect(seen.size).toBeGreaterThan(10)
  }
})

test('plain densities are compared by the same quantity', async () => {
  const lines = Array.from({ length: 300 }, line)
  const data = await fromFile(table('plain.csv', lines), { ...reading, exclude: ['kind'] })
  const again = await fromFile(table('again.csv', [...lines].reverse()), { ...reading, exclude: ['kind'] })
  const [one] = await baselines(data, data)
  const [other] = await baselines(data, again)
  expect(other!.nll).toBeCloseTo(one!.nll, 10)
})
