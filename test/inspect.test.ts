import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeColumns, type FileOptions, Flow, fromFile, inspectFile } from 'ffjord'
import { inFlags } from '../lib/cli/flags'
import { RowRandom } from '../lib/data/random'
import { ffjord } from './command-line'
import { failure } from './failure'

/** What columns hold and what training does with them, with no option but the table. */

let folder: string
let said: string[] = []
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-inspect-'))
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => said.push(String(text)) > 0)
})
beforeEach(() => {
  said = []
})
afterAll(() => {
  jest.restoreAllMocks()
  rmSync(folder, { recursive: true })
})

const brief = ['--iterations', '2', '--hidden', '4,4', '--batch', '16', '--no-report']

let files = 0
function table(head: string, line: (row: number, random: RowRandom) => unknown[], rows = 200): string {
  const path = join(folder, `${files++}.csv`)
  const random = new RowRandom(7)
  const lines = Array.from({ length: rows }, (_, row) => {
    random.seek(row)
    return line(row, random).join(',')
  })
  writeFileSync(path, `${head}\n${lines.join('\n')}\n`)
  return path
}

async function plans(path: string, options: FileOptions = {}): Promise<Record<string, string>> {
  const { columns } = await inspectFile(path, { dequantize: true, ...options })
  return Object.fromEntries(
    columns.map(({ name, use, plan }) => [name, use === 'learnt' ? plan : `${use}: ${plan}`])
  )
}

const day = (random: RowRandom) => new Date(864e5 * (19_000 + Math.floor(300 * random.uniform())))
const mixed = () =>
  table('row,id,day,price,colour,active,region,gap', (row, random) => [
    row,
    `k${row}`,
    day(random).toISOString().slice(0, 10),
    (20 + 5 * random.normal()).toFixed(2),
    ['red', '"blue, dark"', 'green'][Math.floor(3 * random.uniform())],
    random.uniform() < 0.5 ? 'True' : 'False',
    'EU',
    row % 10 === 3 ? '' : random.normal().toFixed(3)
  ])

test('a mixed table: what each column holds, and what training does with it', async () => {
  const { rows, columns, options, incomplete } = await inspectFile(mixed(), { dequantize: true })
  expect([rows, incomplete]).toEqual([200, 20])
  expect(columns.map(({ name, type, missing, use }) => [name, type, missing, use])).toEqual([
    ['row', 'whole numbers', 0, 'left out'],
    ['id', 'text', 0, 'left out'],
    ['day', 'dates', 0, 'learnt'],
    ['price', 'numbers', 0, 'learnt'],
    ['colour', 'text of 3 levels', 0, 'learnt'],
    ['active', 'text of 2 levels', 0, 'learnt'],
    ['region', 'text of 1 level', 0, 'left out'],
    ['gap', 'numbers', 20, 'learnt']
  ])
  expect(columns.map(({ plan }) => plan)).toEqual([
    'a row number or an index',
    'an id or a remark: another text in every row',
    expect.stringMatching(/^days since 2022-01-\d\d, dequantised by 1$/),
    'as it is',
    'a category of 3 levels',
    'a category of 2 levels',
    "a constant ('EU')",
    'as it is, rows with gaps dropped'
  ])
  expect(options).toMatchObject({ exclude: ['row', 'id', 'region'], categorical: 'one-hot', missing: 'drop' })
})

test('it trains with no option, says what it left out, and everything comes back as it was', async () => {
  const path = mixed()
  const out = join(folder, 'mixed')
  await ffjord('train', '--data', path, '--out', out, ...brief)
  const told = said.join('')
  expect(told).toContain('20 of 200 rows of ')
  expect(told).toContain('left out: a row number or an index')
  const model = join(out, 'model.safetensors')
  const scored = join(folder, 'mixed-scored.csv')
  await ffjord('logprob', '--model', model, '--data', path, '--out', scored, '--draws', '8')
  const lines = readFileSync(scored, 'utf8').trim().split('\n')
  const before = readFileSync(path, 'utf8').trim().split('\n')
  expect(lines[0]).toBe(`${before[0]},log_prob,quantile`)
  lines.slice(1).forEach((line, row) => {
    expect(line.startsWith(`${before[row + 1]},`)).toBe(true)
    expect(line.endsWith(',,')).toBe(row % 10 === 3)
  })
  const samples = (await ffjordText('sample', '--model', model, '-n', '30', '--out', '-')).trim().split('\n')
  expect(samples[0]).toBe('day,price,colour,active,gap')
  for (const sample of samples.slice(1))
    expect(sample).toMatch(
      /^\d{4}-\d\d-\d\d,-?\d+(\.\d{1,2})?,(red|"blue, dark"|green),(True|False),-?\d+(\.\d{1,3})?$/
    )
})

