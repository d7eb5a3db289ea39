import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { baselines, Flow, fromAsyncIterable, fromFile, fromRows, streamFile } from 'ffjord'
import { openSource } from '../lib/cli/data'
import { RunDirectory } from '../lib/cli/run-directory'
import { CsvWriter } from '../lib/cli/write-csv'
import { ParquetWriter } from '../lib/cli/write-parquet'
import { asInFile } from '../lib/data/cells'
import { ffjord } from './command-line'
import { failure } from './failure'
import { writeNpy } from './npy'

/** Columns by their names, or by the places that they had in the training file. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-order-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** A file's columns, float32 numbers each, or text. */
interface Table {
  names: string[]
  columns: (number[] | string[])[]
}

type Format = 'csv' | 'tsv' | 'parquet' | 'npy' | 'bare.csv'
const named: Format[] = ['csv', 'tsv', 'parquet']
const nameless: Format[] = ['npy', 'bare.csv']

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((sum, value) => sum + value / values.length, 0)
}

let files = 0
async function write({ names, columns }: Table, format: Format): Promise<string> {
  const path = join(folder, `${files++}.${format}`)
  const rows = columns[0]!.length
  if (format === 'npy') {
    const data = Float64Array.from({ length: rows * columns.length }, (_, i) =>
      Number(columns[i % columns.length]![Math.floor(i / columns.length)])
    )
    writeNpy(path, data, [rows, columns.length])
  } else if (format === 'bare.csv') {
    const lines = Array.from({ length: rows }, (_, row) => columns.map((column) => column[row]).join(','))
    writeFileSync(path, `${lines.join('\n')}\n`)
  } else {
    const writer =
      format === 'parquet' ? new ParquetWriter(path) : new CsvWriter(path, format === 'csv' ? ',' : '\t')
    await writer.write(
      names.map((name, c) => ({
        name,
        values: typeof columns[c]![0] === 'number' ? Float64Array.from(columns[c] as number[]) : columns[c]!
      }))
    )
    await writer.close()
  }
  return path
}

/** A generator of its own, so that a printed seed gives the same trial again. */
function drawing(seed: number) {
  let state = seed >>> 0
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return ((state >>> 8) ^ (state & 0xff)) / 2 ** 24
  }
  const below = (n: number) => Math.min(n - 1, Math.floor(uniform() * n))
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!
  const shuffled = <T>(from: readonly T[]): T[] => {
    const left = [...from]
    return from.map(() => left.splice(below(left.length), 1)[0]!)
  }
  return { uniform, below, pick, shuffled }
}

const seed = Number(process.env.FFJORD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 32))
const pool = ['price', 'area', 'x1', 'x2', 'x3', 'constructor', '__proto__', 'toString', 'a b', 'größe']
const net = [
  '--hidden',
  '4,4',
  '--blocks',
  '1',
  '--iterations',
  '5',
  '--batch',
  '16',
  '--validate-every',
  '5'
]
const exact = ['--control', 'sample', '--trace', 'exact', '--device', 'cpu', '--no-report', '--quiet']

