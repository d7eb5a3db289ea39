import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as arrow from 'apache-arrow'
import type { OutputColumn } from '../lib/cli/table-writer'
import { openWriter, writing } from '../lib/cli/tables'
import { alike, type CellType } from '../lib/data/cell-type'
import { RowRandom } from '../lib/data/random'
import { openTable } from '../lib/table/open'
import { ffjord } from './command-line'

/**
 * The law of tables: a table that was scored has the types, names and cells that it had, and its rows in their order; it can be
 * scored again; and samples have the types and names of the columns that were learnt. Random tables of every format.
 */

const seed = Number(process.env.FFJORD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}; repeat with FFJORD_TEST_SEED=${seed}`)

const ROWS = 60
const random = new RowRandom(seed)
random.seek(0)
const below = (count: number) => Math.floor(random.uniform() * count)

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-round-trip-'))
  jest.spyOn(process.stderr, 'write').mockReturnValue(true)
})
afterAll(() => {
  jest.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

/** A kind of column, and a cell of it. */
type Kind = readonly [type: CellType, cell: () => unknown]

const number = (storage: string): CellType => ({ kind: 'number', storage }) as CellType
const texts = ['red', 'blue, dark', 'say "green"', 'two\nlines', ' spaced ']

const kinds: readonly Kind[] = [
  [number('float64'), () => random.normal()],
  [number('float32'), () => Math.fround(random.normal())],
  [number('int8'), () => below(200) - 100],
  [number('int32'), () => below(1e9)],
  [number('uint8'), () => below(256)],
  [number('uint32'), () => 2 ** 31 + below(1e9)],
  [number('int64'), () => 9_007_199_254_740_993n + BigInt(below(1e6))],
  [number('uint64'), () => 2n ** 63n + BigInt(below(1e6)) * 2n + 1n],
  [{ kind: 'boolean' }, () => random.uniform() < 0.5],
  [{ kind: 'date' }, () => below(40_000) - 10_000],
  [{ kind: 'time', unit: 'microsecond' }, () => below(86_400e6)],
  [{ kind: 'timestamp', unit: 'millisecond', zone: 'UTC' }, () => 1.7e12 + below(1e10)],
  [{ kind: 'timestamp', unit: 'microsecond' }, () => 1.7e15 + below(1e13)],
  [{ kind: 'timestamp', unit: 'nanosecond' }, () => 1_700_000_000_123_456_789n + BigInt(below(1e9))],
  [
    { kind: 'decimal', precision: 9, scale: 2 },
    () => (random.normal() * 100).toFixed(2).replace(/^-(0.00)$/, '$1')
  ],
  [
    { kind: 'decimal', precision: 38, scale: 10 },
    () => `${below(1e9)}${below(1e9)}.${String(below(1e9)).padStart(10, '0')}`
  ],
  [{ kind: 'text' }, () => texts[below(texts.length)]],
  [{ kind: 'text' }, () => `id ${random.uniform()}`],
  [{ kind: 'text', form: 'uuid' }, () => `123e4567-e89b-12d3-a456-${String(below(1e9)).padStart(12, '0')}`],
  [{ kind: 'text', form: 'json' }, () => `{"k": [${below(3)}, "ä"]}`],
  [{ kind: 'text', form: 'enum' }, () => ['low', 'high'][below(2)]]
]

/** Two columns of numbers, and some of the others in any order, with cells that are missing. */
function randomColumns(choice: readonly Kind[]): OutputColumn[] {
  const chosen = [kinds[0]!, kinds[0]!, ...choice.filter(() => random.uniform() < 0.6)].sort(
    () => random.uniform() - 0.5
  )
  return chosen.map(([cells, cell], c) => {
    const gaps = c % 3 === 0 ? 0 : 0.05
    const name = ['a', 'b c', 'd,e', 'log_prob', 'ä'][c] ?? `x ${c}`
    return {
      name,
      cells,
      values: Array.from({ length: ROWS }, () => (random.uniform() < gaps ? null : cell()))
    }
  })
}

async function contentOf(path: string) {
  const source = await openTable(path, { verbatim: true })
  const columns: unknown[][] = source.names.map(() => [])
  for await (const batch of source.batches())
    for (const [c, cells] of columns.entries())
      for (let row = 0; row < batch.count; row++)
        cells.push(
          'columns' in batch
            ? (batch.written ?? batch.columns)[c]![row]
            : batch.matrix[row * columns.length + c]
        )
  return { names: source.names, types: source.types, columns }
}

async function train(data: string, out: string): Promise<string> {
  await ffjord(
    'train',
    '--data',
    data,
    '--out',
    out,
    '--iterations',
    '2',
    '--hidden',
    '4,4',
    '--no-report',
    '--quiet',
    '--batch',
    '16'
  )
  return join(out, 'model.safetensors')
}

/** The law, for a table that stands in `path`; files of other formats are scored to `ending`. */
async function lawHolds(path: string, ending: string): Promise<void> {
  const before = await contentOf(path)
  const model = await train(path, `${path}-run`)
  let scored = path
  for (const times of [1, 2]) {
    const from = scored
    scored = join(folder, `scored-${times}${ending}`)
    await ffjord('logprob', '--model', model, '--data', from, '--out', scored, '--draws', '4')
    const after = await contentOf(scored)
    const width = before.names.length
    expect(after.names).toHaveLength(width + 2 * times)
    expect(new Set(after.names).size).toBe(after.names.length)
    expect(after.names.slice(0, width)).toEqual(before.names)
    expect(after.types.slice(0, width)).toEqual(before.types)
    expect(after.columns.slice(0, width)).toEqual(before.columns)
  }
  const samples = join(folder, `samples${ending}`)
  await ffjord('sample', '--model', model, '-n', '20', '--out', samples)
  const drawn = await contentOf(samples)
  expect(drawn.columns[0]).toHaveLength(20)
  for (const [c, name] of drawn.names.entries()) {
    expect(before.names).toContain(name)
    expect(drawn.types[c]).toEqual(before.types[before.names.indexOf(name)])
  }
  // Samples are rows that the model can score.
  await ffjord(
    'logprob',
    '--model',
    model,
    '--data',
    samples,
    '--out',
    join(folder, `again${ending}`),
    '--draws',
    '4'
  )
}

test.each([1, 2, 3])('Parquet, table %d', async (table) => {
  const path = join(folder, `t${table}.parquet`)
  await writing(path, (writer) => writer.write(randomColumns(kinds)))
  await lawHolds(path, '.parquet')
})

test.each(['.csv', '.tsv'])('%s', async (ending) => {
  const path = join(folder, `t${ending}`)
  await writing(path, (writer) => writer.write(randomColumns(kinds)))
  await lawHolds(path, ending)
})

test.each(['float32', 'float64', 'int16', 'uint8', 'int64'])('NumPy, %s', async (storage) => {
  const path = join(folder, `${storage}.npy`)
  const type = number(storage)
  const cell = () =>
    storage === 'int64'
      ? BigInt(below(1000))
      : storage.startsWith('float')
        ? Math.fround(random.normal())
        : below(100)
  const columns = ['a', 'b', 'c'].map((name) => ({
    name,
    cells: type,
    values: Array.from({ length: ROWS }, cell)
  }))
  await writing(path, (writer) => writer.write(columns))
  const { types } = await contentOf(path)
  expect(types).toEqual(alike(3, type))
  const model = await train(path, join(folder, `${storage}-run`))
  const samples = join(folder, `${storage}-samples.npy`)
  await ffjord('sample', '--model', model, '-n', '20', '--out', samples)
  expect((await contentOf(samples)).types).toEqual(alike(3, type))
})

/** What h5wasm calls the types of a matrix, and a cell of it. */
const matrices: readonly (readonly [storage: string, code: string, cell: () => number | bigint])[] = [
  ['float32', '<f', () => Math.fround(random.normal())],
  ['float64', '<d', () => random.normal()],
  ['int8', '<b', () => below(200) - 100],
  ['uint16', '<H', () => below(60_000)],
  ['int32', '<i', () => below(1e6)],
  ['int64', '<q', () => BigInt(below(1e9))]
]

test.each(matrices)('HDF5 of %s, scored to Parquet', async (storage, dtype, cell) => {
  const { File, ready } = await import('h5wasm/node')
  await ready
  const path = join(folder, `${storage}.h5`)
  const file = new File(path, 'w')
  const cells = Array.from({ length: 3 * ROWS }, cell)
  const data = storage === 'int64' ? BigInt64Array.from(cells as bigint[]) : (cells as number[])
  file.create_group('g').create_dataset({ name: 'X', data, shape: [ROWS, 3], dtype })
  file.close()
  const { names, types, columns } = await contentOf(path)
  expect([names, types]).toEqual([['x1', 'x2', 'x3'], alike(3, number(storage))])
  expect(columns.map((column) => column[1])).toEqual(cells.slice(3, 6))
  await lawHolds(path, '.parquet')
})

test('records of HDF5, by another program, scored to Parquet', async () => {
  const path = join(folder, 'records.h5')
  copyFileSync(join(__dirname, 'tables', 'records.h5'), path)
  const { names, types } = await contentOf(path)
  expect(names).toEqual(['a', 'b', 'c'])
  expect(types).toEqual([number('float64'), number('float32'), number('float64')])
  await lawHolds(path, '.parquet')
})

test('Arrow, scored to Parquet', async () => {
  const typed: [string, arrow.DataType, () => unknown][] = [
    ['a', new arrow.Float64(), () => random.normal()],
    ['b', new arrow.Float64(), () => random.normal()],
    ['i', new arrow.Int16(), () => below(1000)],
    ['whole', new arrow.Int64(), () => BigInt(below(1e6))],
    ['flag', new arrow.Bool(), () => random.uniform() < 0.5],
    ['day', new arrow.DateDay(), () => new Date(864e5 * below(20_000))],
    ['text', new arrow.Utf8(), () => texts[below(3)]]
  ]
  const vectors = Object.fromEntries(
    typed.map(([name, type, cell]) => [
      name,
      arrow.vectorFromArray(
        Array.from({ length: ROWS }, () => (name !== 'a' && random.uniform() < 0.05 ? null : cell())),
        type
      )
    ])
  )
  const path = join(folder, 't.arrow')
  writeFileSync(path, arrow.tableToIPC(new arrow.Table(vectors), 'file'))
  await lawHolds(path, '.parquet')
})

test('what Parquet does not hold is told', async () => {
  const note = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  note.mockClear()
  const path = join(folder, 'told.parquet')
  const stamp = (unit: string, zone?: string) =>
    ({ kind: 'timestamp', unit, ...(zone && { zone }) }) as CellType
  await writing(path, (writer) =>
    writer.write([
      { name: 'a', cells: stamp('second'), values: [1, null] },
      { name: 'b', cells: stamp('microsecond', 'Europe/Berlin'), values: [1, 2] },
      { name: 'c', cells: stamp('microsecond', 'UTC'), values: [1, 2] },
      { name: 'd', cells: { kind: 'duration', unit: 'millisecond' }, values: [5, 6] },
      { name: 'e', cells: { kind: 'other', name: 'bytes' }, values: [Uint8Array.of(1, 2), null] }
    ])
  )
  const told = note.mock.calls.map(([text]) =>
    String(text)
      .replace(/^.*column/s, 'column')
      .trim()
  )
  expect(told).toEqual([
    expect.stringContaining("'a' of"),
    expect.stringMatching(/'b' of .*Europe\/Berlin is not written/),
    expect.stringMatching(/'d' of .*milliseconds/)
  ])
  const { types, columns } = await contentOf(path)
  expect(types.slice(0, 3)).toEqual([
    stamp('millisecond'),
    stamp('microsecond', 'UTC'),
    stamp('microsecond', 'UTC')
  ])
  expect(columns[0]).toEqual([1000, null])
  expect(columns[4]).toEqual([Uint8Array.of(1, 2), null])
})

test('a table with types keeps its values as text', async () => {
  const path = join(folder, 'typed.parquet')
  const columns = randomColumns(kinds)
  await writing(path, (writer) => writer.write(columns))
  const model = await train(path, join(folder, 'typed-run'))
  const text = join(folder, 'typed.csv')
  await ffjord('logprob', '--model', model, '--data', path, '--out', text, '--draws', '4')
  const { names, columns: cells } = await contentOf(text)
  expect(names.slice(0, columns.length)).toEqual(columns.map(({ name }) => name))
  expect(cells[0]).toHaveLength(ROWS)
  expect(readFileSync(text, 'utf8')).not.toMatch(/\[object|undefined|NaN/)
  // The text can be scored in turn: dates, booleans and decimals are what they were.
  await ffjord(
    'logprob',
    '--model',
    model,
    '--data',
    text,
    '--out',
    join(folder, 'again.csv'),
    '--draws',
    '4'
  )
  const again = await contentOf(join(folder, 'again.csv'))
  const place = names.length - 2
  expect(again.columns[names.length]).toEqual(cells[place])
})

test('a table of text, drawn and scored to Parquet, has types', async () => {
  const path = join(folder, 'text.csv')
  const lines = Array.from({ length: ROWS }, () => {
    const day = `2024-0${1 + below(9)}-1${below(10)}`
    return [day, `${day} 1${below(10)}:30`, random.normal().toFixed(2), below(5), texts[0], below(2) === 1]
  })
  writeFileSync(path, `day,at,a,n,k,flag\n${lines.map((line) => line.join(',')).join('\n')}\n`)
  const model = await train(path, join(folder, 'text-run'))
  const types = ['date', 'timestamp', 'number', 'number', 'text', 'boolean']
  const scored = join(folder, 'text.parquet')
  await ffjord('logprob', '--model', model, '--data', path, '--out', scored, '--draws', '4')
  const after = await contentOf(scored)
  expect(after.types.slice(0, 6).map(({ kind }) => kind)).toEqual(types)
  expect(after.types[3]).toEqual(number('int64'))
  const drawn = join(folder, 'text-drawn.parquet')
  await ffjord('sample', '--model', model, '-n', '20', '--out', drawn)
  const { names, types: found } = await contentOf(drawn)
  expect(names).toEqual(['day', 'at', 'a', 'n', 'flag'])
  expect(found.slice(0, 4)).toEqual(after.types.slice(0, 4))
})

test('drawn decimals have the digits of the column, zeros at the end as well', async () => {
  const path = join(folder, 'digits.csv')
  const lines = Array.from({ length: ROWS }, () => [
    random.normal().toFixed(2),
    `${below(9)}.00`,
    random.normal().toFixed(3).replace(/0+$/, ''),
    String(below(40)).padStart(4, '0')
  ])
  writeFileSync(path, `a,b,c,d\n${lines.map((line) => line.join(',')).join('\n')}\n`)
  const model = await train(path, join(folder, 'digits-run'))
  const drawn = join(folder, 'digits-drawn.csv')
  await ffjord('sample', '--model', model, '-n', '200', '--out', drawn)
  const { columns } = await contentOf(drawn)
  for (const cell of columns[0]!) expect(cell).toMatch(/^-?\d+[.]\d{2}$/)
  for (const cell of columns[1]!) expect(cell).toMatch(/^-?\d+[.]00$/)
  for (const cell of columns[2]!) expect(cell).toMatch(/^-?\d+([.]\d{0,2}[1-9])?$/)
  for (const cell of columns[3]!) expect(cell).toMatch(/^-?\d{4}$/)
})

test('a name that cannot be written is refused before work starts', () => {
  expect(() => openWriter(join(folder, 'x.docx'))).toThrow('.parquet')
})
