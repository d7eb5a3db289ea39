import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type FileOptions,
  fromArray,
  fromFile,
  fromRows,
  inspectFile,
  remarksOn,
  splitFile,
  toy,
  toyNames
} from 'ffjord'
import { RowRandom } from '../lib/data/random'
import { ffjord } from './command-line'
import { failure } from './failure'

/** What is said of columns of which a density means little, and that nothing is said of sound ones. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-remarks-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
function written(head: string, lines: readonly string[]): string {
  const path = join(folder, `${files++}.csv`)
  writeFileSync(path, `${head}\n${lines.join('\n')}\n`)
  return path
}

interface Draws {
  /** Of the row that is drawn. */
  row: number
  uniform: () => number
  normal: () => number
}

/** A table of `rows` lines, each from draws of its own. */
function table(head: string, line: (draws: Draws) => unknown[], rows = 1000, seed = 1): string {
  const random = new RowRandom(seed)
  const lines = Array.from({ length: rows }, (_, row) => {
    random.seek(row)
    return line({ row, uniform: () => random.uniform(), normal: () => random.normal() }).join(',')
  })
  return written(head, lines)
}

const remarks = async (path: string, options: FileOptions = { dequantize: true }) =>
  remarksOn(await fromFile(path, options))

test.each<[string, string, (draws: Draws) => unknown[], string, string, object]>([
  [
    'zeros beside a density',
    'a,b',
    ({ uniform, normal }) => [normal(), uniform() < 0.7 ? 0 : Math.exp(normal())],
    'atom',
    'is exactly 0 in',
    { atoms: { b: 0 } }
  ],
  [
    'values that are cut off',
    'a,b',
    ({ normal }) => [normal(), Math.min(1.28, normal())],
    'atom',
    'is exactly 1.28 in',
    { atoms: { b: 1.28 } }
  ],
  [
    'a sum of others',
    'a,c,b',
    ({ normal }) => {
      const [x, y] = [normal(), normal()]
      return [x.toFixed(3), y.toFixed(3), (x + y).toFixed(3)]
    },
    'function',
    "is a linear combination of 'a', 'c'",
    { exclude: ['b'] }
  ],
  [
    'another unit',
    'a,b',
    ({ normal }) => {
      const x = normal()
      return [x.toFixed(4), (2.54 * x + 3).toFixed(4)]
    },
    'function',
    "is 'a' in other units",
    { exclude: ['b'] }
  ],
  [
    'whole cents and euros',
    'a,b,c',
    ({ normal }) => {
      const x = Math.round(1e4 * Math.exp(normal()))
      return [x, x / 100, normal()]
    },
    'function',
    "is 'a' in other units",
    { exclude: ['b'] }
  ],
  [
    'a logarithm',
    'a,b',
    ({ uniform }) => {
      const x = 1 + uniform()
      return [x.toFixed(5), Math.log(x).toFixed(5)]
    },
    'function',
    "follows from 'a'",
    { exclude: ['b'] }
  ],
  [
    'a square',
    'a,b',
    ({ normal }) => {
      const x = normal()
      return [x.toFixed(5), (x * x).toFixed(5)]
    },
    'function',
    "follows from 'a'",
    { exclude: ['b'] }
  ],
  [
    'rows counted from 0',
    'b,a',
    ({ row, normal }) => [row, normal()],
    'row-number',
    'rises by 1 from row to row',
    { exclude: ['b'] }
  ],
  [
    'even times',
    'b,a',
    ({ row, normal }) => [(5 + 0.1 * row).toFixed(1), normal()],
    'row-number',
    'rises by 0.1 from row to row',
    { exclude: ['b'] }
  ],
  [
    'shuffled numbers of rows',
    'b,a',
    ({ row, normal }) => [((row * 7919) % 1000) + 1, normal()],
    'id',
    'has another whole number in every row',
    { exclude: ['b'] }
  ],
  [
    'ids of ten digits',
    'b,a',
    ({ uniform, normal }) => [Math.floor(1e9 + 9e9 * uniform()), normal()],
    'long-number',
    'has another whole number of as many digits in every row',
    { exclude: ['b'] }
  ],
  [
    'days',
    'b,a',
    ({ uniform, normal }) => [
      20180000 +
        10000 * Math.floor(5 * uniform()) +
        100 * Math.floor(1 + 12 * uniform()) +
        Math.floor(1 + 28 * uniform()),
      normal()
    ],
    'date',
    'looks like dates written as yyyymmdd',
    { exclude: ['b'] }
  ],
  [
    'months',
    'b,a',
    ({ uniform, normal }) => [
      201800 + 100 * Math.floor(5 * uniform()) + Math.floor(1 + 12 * uniform()),
      normal()
    ],
    'date',
    'looks like months written as yyyymm',
    { exclude: ['b'] }
  ],
  [
    'seconds since 1970',
    'b,a',
    ({ uniform, normal }) => [Math.floor(1.5e9 + 1e8 * uniform()), normal()],
    'date',
    'looks like seconds since 1970 (2017-',
    { exclude: ['b'] }
  ],
  [
    'milliseconds, in order',
    'b,a',
    ({ row, normal }) => [1.5e12 + 6e6 * row, normal()],
    'date',
    'looks like milliseconds since 1970 (2017-',
    { exclude: ['b'] }
  ],
  [
    'a heavy tail',
    'b,a',
    ({ uniform, normal }) => [Math.tan(Math.PI * (uniform() - 0.5)), normal()],
    'tail',
    'reaches ',
    { exclude: ['b'] }
  ],
  [
    'a heavy tail above 0',
    'b,a',
    ({ normal }) => [Math.exp(3 * normal()), normal()],
    'tail',
    'reaches ',
    { bounds: { b: [0, null] } }
  ],
  [
    'an end at 0',
    'b,a',
    ({ uniform, normal }) => [-Math.log(1 - uniform()), normal()],
    'bounds',
    'never lies below 0, and has many values there',
    { bounds: { b: [0, null] } }
  ],
  [
    'whole ages',
    'b,a',
    ({ uniform, normal }) => [Math.floor(90 * (1 - Math.sqrt(1 - uniform()))), normal()],
    'bounds',
    'never lies below 0',
    { bounds: { b: [0, null] } }
  ],
  [
    'shares beside 1',
    'b,a',
    ({ uniform, normal }) => [(1 - 0.2 * uniform() * uniform()).toFixed(5), normal()],
    'bounds',
    'never lies above 1',
    { bounds: { b: [null, 1] } }
  ],
  [
    'quarters',
    'b,a',
    ({ uniform, normal }) => [Math.floor(6 * uniform()) / 4, normal()],
    'repeated',
    'has only 6 different values in 1000 rows',
    { dequantize: { b: 0.25 } }
  ],
  [
    'levels as numbers',
    'b,a',
    ({ uniform, normal }) => [[0.1, 0.35, 1.7234, 2.5][Math.floor(4 * uniform())], normal()],
    'repeated',
    'has only 4 different values in 1000 rows',
    { exclude: ['b'] }
  ]
])('%s: one remark, with what to do', async (_, head, line, kind, finding, options) => {
  for (const seed of [1, 2, 3]) {
    const found = await remarks(table(head, line, 1000, seed))
    expect(found).toEqual([
      {
        column: 'b',
        kind,
        finding: expect.stringContaining(`column 'b' ${finding}`),
        remedy: expect.any(String),
        options,
        message: expect.any(String)
      }
    ])
    const given = Object.entries(options).map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
    const { finding: what, remedy, message } = found[0]!
    expect(message).toBe(`${what}; ${remedy} (${given.join(', ').replaceAll('"', "'")})`)
  }
})