test.each(Array.from({ length: 12 }, (_, i) => seed + i))(
  'rows of the test part score alike everywhere; the seed is %d',
  async (trial) => {
    const { uniform, below, pick, shuffled } = drawing(trial)
    const rows = 60
    const width = 3 + below(3)
    const common = Array.from({ length: rows }, () => uniform() + uniform() + uniform())
    const format = pick([...named, ...nameless])
    const hasNames = named.includes(format)
    // Columns of scales of their own, so that an exchange shows. Text without a header would be taken for one.
    const withText = hasNames && uniform() < 0.5
    const columns = Array.from({ length: width }, (_, c): number[] | string[] => {
      const kind = c < 2 ? 'real' : pick(withText ? ['real', 'integer', 'text'] : ['real', 'integer'])
      const values = common.map((value) => Math.fround(3 ** c * (value + uniform() + uniform() - 2 * c)))
      if (kind === 'text') return values.map((_, row) => ['red', 'green', 'blue'][(row + below(2)) % 3]!)
      return kind === 'real' ? values : values.map(Math.round)
    })
    const names = hasNames
      ? shuffled(pool).slice(0, width)
      : Array.from({ length: width }, (_, c) => `x${c + 1}`)
    const table: Table = { names, columns }

    const flags: string[] = []
    const order = shuffled(names)
    const kept = order.slice(0, Math.max(2, width - below(3)))
    if (withText) flags.push('--categorical', 'one-hot')
    const choice = pick(['all', 'columns', 'exclude'])
    if (choice === 'columns') flags.push('--columns', kept.join(','))
    const left = names.filter((name) => !kept.includes(name))
    if (choice === 'exclude' && left.length > 0) flags.push('--exclude', left.join(','))
    const used = choice === 'all' ? order : kept
    const given = uniform() < 0.6 ? used.slice(0, 1 + below(used.length - 1)) : []
    if (given.length > 0) flags.push('--context', given.join(','))
    if (uniform() < 0.4) flags.push('--stream')

    // Another form of a table: any order of named columns, the file's own without names.
    const formats: Format[] = !hasNames ? nameless : withText ? named : [...named, ...nameless]
    const inAnotherForm = (rowsOfIt: Table) => {
      const other = pick(formats)
      if (!named.includes(other)) return write(rowsOfIt, other)
      const places = shuffled(names.map((_, c) => c))
      return write(
        {
          names: ['further', ...places.map((c) => names[c]!)],
          columns: [
            (rowsOfIt.columns[0] as unknown[]).map(() => 'text'),
            ...places.map((c) => rowsOfIt.columns[c]!)
          ]
        },
        other
      )
    }
    const head: Table = { names, columns: columns.map((column) => column.slice(0, 20) as typeof column) }
    const test = uniform() < 0.5 ? '0.3' : await inAnotherForm(head)
    const validation = uniform() < 0.5 ? '0.2' : await inAnotherForm(head)
    const data = await write(table, format)
    const out = join(folder, `run-${trial}`)
    const call = [...flags, '--validation', validation, '--test', test, ...net, ...exact]
    await ffjord('train', '--data', data, '--out', out, ...call)

    // What training scored, row by row.
    const directory = new RunDirectory(out)
    const source = await openSource(
      data,
      directory.readOptions() as unknown as Parameters<typeof openSource>[1]
    )
    using flow = await Flow.load(directory.model, { device: 'cpu' })
    const part = await source.test.take(source.test.rows)
    const { nll, logProb } = await flow.evaluate(source.test)
    const closely = (value: number, other: number) =>
      expect(Math.abs(value - other)).toBeLessThanOrEqual(1e-5 * Math.max(1, Math.abs(other)))
    closely(mean(logProb), -nll)
    // Rows are told apart by the values that the file has.
    const samples = part.cells ? asInFile(part.data, part.cells) : part.data
    const contexts = part.contextData ?? new Float32Array(0)
    const rowOf = (values: ArrayLike<number>, row: number) => {
      const size = values.length / part.rows
      return Array.from(values).slice(row * size, (row + 1) * size)
    }
    const scores = new Map(
      Array.from(logProb, (value, row) => [[...rowOf(samples, row), ...rowOf(contexts, row)].join(), value])
    )
    const taken = [...flow.table!.columns, ...(flow.table!.context ?? [])]
    const expected = common.map((_, row) =>
      scores.get(
        taken
          .flatMap(({ name, levels }) => {
            const cell = columns[names.indexOf(name)]![row]!
            return levels?.map((level) => Number(level === cell)) ?? [cell]
          })
          .join()
      )
    )
    const scored = expected.flatMap((value, row) => (value === undefined ? [] : [{ row, value }]))
    expect(new Set(scored.map(({ value }) => value))).toEqual(new Set(logProb))

    // The whole table, in two forms: logprob, and a program.
    for (const path of [data, await inAnotherForm(table)]) {
      const out = join(folder, `scored-${trial}.npy`)
      await ffjord('logprob', '--model', directory.model, '--data', path, '--out', out, '--device', 'cpu')
      const printed = (await fromFile(out)).data
      const { logProb: found } = await flow.evaluate(await fromFile(path, { schema: flow.table! }))
      for (const { row, value } of scored) {
        closely(printed[row]!, value)
        closely(found[row]!, value)
      }
    }

    // The test part alone: eval, and evaluate on a file that was read without knowledge of the model.
    const only: Table = {
      names,
      columns: columns.map((column) => scored.map(({ row }) => column[row]!) as typeof column)
    }
    const path = await inAnotherForm(only)
    const evaluated = await ffjord(
      'eval',
      '--model',
      directory.model,
      '--data',
      path,
      '--json',
      '--certify',
      '0'
    )
    closely(JSON.parse(evaluated).nll, -mean(scored.map(({ value }) => value)))
    const steps = flow.table!.columns.flatMap(({ name, step }) => (step === undefined ? [] : [[name, step]]))
    const read = await fromFile(await write(only, format), {
      columns: shuffled(names),
      dequantize: Object.fromEntries(steps),
      categorical: withText ? 'one-hot' : 'refuse',
      context: given
    })
    const differs = flow.table!.columns.some(({ levels = [], name }) =>
      levels.some((level) => !(only.columns[names.indexOf(name)] as unknown[]).includes(level))
    )
    if (!differs) closely(mean((await flow.evaluate(read)).logProb), mean(scored.map(({ value }) => value)))
  },
  60_000
)