/** What a command writes to standard output. */
async function ffjordText(...given: string[]): Promise<string> {
  const out = join(folder, `${files++}.csv`)
  await ffjord(...given.map((one) => (one === '-' ? out : one)))
  return readFileSync(out, 'utf8')
}

test('the command shows the same, as text and as JSON', async () => {
  const path = mixed()
  const text = await ffjord('inspect', '--data', path)
  expect(text).toContain(`${path}: 200 rows, 8 columns`)
  expect(text).toMatch(/gap +numbers +-?[\d.]+ to [\d.]+ +20 +\d+ +as it is, rows with gaps dropped/)
  expect(text).toContain('10 % of the rows lack cells; --missing refuse, drop or fill')
  expect(JSON.parse(await ffjord('inspect', '--data', path, '--json')).columns).toHaveLength(8)
})

test('missing cells can be filled in, which the model remembers', async () => {
  const path = mixed()
  const data = await fromFile(path, {
    columns: ['price', 'colour', 'gap'],
    categorical: 'one-hot',
    missing: 'fill'
  })
  expect([data.rows, data.dropped]).toEqual([200, 0])
  const { fill } = data.schema.columns[2]!
  const kept = await fromFile(path, { columns: ['gap'], missing: 'drop' })
  const sorted = [...kept.data].sort((a, b) => a - b)
  expect(Math.fround(fill as number)).toBe(sorted[(sorted.length - 1) >> 1])
  expect(data.data[3 * 5 + 4]).toBe(Math.fround(fill as number))
  await failure(() => fromFile(path, { columns: ['gap'], missing: 'refuse' }), 'INVALID_FILE')

  const out = join(folder, 'filled')
  await ffjord(
    'train',
    '--data',
    path,
    '--out',
    out,
    '--missing',
    'fill',
    '--columns',
    'price,colour,gap',
    ...brief
  )
  expect(said.join('')).not.toContain('rows of')
  const model = join(out, 'model.safetensors')
  using flow = await Flow.load(model)
  expect(flow.table!.columns[2]!.fill).toBeCloseTo(fill as number)
  const scored = await ffjordText('logprob', '--model', model, '--data', path, '--out', '-', '--draws', '8')
  expect(
    scored
      .trim()
      .split('\n')
      .every((line) => !line.endsWith(','))
  ).toBe(true)
})

test('rows of more or fewer cells than the first are left out with a word', async () => {
  const path = table('a,b', (row, random) =>
    row === 7 ? [1] : row === 9 ? [1, 2, 3] : [random.normal(), row === 11 ? 'x' : random.normal()]
  )
  const out = join(folder, 'ragged')
  await ffjord('train', '--data', path, '--out', out, '--invalid', 'drop', ...brief)
  expect(said.join('')).toContain('200 rows, 2 columns')
  expect(said.join('')).toContain('3 of 200 rows of')
  said = []
  const scores = join(folder, 'ragged-scores.csv')
  await ffjord(
    'logprob',
    '--model',
    join(out, 'model.safetensors'),
    '--data',
    path,
    '--out',
    scores,
    '--invalid',
    'drop'
  )
  expect(readFileSync(scores, 'utf8').trim().split('\n')).toHaveLength(199)
  expect(said.join('')).toContain(
    `log-densities of 198 rows in ${scores}; 1 rows without one, which could not be used; 2 rows of ${path} are left out`
  )
})

test('a day and a month that may be either way round are left out, until an option decides', async () => {
  const path = table('when,a,b', (_, random) => [
    `${1 + Math.floor(12 * random.uniform())}/${1 + Math.floor(12 * random.uniform())}/2024`,
    random.normal(),
    random.normal()
  ])
  expect((await plans(path)).when).toContain('left out: dates of which day and month may be either way round')
  expect((await plans(path, { dayFirst: true })).when).toMatch(/^days since 2024-01-0/)
  expect(await ffjord('inspect', '--data', path)).toContain('--dates day-first or month-first')
  expect(await ffjord('inspect', '--data', path, '--dates', 'month-first')).toContain('days since 2024-01-0')
})

