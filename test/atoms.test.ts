import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  baselines,
  decodeColumns,
  type ErrorCode,
  type FileOptions,
  Flow,
  fromFile,
  remarksOn,
  scalingBlocks,
  splitFile,
  streamFile,
  type TableSchema
} from 'ffjord'
import { AtomCell } from '../lib/data/atom'
import { Interval } from '../lib/data/interval'
import { RowRandom } from '../lib/data/random'
import { checkSchema } from '../lib/data/schema'
import { failure } from './failure'

/** A value that many rows have exactly has a probability, and the others of its column a density. */

const seed = Number(process.env.FFJORD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}; repeat with FFJORD_TEST_SEED=${seed}`)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-atoms-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** As it is published, with the report's page. */
const ffjord = (...given: string[]) =>
  execFileSync(process.execPath, [join(__dirname, '..', 'dist', 'cli', 'index.js'), ...given], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe']
  })

let files = 0
function written(head: string, lines: readonly string[]): string {
  const path = join(folder, `${files++}.csv`)
  writeFileSync(path, `${head}\n${lines.join('\n')}\n`)
  return path
}

type Law = (normal: number, uniform: number) => number

/** Rows of `paid`, on the atom more often where `b` is small, and `b`. */
function table(value: number, others: Law, rows = 1500): string {
  const random = new RowRandom(seed)
  const lines = Array.from({ length: rows }, (_, row) => {
    random.seek(row)
    const b = random.normal()
    const onAtom = random.uniform() < 1 / (1 + Math.exp(1.6 * b - 0.6))
    const paid = onAtom ? value : others(0.5 * b + random.normal(), random.uniform())
    return `${paid.toPrecision(8)},${b.toFixed(5)}`
  })
  return written('paid,b', lines)
}

async function trained(path: string, options: FileOptions, iterations = 500): Promise<Flow> {
  const data = await fromFile(path, options)
  const flow = await Flow.create({
    shape: data.shape,
    blocks: [
      ...(await scalingBlocks(data)),
      { type: 'cnf', time: 1, net: { hidden: [24, 24], layer: 'concatsquash' } }
    ],
    trace: 'exact',
    device: 'cpu',
    seed: 5
  })
  await flow.fit(data, { iterations, batch: 256, objective: 'fm', optimizer: { type: 'adam', lr: 0.01 } })
  return flow
}

const scored = async (flow: Flow, lines: readonly string[]) =>
  (await flow.evaluate(await fromFile(written('paid,b', lines), { schema: flow.table! }))).logProb

const atomOf = (schema: TableSchema) => schema.columns.find(({ name }) => name === 'paid')!.atom!

const grid = (from: number, to: number, count: number) =>
  Array.from({ length: count }, (_, i) => from + ((i + 0.5) * (to - from)) / count)

const laws: [string, number, Law, FileOptions][] = [
  ['above its column', 9, (normal) => normal, {}],
  ['at the open end of an interval', 0, (normal) => Math.exp(normal), { bounds: { paid: [0, null] } }],
  [
    'at the upper of two ends',
    1,
    (normal) => 1 / (1 + Math.exp(-normal)),
    { bounds: { paid: [0, 1] }, precision: 'float64' }
  ],
  ['among the other values', 0.5, (normal) => 3 * normal + 4, {}]
]

test.each(laws)(
  'probability and density make 1 together, of an atom %s',
  async (_, value, others, options) => {
    const path = table(value, others)
    using flow = await trained(path, { ...options, atoms: { paid: value } })
    const paid = flow.table!.columns[0]!
    const [atom, interval] = [atomOf(flow.table!), new Interval(paid)]
    const bs = grid(-6, 6, 60)
    const onAtom = await scored(
      flow,
      bs.map((b) => `${value},${b}`)
    )
    const mass = onAtom.reduce((sum, one) => sum + Math.exp(one), 0) * (12 / bs.length)
    // The other values lie on the other side of the cut.
    const size = 30 * atom.scale // six deviations
    const [least, largest] =
      atom.place < atom.cut ? [atom.cut, atom.cut + 2.4 * size] : [atom.cut - 2.4 * size, atom.cut]
    const ys = grid(least, largest, 160)
    const rows = ys.flatMap((y) => bs.map((b) => ({ x: interval.fromLine(y), b })))
    const densities = await scored(
      flow,
      rows.map(({ x, b }) => `${x},${b}`)
    )
    const rest = densities.reduce((sum, one, i) => sum + Math.exp(one + interval.logSlope(rows[i]!.x)), 0)
    const beside = (rest * (12 / bs.length) * (largest - least)) / ys.length
    expect(Math.abs(mass + beside - 1)).toBeLessThan(0.02)

    const { data } = await flow.sample(5000, { seed })
    const samples = decodeColumns(flow.table!.columns, data)[0]!.values
    const share = Array.from(samples).filter((one) => one === value).length / 5000
    expect(Math.abs(share - mass)).toBeLessThan(4 * Math.sqrt((mass * (1 - mass)) / 5000) + 0.005)
    const inFile = readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => Number(line.split(',')[0]) === value)
    expect(Math.abs(share - inFile.length / 1500)).toBeLessThan(0.15)
  }
)

test('equal rows on an atom have one score, wherever they stand and however they come', async () => {
  const path = table(0, (normal) => 2 + normal, 300)
  using flow = await trained(path, { atoms: { paid: 0 } }, 30)
  const lines = Array.from({ length: 40 }, (_, i) => (i % 5 === 2 ? '0,0.3' : `${i % 3},${i / 20 - 1}`))
  const scores = await scored(flow, lines)
  const same = lines.flatMap((line, i) => (line === '0,0.3' ? [scores[i]!] : []))
  expect(new Set(same).size).toBe(1)
  expect((await scored(flow, [...lines].reverse())).reverse()).toEqual(scores)
  expect((await scored(flow, ['-0.0,0.3']))[0]).toBe(same[0])
  // Other rows have the plain density.
  const { data } = await fromFile(written('paid,b', ['2.5,0.3']), { schema: flow.table! })
  expect((await scored(flow, ['2.5,0.3']))[0]).toBeCloseTo((await flow.logProb(data))[0]!, 4)
  // Single draws have the same up to their spread, from memory and from a stream.
  const schema = flow.table!
  const [all, one, streamed] = [
    await flow.evaluate(await fromFile(path, { schema })),
    await flow.evaluate(await fromFile(path, { schema }), { draws: 1 }),
    await flow.evaluate(await streamFile(path, { schema }))
  ]
  const original = await fromFile(path, { atoms: { paid: 0 } })
  expect((await flow.evaluate(original)).nll).toBeCloseTo(all.nll, 6)
  expect(all.bound).toMatch(/^lower bound, 1 to \d+ draws$/)
  expect(streamed.nll).toBeCloseTo(one.nll, 4)
  expect(one.nll).toBeGreaterThan(all.nll - 0.02)
  expect(one.nll).toBeLessThan(all.nll + 0.5)
})

test('a model file keeps atoms, and commands agree', async () => {
  const path = table(0, (normal) => Math.exp(normal), 400)
  const out = join(folder, 'run')
  const flags = ['--bounds', 'paid=0:', '--atoms', 'paid=0', '--test', path, '--iterations', '20']
  const net = ['--hidden', '12', '--blocks', '1', '--device', 'cpu', '--quiet', '--json']
  const trainedRun = JSON.parse(ffjord('train', '--data', path, '--out', out, ...flags, ...net))
  const model = join(out, 'model.safetensors')
  const evaluated = JSON.parse(ffjord('eval', '--model', model, '--data', path, '--json'))
  expect(evaluated.nll).toBeCloseTo(trainedRun.nll, 5)
  expect(evaluated.n).toBe(400)
  const scoredPath = join(folder, 'scored.csv')
  ffjord('logprob', '--model', model, '--data', path, '--out', scoredPath)
  const logProb = readFileSync(scoredPath, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(',')[2]))
  expect(-logProb.reduce((sum, one) => sum + one, 0) / 400).toBeCloseTo(trainedRun.nll, 4)
  const samplesPath = join(folder, 'samples.csv')
  ffjord('sample', '--model', model, '-n', '300', '--out', samplesPath)
  const samples = readFileSync(samplesPath, 'utf8').trim().split('\n').slice(1)
  expect(samples.filter((line) => line.startsWith('0,')).length).toBeGreaterThan(60)
  expect(samples.every((line) => Number(line.split(',')[0]) >= 0)).toBe(true)
  using flow = await Flow.load(model)
  expect(atomOf(flow.table!).value).toBe(0)
  // Baselines score the same quantity: the mixture finds atoms and others apart.
  expect(trainedRun.baselines).toHaveLength(2)
  const [gaussian, mixture] = trainedRun.baselines
  expect(mixture.nll).toBeLessThan(gaussian.nll)
  expect(Math.abs(gaussian.nll - trainedRun.nll)).toBeLessThan(0.5)
})

test('a Gaussian with an atom beside it is scored as one', async () => {
  const random = new RowRandom(seed)
  const lines = Array.from({ length: 4000 }, (_, row) => {
    random.seek(row)
    return String(random.uniform() < 0.6 ? 0 : (5 + random.normal()).toPrecision(8))
  })
  const data = await fromFile(written('paid', lines), { atoms: { paid: 0 } })
  const mixture = (await baselines(data, data))[1]!
  const entropy = -0.6 * Math.log(0.6) - 0.4 * Math.log(0.4) + 0.4 * 0.5 * Math.log(2 * Math.PI * Math.E)
  expect(Math.abs(mixture.nll - entropy)).toBeLessThan(0.08)
})

test('parts of a split file, streams, and columns with the names of what objects inherit', async () => {
  const lines = readFileSync(
    table(0, (normal) => 2 + normal),
    'utf8'
  )
    .trim()
    .split('\n')
    .slice(1)
  const path = written('constructor,b', lines)
  const atoms = JSON.parse('{"constructor": 0}') as Record<string, number>
  const { schema, seen, train } = await splitFile(path, { atoms })
  const [column] = schema.columns
  expect(column!.atom!.value).toBe(0)
  expect((await fromFile(path, { atoms })).schema).toEqual(schema)
  expect((await streamFile(path, { atoms })).schema!.columns).toEqual(schema.columns)
  const cell = new AtomCell(column!.atom!, column!)
  const onAtom = lines.filter((line) => Number(line.split(',')[0]) === 0).length / lines.length
  for (const rows of [seen, await train.take(1000)]) {
    const values = Array.from(rows.data).filter((_, i) => i % 2 === 0)
    const spread = values.filter((one) => cell.beyondCut(one))
    expect(Math.abs(spread.length / values.length - onAtom)).toBeLessThan(0.05)
    expect(new Set(spread).size).toBeGreaterThan(0.6 * spread.length)
  }
  expect(remarksOn(await fromFile(path, { atoms }))).toEqual([])
})

test('noise has the law that its weights are of, on either side and in every interval', () => {
  for (const side of [-1, 1])
    for (const ends of [{}, { lower: 2 }, { upper: 2 }, { lower: -1, upper: 2 }]) {
      const atom = { value: 2, place: side, scale: 0.1, cut: 0.5 * side, far: 2 * side }
      const cell = new AtomCell(atom, ends)
      expect(cell.beyondCut(cell.marker)).toBe(true)
      // ∫ dx over the noise's range is the mean of its weights.
      const interval = new Interval(ends)
      const length = Math.abs(interval.fromLine(atom.cut) - interval.fromLine(atom.far))
      const values = grid(0, 1, 20_000).map((u) => cell.value(u))
      const mean = values.reduce((sum, x) => sum + Math.exp(cell.logWeight(x)), 0) / values.length
      expect(Math.abs(mean / length - 1)).toBeLessThan(0.02)
      expect(values.every((x) => cell.beyondCut(Math.fround(x)))).toBe(true)
      expect(cell.beyondCut(interval.fromLine(0))).toBe(false)
    }
})

test.each<[string, string[], FileOptions, ErrorCode, RegExp]>([
  ['an unknown column', ['0,1', '2,3', '4,1'], { atoms: { pait: 0 } }, 'INVALID_OPTION', /'paid'/],
  ['a value that never occurs', ['0,1', '2,3', '4,1'], { atoms: { paid: 7 } }, 'INVALID_OPTION', /nowhere 7/],
  ['text', ['x,1', 'y,3', 'x,1'], { atoms: { paid: 0 } }, 'INVALID_FILE', /no numbers/],
  [
    'a category',
    ['x,1', 'y,3', 'x,1'],
    { atoms: { paid: 0 }, categorical: 'one-hot' },
    'CONTRADICTORY_OPTIONS',
    /levels/
  ],
  [
    'a named step',
    ['0,1', '2,3', '4,1'],
    { atoms: { paid: 0 }, dequantize: { paid: 1 } },
    'CONTRADICTORY_OPTIONS',
    /multiples/
  ],
  [
    'whole numbers',
    ['0,1', '2,3', '4,1'],
    { atoms: { paid: 0 }, dequantize: true },
    'CONTRADICTORY_OPTIONS',
    /whole numbers/
  ],
  [
    'a context',
    ['0,1', '2.5,3', '4,1'],
    { atoms: { paid: 0 }, context: ['paid'] },
    'CONTRADICTORY_OPTIONS',
    /context/
  ],
  ['no other value', ['0,1', '0,3', '0,2'], { atoms: { paid: 0 } }, 'INVALID_FILE', /no value besides/],
  ['one other value', ['0,1', '3,3', '3,2'], { atoms: { paid: 0 } }, 'INVALID_FILE', /one value besides/],
  [
    'no room in float32',
    ['1000000,1', '1000000.5,3', '1000001.5,2'],
    { atoms: { paid: 1e6 }, bounds: { paid: [1e6, 1000002] } },
    'INVALID_FILE',
    /no room/
  ],
  ['no number', ['0,1', '2,3'], { atoms: { paid: 'zero' as never } }, 'INVALID_OPTION', /atoms\.paid/],
  ['no list', ['0,1', '2,3'], { atoms: [1] as never }, 'INVALID_OPTION', /atoms/]
])('an atom with %s is refused', async (_, lines, options, code, message) => {
  const path = written('paid,b', lines)
  expect((await failure(() => fromFile(path, options), code)).message).toMatch(message)
})

test('values that would be taken for the atom are refused or left out, and so are a context and another atom', async () => {
  const path = table(0, (normal) => 2 + normal)
  const data = await fromFile(path, { atoms: { paid: 0 } })
  const { schema } = data
  const far = atomOf(schema).place
  const other = written('paid,b', [`${far},1`, '0,1', '2,1', ',1'])
  expect((await failure(() => fromFile(other, { schema }), 'INVALID_FILE')).message).toMatch(
    /keeps the atom 0/
  )
  const kept = await fromFile(other, { schema, invalid: 'drop' })
  expect([kept.rows, kept.dropped]).toEqual([2, 2])
  await failure(() => data.condition(['paid']), 'CONTRADICTORY_OPTIONS')
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [4], layer: 'concat' } }],
    device: 'cpu'
  })
  flow.table = schema
  const plain = await fromFile(path)
  expect((await failure(() => flow.evaluate(plain), 'INVALID_INPUT')).message).toMatch(/atom 0/)
})

test('a schema whose atom makes no sense is refused', async () => {
  const column = { name: 'paid', type: 'real' } as const
  const atom = { value: 0, place: -3, scale: 0.3, cut: -1.5, far: -6 }
  expect(checkSchema({ columns: [{ ...column, atom }] }).columns[0]!.atom).toEqual(atom)
  const wrong: object[] = [
    { ...column, atom: 3 },
    { ...column, atom: { ...atom, scale: 0 } },
    { ...column, atom: { ...atom, scale: Number.NaN } },
    { ...column, atom: { ...atom, scale: 1e-9 } },
    { ...column, atom: { ...atom, cut: -7 } },
    { ...column, atom: { ...atom, far: -2 } },
    { ...column, atom: { value: 0, place: -3, scale: 0.3, cut: -1.5 } },
    { ...column, atom: { ...atom, place: 3e38, cut: 2e38, far: 1e39, scale: 1e38 } },
    { ...column, lower: 0, atom: { ...atom, place: 800, cut: 795, far: 805 } },
    { ...column, lower: 5, upper: 1, atom },
    { ...column, step: 1, atom },
    { ...column, type: 'category', levels: ['a'], atom }
  ]
  for (const one of wrong) await failure(() => checkSchema({ columns: [one] }), 'INVALID_OPTION')
  const more = { ...column, atom: { ...atom, more: 1 } }
  await failure(() => checkSchema({ columns: [more] }), 'UNKNOWN_OPTION')
  await failure(
    () => checkSchema({ columns: [column], context: [{ ...column, name: 'c', atom }] }),
    'INVALID_OPTION'
  )
})