describe('where neither names nor places tell the columns', () => {
  const values = Array.from({ length: 30 }, (_, row) =>
    [0, 1, 2, 3].map((c) => Math.sin(9 * row + c) + 10 * c)
  )
  const columns = [0, 1, 2, 3].map((c) => values.map((row) => row[c]!))
  const first = (count: number): Table => ({
    names: ['a', 'b', 'c', 'd'].slice(0, count),
    columns: columns.slice(0, count)
  })
  const trained = async (
    format: Format,
    options: Parameters<typeof fromFile>[1] = {},
    given: string[] = []
  ) => {
    const data = await fromFile(await write(first(4), format), options)
    return { schema: (given.length > 0 ? data.condition(given) : data).schema! }
  }

  test('names do not fit a model of a file without names', async () => {
    const model = await trained('npy', { columns: ['x2', 'x1'] })
    const { message } = await failure(
      async () => fromFile(await write(first(4), 'csv'), model),
      'INVALID_SHAPE'
    )
    expect(message).toContain("no column 'x2', 'x1': the model was trained on a file without names")
    expect(message).toContain('call those x1, x2, x3, x4 in the order of the training file')
    // Under those names, in whatever order they stand.
    const renamed = { names: ['x4', 'x2', 'x1', 'x3'], columns: [3, 1, 0, 2].map((c) => columns[c]!) }
    const { data } = await fromFile(await write(renamed, 'csv'), model)
    expect([...data.slice(0, 2)]).toEqual([values[0]![1], values[0]![0]].map((value) => Math.fround(value!)))
  })

  test('a file without names has other columns than the training file', async () => {
    for (const format of ['csv', 'npy'] as const) {
      const model = await trained(format, { exclude: [format === 'csv' ? 'd' : 'x4'] }, [
        format === 'csv' ? 'b' : 'x2'
      ])
      const order = format === 'csv' ? 'a, b, c, d' : 'x1, x2, x3, x4'
      const three = await failure(async () => fromFile(await write(first(3), 'npy'), model), 'INVALID_SHAPE')
      expect(three.message).toContain(
        `give all 4 columns of the training file (${order}) in its order, or names`
      )
      const two = await failure(async () => fromFile(await write(first(2), 'npy'), model), 'INVALID_SHAPE')
      expect(two.message).toContain('has 2 columns without names, and the model takes 3')
      const { data, contextData } = await fromFile(await write(first(4), 'bare.csv'), model)
      expect([...data.slice(0, 2), contextData![0]]).toEqual(
        [values[0]![0], values[0]![2], values[0]![1]].map((value) => Math.fround(value!))
      )
    }
    // The order is the same, whether it is the file's or the model's.
    const plain = await trained('csv', { exclude: ['d'] })
    const { data } = await fromFile(await write(first(3), 'npy'), plain)
    expect([...data.slice(0, 3)]).toEqual(values[0]!.slice(0, 3).map(Math.fround))
  })

  test('a model of before places were kept', async () => {
    const { columns: own, context = [] } = (await trained('csv', {}, ['b'])).schema
    const model = { schema: { columns: own, context } }
    const { message } = await failure(
      async () => fromFile(await write(first(4), 'npy'), model),
      'INVALID_SHAPE'
    )
    expect(message).toContain(
      'the model does not know the places of its columns a, c, d, b; give a file with names'
    )
    const byName = await fromFile(await write(first(4), 'csv'), model)
    expect(byName.context?.columns).toEqual(['b'])
    // Without names its columns are called by their places.
    const nameless = (await trained('npy', {}, ['x2'])).schema
    const old = { schema: { columns: nameless.columns, context: nameless.context! } }
    const { contextData } = await fromFile(await write(first(4), 'npy'), old)
    expect(contextData![0]).toBe(Math.fround(values[0]![1]!))
  })
})