test('an atom gets a probability of its own, and two at the ends can be left out with their rows', async () => {
  const one = table('a,paid', ({ uniform, normal }) => [normal(), uniform() < 0.7 ? 0 : Math.exp(normal())])
  const [found] = await remarks(one)
  expect(found!.remedy).toBe('give it a probability of its own')
  expect(await remarks(one, found!.options)).toEqual([])

  // What is given twice counts once, so that either names both.
  const beside = table('a,b', ({ uniform, normal }) => [
    uniform() < 0.4 ? 0 : normal(),
    uniform() < 0.5 ? 7.5 : 2 * normal()
  ])
  const all = { atoms: { a: 0, b: 7.5 } }
  expect((await remarks(beside)).map(({ options }) => options)).toEqual([all, all])
  expect(await remarks(beside, all)).toEqual([])

  const two = table('a,share', ({ uniform, normal }) => {
    const end = uniform()
    return [normal(), end < 0.4 ? 0 : end < 0.7 ? 1 : 1 / (1 + Math.exp(-normal()))]
  })
  const [both] = await remarks(two)
  expect(both!.remedy).toMatch(/multiplied by 0\.(2[7-9]|3|3[1-3])$/)
  const { data, dropped, rows } = await fromFile(two, both!.options)
  expect(rows + dropped).toBe(1000)
  expect(data.every((value, i) => i % 2 === 0 || (value > 0 && value < 1))).toBe(true)
  expect(await remarks(two, both!.options)).toEqual([])
})