test('what cannot be used is told of all columns at once, with its place', async () => {
  const path = table('a,b,c', (row, random) => [
    row === 50 ? 'abc' : random.normal(),
    row === 60 ? 'inf' : random.normal(),
    random.normal()
  ])
  const { columns } = await inspectFile(path)
  expect(columns.map(({ problem }) => problem?.finding)).toEqual([
    "column 'a' has 1 of 200 cells that are no numbers, such as 'abc' in line 52",
    "column 'b' has 1 of 200 cells that are no finite numbers, such as 'inf' in line 62",
    undefined
  ])
  const { message } = await failure(
    () => ffjord('train', '--data', path, '--out', join(folder, 'no'), ...brief),
    'INVALID_FILE'
  )
  expect(message).toContain('--exclude a')
  expect(message).toContain('--exclude b')
})

test('columns that the options name are taken whatever they hold', async () => {
  const path = mixed()
  expect((await plans(path, { columns: ['row', 'price'] })).row).toBe('dequantised by 1')
  expect((await plans(path, { context: ['region', 'colour'] })).colour).toBe('given: a category of 3 levels')
  await failure(() => inspectFile(path, { exclude: ['prize'] }), 'INVALID_OPTION')
})

test('dates of a program are text as the file has it', async () => {
  const { schema, data } = await fromFile(mixed(), { columns: ['day', 'price'] })
  const [days] = decodeColumns(schema.columns, data)
  expect(days!.values[0]).toMatch(/^202\d-\d\d-\d\d$/)
})

test('messages of the command line name flags', () => {
  expect(inFlags("leave it out (exclude: ['date'])")).toBe('leave it out (--exclude date)')
  expect(inFlags("or leave such rows out with invalid: 'drop'")).toBe(
    'or leave such rows out with --invalid drop'
  )
  expect(inFlags('choose one with key: X, y')).toBe('choose one with --key: X, y')
})

test('text that is numbers or dates of another notation is left out, with the option or the form that is read', async () => {
  const day = (i: number) => String(1 + (i % 28))
  const rows = Array.from({ length: 40 }, (_, i) =>
    [
      Math.sin(i * i).toFixed(3),
      `"${i % 7},5"`,
      `${day(i)}/3/24`,
      `${day(i)} Mar 2024`,
      `3/${day(i * i)}/2024 1:0${i % 9} PM`
    ].join(',')
  )
  const path = join(folder, 'notations.csv')
  writeFileSync(path, `a,b,c,d,e\n${rows.join('\n')}\n`)
  const { columns, options } = await inspectFile(path, { dequantize: true })
  const [a, b, c, d, e] = columns.map(({ use, plan }) => `${use}: ${plan}`)
  expect(a).toBe('learnt: as it is')
  expect(b).toBe("left out: numbers as text, which decimal: ',' (--decimal ,) reads")
  expect(c).toContain('left out: dates whose years have two digits')
  expect(d).toContain('left out: dates with names of months; write them as 2024-05-31')
  expect(e).toBe('learnt: minutes since 2024-03-01, dequantised by 1')
  expect(options.exclude).toEqual(['b', 'c', 'd'])
  writeFileSync(path, `b\n${Array.from({ length: 40 }, (_, i) => `"${i % 7},5"`).join('\n')}\n`)
  const read = await inspectFile(path, { decimal: ',' })
  expect(read.columns[0]).toMatchObject({ type: 'numbers', range: '0.5 to 6.5' })
})

test('a table that leaves nothing to learn says why', async () => {
  const path = join(folder, 'nothing.csv')
  const train = (content: string) => {
    writeFileSync(path, content)
    return ffjord('train', '--data', path, '--out', join(folder, 'nothing'), ...brief)
  }
  await expect(train('a,b\n')).rejects.toThrow('has names and no rows; give a file with at least one row')
  const rows = Array.from({ length: 30 }, (_, i) => `7,row ${i},"${i},5"`).join('\n')
  await expect(train(`a,b,c\n${rows}\n`)).rejects.toThrow(
    /nothing to learn: column 'a' is left out \(a constant \(7\)\), column 'b' is left out .*, column 'c' is left out .*--decimal ,.*--columns/
  )
})