describe('a flow takes columns of data sets by name', () => {
  const rows = Array.from({ length: 40 }, (_, i) => [Math.sin(i), 5 + Math.cos(3 * i), 100 + Math.sin(7 * i)])
  const reordered = (places: number[]) => rows.map((row) => places.map((c) => row[c]!))
  const create = (context?: Parameters<typeof Flow.create>[0]['context']) =>
    Flow.create({
      shape: [context ? 2 : 3],
      blocks: [{ type: 'cnf', net: { hidden: [4] } }],
      ...(context !== undefined && { context }),
      solver: { method: 'rk4', steps: 2 },
      device: 'reference'
    })
  const brief = { iterations: 2, batch: 20 }

  test('in any order, and further ones pass', async () => {
    using flow = await create()
    await flow.fit(fromRows(rows, { columns: ['a', 'b', 'c'] }), brief)
    expect(flow.table).toMatchObject({ columns: [{ name: 'a' }, { name: 'b' }, { name: 'c' }] })
    const { nll } = await flow.evaluate(rows)
    for (const places of [
      [0, 1, 2],
      [2, 0, 1],
      [1, 1, 2, 0]
    ]) {
      const names = places.map((c, i) => (places.indexOf(c) === i ? 'abc'[c]! : 'further'))
      expect((await flow.evaluate(fromRows(reordered(places), { columns: names }))).nll).toBeCloseTo(nll, 12)
    }
    const other = fromRows(rows, { columns: ['a', 'b', 'd'] })
    const { message } = await failure(() => flow.evaluate(other), 'INVALID_INPUT')
    expect(message).toContain("data has no column 'c', which training had")
    await failure(() => flow.fit(rows, { ...brief, validation: { data: other, every: 1 } }), 'INVALID_INPUT')
    flow.table = undefined
    expect((await flow.evaluate(other)).nll).toBeCloseTo(nll, 12)
  })

  test('with the context among them, or apart', async () => {
    using flow = await create({ size: 1, columns: ['b'] })
    const data = fromRows(rows, { columns: ['a', 'b', 'c'] })
    await flow.fit(data.condition(['b']), brief)
    const { nll } = await flow.evaluate(data.condition(['b']))
    expect((await flow.evaluate(data)).nll).toBe(nll)
    const turned = fromRows(reordered([2, 1, 0]), { columns: ['c', 'b', 'a'] })
    expect((await flow.evaluate(turned.condition(['b']))).nll).toBe(nll)
    await failure(() => flow.evaluate(reordered([0, 2])), 'MISSING_CONTEXT')
  })

  test('of streams too, which are refused in another order', async () => {
    const path = await write(
      { names: ['a', 'b', 'c'], columns: [0, 1, 2].map((c) => rows.map((row) => row[c]!)) },
      'csv'
    )
    using flow = await create()
    await flow.fit(await streamFile(path, { columns: ['c', 'a', 'b'], repeat: true }), brief)
    expect(flow.table!.columns.map(({ name }) => name)).toEqual(['c', 'a', 'b'])
    const { nll } = await flow.evaluate(await fromFile(path))
    expect((await flow.evaluate(await streamFile(path, { schema: flow.table! }))).nll).toBe(nll)
    const { message } = await failure(async () => flow.evaluate(await streamFile(path)), 'INVALID_INPUT')
    expect(message).toContain(
      'data has the columns a, b, c, and the flow takes c, a, b; give a stream in that order'
    )
    using own = await create()
    const stream = () => fromAsyncIterable(() => rows, { shape: [3], columns: ['a', 'b', 'c'] })
    await own.fit(stream(), brief)
    await failure(() => own.evaluate(fromRows(rows, { columns: ['a', 'b', 'd'] })), 'INVALID_INPUT')
    expect(Number.isFinite((await own.evaluate(stream())).nll)).toBe(true)
  })

  test('as plain densities that are compared with it do', async () => {
    const train = fromRows(rows, { columns: ['a', 'b', 'c'] })
    const turned = fromRows(reordered([1, 2, 0]), { columns: ['b', 'c', 'a'] })
    expect(await baselines(train, turned)).toEqual(await baselines(train, train))
    const given = train.condition(['c'])
    expect(await baselines(given, turned.condition(['c']))).toEqual(await baselines(given, given))
    await failure(() => baselines(train, fromRows(rows, { columns: ['a', 'b', 'd'] })), 'INVALID_INPUT')
  })

  test('of a file without names, by their places', async () => {
    const path = await write({ names: [], columns: [0, 1, 2].map((c) => rows.map((row) => row[c]!)) }, 'npy')
    using flow = await create()
    await flow.fit(await fromFile(path, { columns: ['x3', 'x1', 'x2'], precision: 'float64' }), brief)
    const { nll } = await flow.evaluate(Float64Array.from(reordered([2, 0, 1]).flat()))
    expect((await flow.evaluate(await fromFile(path, { precision: 'float64' }))).nll).toBe(nll)
  })

  test('that were read as training did', async () => {
    const whole = { names: ['a', 'n'], columns: [rows.map((row) => row[0]!), rows.map((_, i) => i % 7)] }
    const path = await write(whole, 'csv')
    using flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
    await flow.fit(await fromFile(path, { dequantize: true }), brief)
    const { message } = await failure(async () => flow.evaluate(await fromFile(path)), 'INVALID_INPUT')
    expect(message).toContain(
      "the column 'n' as numbers as they stand, and the flow was trained on multiples of 1, dequantised; read the file " +
        'with { schema: flow.table }'
    )
    expect(Number.isFinite((await flow.evaluate(await fromFile(path, { schema: flow.table! }))).nll)).toBe(
      true
    )
  })
})