test.each(toyNames)('nothing is said of %s', async (name) => {
  for (const rows of [200, 2000]) {
    const { data } = await toy(name, { seed: rows }).take(rows)
    expect(remarksOn(fromArray(data, { shape: [2] }))).toEqual([])
    const lines = Array.from(
      { length: rows },
      (_, i) => `${data[2 * i]!.toFixed(4)},${data[2 * i + 1]!.toFixed(4)}`
    )
    expect(await remarks(written('x,y', lines))).toEqual([])
  }
})

test.each<[string, (draws: Draws) => unknown]>([
  ['normal', ({ normal }) => 1e3 + normal()],
  ['uniform', ({ uniform }) => uniform()],
  ['log-normal', ({ normal }) => Math.exp(normal())],
  ['money', ({ normal }) => (2e4 * Math.exp(0.5 * normal())).toFixed(2)],
  ['whole prices', ({ normal }) => Math.round(1e5 * Math.exp(0.6 * normal()))],
  ['heights', ({ normal }) => (170 + 8 * normal()).toFixed(1)],
  ['whole ages from 18 on', ({ uniform }) => Math.floor(18 + 60 * uniform())],
  ['yes and no', ({ uniform }) => (uniform() < 0.3 ? 1 : 0)],
  ['years', ({ uniform }) => Math.floor(1950 + 70 * uniform())],
  ['counts', ({ uniform }) => Math.floor(30 + 10 * (uniform() + uniform() + uniform()))]
])('nothing is said of columns that are %s', async (_, law) => {
  for (const rows of [100, 1000, 4000])
    for (const seed of [1, 2]) {
      // Correlated columns beside it.
      const line = (draws: Draws) => {
        const z = draws.normal()
        return [law(draws), (z + 0.2 * draws.normal()).toFixed(4), z.toPrecision(6)]
      }
      expect(await remarks(table('x,a,b', line, rows, seed))).toEqual([])
    }
})

test('what follows from a context has no density either, and a context that counts rows is pointed out', async () => {
  const line = ({ row, normal }: Draws) => {
    const x = normal()
    return [row, x.toFixed(4), (3 * x).toFixed(4), normal().toFixed(4)]
  }
  const data = await fromFile(table('n,a,b,c', line))
  const found = remarksOn(data.condition(['b', 'n']))
  expect(found.map(({ column, kind }) => [column, kind])).toEqual([
    ['a', 'function'],
    ['n', 'row-number']
  ])
})

