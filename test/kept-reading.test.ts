import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { type FileOptions, Flow, fromFile, fromRows, streamFile } from 'ffjord'
import { openTable } from '../lib/table/open'
import { ffjord } from './command-line'
import { failure } from './failure'

/** What was said of how the training file is read holds for further files of its model, and what is said again wins. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-kept-'))
  process.chdir(folder)
  jest.spyOn(process.stderr, 'write').mockReturnValue(true)
})
afterAll(() => {
  jest.restoreAllMocks()
  process.chdir(tmpdir())
  rmSync(folder, { recursive: true })
})

let files = 0
function file(content: string | Uint8Array, ending = '.csv'): string {
  const path = join(folder, `${files++}${ending}`)
  writeFileSync(path, content)
  return path
}

const european: FileOptions = { decimal: ',', thousands: '.', encoding: 'latin-1', skip: 2, percent: true }
const title = 'Bericht; 1,5\nStraße;x\n'
const latin = (text: string) => Buffer.from(text, 'latin1')
const table = 'Größe;Preis;Anteil\n1,5;1.000,25;5%\n-2,25;3;12 %\n'
const values = [1.5, 1000.25, 0.05, -2.25, 3, 0.12]

test('notation, encoding and lines to pass over', async () => {
  const trained = await fromFile(file(latin(title + table)), { ...european, precision: 'float64' })
  expect([...trained.data]).toEqual(values)
  expect(trained.schema.reading).toEqual(european)
  const { schema } = trained
  const read = async (path: string, options: FileOptions = {}) => {
    const data = await fromFile(path, { schema, precision: 'float64', ...options })
    return [...data.data]
  }
  expect(await read(file(latin(title + table)))).toEqual(values)
  // What is UTF-8 is read as such, and a first line that has the columns is no line to pass over.
  expect(await read(file(table))).toEqual(values)
  expect(await read(file(latin(table)))).toEqual(values)
  const others = file('Anteil\tGröße\tPreis\n0,05\t"1,5"\t1000,25\n12%\t-2,25\t3\n', '.tsv')
  expect(await read(others)).toEqual(values)
  // What is said of a file wins.
  const plain = file('Größe,Preis,Anteil\n1.5,1000.25,0.05\n-2.25,3,0.12\n')
  await failure(() => read(plain), 'INVALID_FILE')
  expect(await read(plain, { decimal: '.', thousands: ',' })).toEqual(values)
  const stream = await streamFile(file(latin(title + table)), { schema, precision: 'float64' })
  expect([...(await stream.take(2)).data]).toEqual(values)
})

test('names that do not stand in the file, and separators', async () => {
  const { schema } = await fromFile(file('1,2\n3,4\n5,7\n'), { header: true })
  expect(schema.reading).toEqual({ header: true })
  expect((await fromFile(file('1,2\n9,8\n'), { schema })).rows).toBe(1)
  const spaced = await fromFile(file('a b c\n1.5 2.5 x\n'), { delimiter: ' ', columns: ['a', 'b'] })
  expect((await fromFile(file('a b c\n2.5 3.5 y\n'), { schema: spaced.schema })).rows).toBe(1)
  expect((await fromFile(file('b,a\n2.5,3.5\n'), { schema: spaced.schema })).data).toEqual(
    Float32Array.of(3.5, 2.5)
  )
})

test('an array of several, where the other file has it', async () => {
  const arrays = join(__dirname, 'tables', 'arrays.npz')
  const { message } = await failure(() => fromFile(arrays), 'INVALID_OPTION')
  const key = /\(--key\): ([^,]+),/.exec(message)![1]!
  const { schema, rows } = await fromFile(arrays, { key, precision: 'float64' })
  expect(schema.reading).toEqual({ key })
  expect((await fromFile(arrays, { schema, precision: 'float64' })).rows).toBe(rows)
})

test('a model file has it, and one that says nonsense is refused', async () => {
  const options = { shape: [2], blocks: [{ type: 'cnf', net: { hidden: [2] } }] } as const
  const data = await fromFile(file('a;b\n1,5;2\n0,5;7\n3;1\n'), { decimal: ',' })
  using flow = await Flow.create(options)
  await flow.fit(data, { iterations: 1, batch: 2 })
  await flow.save('model.safetensors')
  using again = await Flow.load('model.safetensors')
  expect(again.table!.reading).toEqual({ decimal: ',' })
  const wrong = (reading: unknown) => () => {
    again.table = { ...again.table!, reading } as never
  }
  expect(wrong({ decimal: ';' })).toThrow('decimal')
  expect(wrong({ decimals: ',' })).toThrow('decimals')
  expect(wrong({ decimal: ',', thousands: ',' })).toThrow('both')
  expect((await fromRows([[1, 2]])).schema).toBeUndefined()
})

test('a table with commas is scored, drawn and scored again without a further word', async () => {
  const number = (i: number) => (3 * Math.sin(i * i)).toFixed(2).replace('.', ',')
  const lines = Array.from(
    { length: 80 },
    (_, i) => `${number(i + 1)};${number(2 * i + 7)};${['süd', 'nord'][i % 2]}`
  )
  const path = file(latin(`größe;b;Straße\n${lines.join('\n')}\n`))
  const brief = ['--iterations', '2', '--hidden', '4,4', '--batch', '16', '--no-report', '--quiet']
  await ffjord('train', '--data', path, '--decimal', ',', '--encoding', 'latin-1', '--out', 'run', ...brief)
  const score = (data: string, out: string) =>
    ffjord('logprob', '--model', 'run', '--data', data, '--out', out, '--draws', '4')
  await score(path, 'scored.csv')
  await score('scored.csv', 'again.csv')
  const { names } = await openTable('again.csv')
  expect(names.slice(3)).toEqual(['log_prob', 'quantile', 'log_prob_2', 'quantile_2'])
  const scores = await fromFile('again.csv', { decimal: ',', columns: ['log_prob', 'log_prob_2'] })
  for (let row = 0; row < 80; row++) expect(scores.data[2 * row]).toBe(scores.data[2 * row + 1])
  await ffjord('sample', '--model', 'run', '-n', '20', '--out', 'drawn.csv')
  for (const line of readFileSync('drawn.csv', 'utf8').trim().split('\n').slice(1))
    expect(line).toMatch(/^"-?\d+,\d{2}","-?\d+,\d{2}",(süd|nord)$/)
  await score('drawn.csv', 'drawn-scored.csv')
  const evaluated = JSON.parse(
    await ffjord('eval', '--model', 'run', '--data', path, '--json', '--certify', '0')
  )
  expect(evaluated.n).toBe(80)
})

test('a model knows the name of the file that it was trained on', async () => {
  const path = file('a,b,c\n1.5,2,1\n0.5,7,2\n3,1.5,4\n2,2.5,3\n')
  const data = await fromFile(path, { context: ['c'] })
  const options = { shape: [2], context: 1, blocks: [{ type: 'cnf', net: { hidden: [2] } }] } as const
  const named = async (rows: Parameters<Flow['fit']>[0]) => {
    using flow = await Flow.create(options)
    await flow.fit(rows, { iterations: 1, batch: 2 })
    return flow.provenance!.data
  }
  const [train] = data.condition(['c']).split([0.5, 0.5])
  expect(await named(train!)).toBe(basename(path))
  const rows = [
    [1, 2],
    [3, 4]
  ]
  expect(await named(fromRows(rows, { context: [[1], [2]] }))).toBeUndefined()
})