test('dates are counted as training did, or refused', async () => {
  const dated = async (first: number, ending = '') =>
    write(
      {
        names: ['day', 'x'],
        columns: [
          Array.from({ length: 20 }, (_, i) => {
            const day = first + ((7 * i) % 20)
            return `${new Date(86_400_000 * day).toISOString().slice(0, 10)}${ending && ` ${String(i).padStart(2, '0')}${ending}`}`
          }),
          Array.from({ length: 20 }, (_, i) => Math.sin(i))
        ]
      },
      'csv'
    )
  const settings = { columns: ['day', 'x'] }
  using flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
  await flow.fit(await fromFile(await dated(19_723), settings), { iterations: 2, batch: 20 })
  const later = await dated(19_733)
  const { message } = await failure(
    async () => flow.evaluate(await fromFile(later, settings)),
    'INVALID_INPUT'
  )
  expect(message).toMatch(
    /'day' as .*, in days since 2024-01-11, and the flow was trained on .*, in days since 2024-01-01/
  )
  expect(message).toContain('{ schema: flow.table }')
  const hours = await dated(19_723, ':00')
  await failure(async () => flow.evaluate(await fromFile(hours, settings)), 'INVALID_INPUT')
  const read = await fromFile(later, { schema: flow.table! })
  expect(read.data[0]).toBe(10)
  expect((await flow.evaluate(read)).logProb).toHaveLength(20)
})

test('samples without names stand in the order of the training file', async () => {
  const columns = [0, 1].map((c) => Array.from({ length: 60 }, (_, i) => 100 * c + Math.sin(i * (c + 5))))
  const path = await write({ names: ['a', 'b'], columns }, 'csv')
  const out = join(folder, 'turned')
  await ffjord('train', '--data', path, '--columns', 'b,a', '--out', out, ...net, ...exact)
  const samples = join(folder, 'samples.npy')
  await ffjord('sample', '--model', join(out, 'model.safetensors'), '-n', '50', '--out', samples)
  const { data } = await fromFile(samples)
  expect(data.every((value, i) => (i % 2 === 0 ? value < 50 : value > 50))).toBe(true)
})