test('a stream, a command and a program hear the same', async () => {
  const line = ({ row, uniform, normal }: Draws) => [
    row + 1,
    normal(),
    uniform() < 0.5 ? 0 : normal(),
    normal()
  ]
  const path = table('n,a,paid,b', line, 2000)
  const program = await remarks(path)
  expect(program.map(({ column, kind }) => `${column}: ${kind}`)).toEqual(['n: row-number', 'paid: atom'])
  const { remarks: streamed } = await splitFile(path, { seed: 4, keep: 800, dequantize: true })
  expect(streamed.map(({ column, kind }) => `${column}: ${kind}`)).toEqual(['n: row-number', 'paid: atom'])
  const stderr: string[] = []
  const write = jest
    .spyOn(process.stderr, 'write')
    .mockImplementation((text) => stderr.push(String(text)) > 0)
  try {
    for (const flags of [[], ['--stream']])
      await ffjord(
        'train',
        '--data',
        path,
        '--exclude',
        'b',
        '--out',
        join(folder, `run${flags.length}`),
        '--iterations',
        '2',
        '--hidden',
        '4,4',
        '--no-report',
        ...flags
      )
  } finally {
    write.mockRestore()
  }
  const said = (text: string) => stderr.filter((one) => one.includes(text))
  expect(said('left out: a row number or an index')).toHaveLength(2)
  expect(said('left out: as --exclude asks')).toHaveLength(2)
  expect(said('(--atoms paid=0)')).toHaveLength(2)
})

test('few rows, images and categories are left alone; what is no data set in memory is refused', async () => {
  expect(remarksOn(fromRows([[1], [1], [1]]))).toEqual([])
  expect(
    remarksOn(
      fromArray(
        Float32Array.from({ length: 100 }, () => 1),
        { shape: [1] }
      )
    )
  ).toMatchObject([{ column: 'x1', kind: 'constant' }])
  const line = ({ row, normal }: Draws) => [['red', 'green'][row % 2], normal()]
  expect(await remarks(table('colour,a', line), { categorical: 'one-hot' })).toEqual([])
  await failure(() => remarksOn(toy('moons') as never), 'INVALID_INPUT')
})

test('text that is an id or a date says so', async () => {
  const ids = table('name,a', ({ row, normal }) => [`k${row}`, normal()])
  const { message } = await failure(() => fromFile(ids, { categorical: 'one-hot' }), 'INVALID_FILE')
  expect(message).toContain(
    "column 'name' holds another text in every row, an id or a remark; leave it out (exclude: ['name'])"
  )
  const days = table('day,a', ({ row, normal }) => [
    new Date(864e5 * row).toISOString().slice(0, 10),
    normal()
  ])
  const { schema } = await fromFile(days)
  expect(schema.columns[0]).toMatchObject({
    type: 'integer',
    cells: { kind: 'written', pattern: 'YYYY-MM-DD' },
    clock: { unit: 'day', origin: '1970-01-01' }
  })
  // Not all written alike.
  const mixed = table('day,a', ({ row, normal }) => [
    row % 2 ? '2024-01-01' : `${1 + (row % 28)}.1.2024`,
    normal()
  ])
  expect((await failure(() => fromFile(mixed), 'INVALID_FILE')).message).toMatch(/is a date/)
})

test('a total of amounts in cents follows from them, and what is near it does not', async () => {
  const random = new RowRandom(5)
  const lines = Array.from({ length: 400 }, (_, row) => {
    random.seek(row)
    const [a, b, c] = [random.normal(), 3 * random.normal(), random.normal()]
    return [a, b, a + b, a + b + 0.05 * c].map((value) => value.toFixed(2)).join(',')
  })
  const path = join(folder, 'cents.csv')
  writeFileSync(path, `a,b,total,near\n${lines.join('\n')}\n`)
  const { columns } = await inspectFile(path)
  expect(columns.map(({ suspicions }) => suspicions.map(({ kind }) => kind))).toEqual([
    [],
    [],
    ['function'],
    []
  ])
})
