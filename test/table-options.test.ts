import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeColumns, type FileOptions, fromFile } from 'ffjord'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-options-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
function csv(text: string, ending = 'csv'): string {
  const path = join(folder, `${files++}.${ending}`)
  writeFileSync(path, text)
  return path
}
const read = (text: string, options?: FileOptions) => fromFile(csv(text), options)

test('separators are found, and tabs are known by the ending', async () => {
  expect([...(await read('a;b\n1;2\n3;4\n')).data]).toEqual([1, 2, 3, 4])
  expect([...(await fromFile(csv('a\tb\n1\t2\n', 'tsv'))).data]).toEqual([1, 2])
})

test('quoted names and cells may hold separators, quotes and line breaks', async () => {
  const text = '"a, b","c ""d""",note\n1,2,"two\nlines"\n3,oops,"and\nmore"\n'
  const data = await read(text.replace('oops', '4'), { exclude: ['note'] })
  expect([data.columns, [...data.data]]).toEqual([
    ['a, b', 'c "d"'],
    [1, 2, 3, 4]
  ])
  const { message } = await failure(() => read(text, { exclude: ['note'] }), 'INVALID_FILE')
  expect(message).toContain("line 4, column 2 ('c \"d\"'): 'oops' is no number")
})

test('columns are chosen, ordered and left out by name', async () => {
  const text = 'a,b,c\n1,2,3\n4,5,6\n'
  expect([...(await read(text, { columns: ['c', 'a'] })).data]).toEqual([3, 1, 6, 4])
  expect((await read(text, { exclude: ['b'] })).columns).toEqual(['a', 'c'])
  expect((await failure(() => read(text, { columns: ['A1'] }), 'INVALID_OPTION')).message).toContain(
    "did you mean 'a'"
  )
  await failure(() => read(text, { exclude: ['a', 'b', 'c'] }), 'INVALID_OPTION')
  await failure(() => read(text, { columns: ['a', 'a'] }), 'INVALID_OPTION')
})

test.each([
  ['a,b\n1,2\n3\n', 'line 3: 1 columns in place of 2'],
  ['a,b\n1,NA\n', "line 2, column 2 ('b'): the value is missing"],
  ['a,b\n1,2\n\n1,\n', "line 4, column 2 ('b'): the value is missing"],
  ['a,b\n1,red\n', "'red' is no number; leave the column out (exclude: ['b'])"],
  ['a,b\n1,1e999\n', "'1e999' is no finite number"]
])('%j is refused with its place, and its row can be dropped', async (text, words) => {
  const { message } = await failure(() => read(text), 'INVALID_FILE')
  expect(message).toContain(words)
  const data = await read(`${text}7,8\n`, { invalid: 'drop' })
  expect([...data.data.slice(-2)]).toEqual([7, 8])
  expect(data.dropped).toBe(1)
})

test('a table of bad rows alone is empty', async () => {
  await failure(() => read('a,b\n1,\n', { invalid: 'drop' }), 'EMPTY_BATCH')
})

test('bounds are open intervals', async () => {
  const text = 'a,b\n0.5,1\n0,2\n'
  const bounds = { a: [0, 1] } as const
  const { message } = await failure(() => read(text, { bounds }), 'INVALID_FILE')
  expect(message).toContain("line 3, column 1 ('a'): '0' lies outside the column's interval (0, 1)")
  const data = await read(text, { bounds, invalid: 'drop' })
  expect([data.rows, data.schema.columns[0]]).toEqual([1, { name: 'a', type: 'real', lower: 0, upper: 1 }])
  await failure(() => read(text, { bounds: { a: [1, 0] } }), 'INVALID_OPTION')
  await failure(() => read(text, { bounds: { z: [0, 1] } }), 'INVALID_OPTION')
})

test('bounds of dates and times are dates and times', async () => {
  const text = 'day,at\n1.3.2024,9:30\n31.5.2024,12:00\n'
  const bounds = { day: ['2024-03-01', '1.6.2024'], at: ['9:00', null] } as const
  const { schema } = await read(text, { bounds, dequantize: true })
  expect(schema.columns).toMatchObject([
    { name: 'day', lower: 0, upper: 92, clock: { unit: 'day', origin: '2024-03-01' } },
    { name: 'at', lower: 540, clock: { unit: 'minute' } }
  ])
  const narrow = () => read(text, { bounds: { day: [null, '2024-05-31'] }, dequantize: true })
  expect((await failure(narrow, 'INVALID_FILE')).message).toContain(
    "'31.5.2024' lies outside the column's interval (−∞, 31.5.2024)"
  )
  const wrong = async (end: string, column: string) =>
    (await failure(() => read(text, { bounds: { [column]: [end, null] } }), 'INVALID_OPTION')).message
  expect(await wrong('noon', 'day')).toContain('noon')
  expect(await wrong('12:30', 'day')).toContain('D.M.YYYY')
  expect(
    await failure(() => read('a\n1\n', { bounds: { a: ['2024-01-01', null] } }), 'INVALID_OPTION')
  ).toMatchObject({ message: expect.stringContaining('no dates or times') })
  const days = { columns: ['date32'], bounds: { date32: ['2024-01-01', '2024-01-03'] } } as const
  const parquet = join(__dirname, 'tables', 'types.parquet')
  const other = await failure(() => fromFile(parquet, days), 'INVALID_FILE')
  expect(other.message).toMatch(
    /\d{4}-\d\d-\d\d lies outside the column's interval \(2024-01-01, 2024-01-03\)/
  )
})

test('a dequantised column may stand on the lower end of its interval', async () => {
  const bounds = { n: [0, 3] } as const
  const data = await read('n\n0\n2\n1\n', { bounds, dequantize: true })
  expect(data.data.every((value) => value > 0 && value < 3)).toBe(true)
  await failure(() => read('n\n0\n3\n', { bounds, dequantize: true }), 'INVALID_FILE')
  const { message } = await failure(
    () => read('n\n1\n0\n0.5\n', { bounds, dequantize: true }),
    'INVALID_FILE'
  )
  expect(message).toContain("line 3, column 1 ('n'): 0 lies outside the column's interval (0, 3)")
})

test('whole numbers are found, dequantised and brought back', async () => {
  const text = 'n,x,cents\n1,0.5,0.10\n2,1.5,0.25\n-3,2.25,7\n'
  const data = await read(text, { dequantize: { n: 1, cents: 0.01 }, seed: 3 })
  expect(data.schema.columns).toEqual([
    { name: 'n', type: 'integer', step: 1 },
    { name: 'x', type: 'real' },
    { name: 'cents', type: 'real', step: 0.01 }
  ])
  expect([...data.data].filter((_, i) => i % 3 === 1)).toEqual([0.5, 1.5, 2.25])
  expect(data.data[0]).not.toBe(1)
  const back = decodeColumns(data.schema.columns, data.data)
  expect(back.map(({ name, values }) => [name, ...Array.from(values)])).toEqual([
    ['n', 1, 2, -3],
    ['x', 0.5, 1.5, 2.25],
    ['cents', 0.1, 0.25, 7]
  ])
  const again = await read(text, { dequantize: { n: 1, cents: 0.01 }, seed: 3 })
  expect(again.data).toEqual(data.data)
  expect((await read(text, { dequantize: true })).schema.columns[0]).toMatchObject({ step: 1 })
  expect((await read(text)).schema.columns[0]).toEqual({ name: 'n', type: 'integer' })
})

test('categories become elements, and come back as text', async () => {
  const text = 'colour,x\nred,1.5\ngreen,2.5\nred,3.5\n'
  const data = await read(text, { categorical: 'one-hot' })
  expect(data.columns).toEqual(['colour=green', 'colour=red', 'x'])
  expect(Array.from(decodeColumns(data.schema.columns, data.data)[0]!.values)).toEqual([
    'red',
    'green',
    'red'
  ])
  const { schema } = data
  const { message } = await failure(() => read('colour,x\nblue,1\n', { schema }), 'INVALID_FILE')
  expect(message).toContain("'blue' is no level that training saw (green, red)")
  const many = Array.from({ length: 100 }, (_, i) => `level${i},1`).join('\n')
  await failure(() => read(`c,x\n${many}\n`, { categorical: 'one-hot' }), 'INVALID_FILE')
})

test('the columns of a model are found by name, and what is missing is named', async () => {
  const { schema } = await read('a,n\n1.5,2\n2.5,3\n', { dequantize: true })
  const data = await read('n,extra,a\n7,red,0.5\n', { schema })
  expect([Math.floor(data.data[1]!), data.data[0]]).toEqual([7, 0.5])
  const { message } = await failure(() => read('a,m\n1,2\n', { schema }), 'INVALID_SHAPE')
  expect(message).toContain("has no column 'n', which the model was trained on; it has a, m")
  await failure(() => read('1\n', { schema }), 'INVALID_SHAPE')
  const broken = await failure(() => read('a,n\n1,2.5\n', { schema }), 'INVALID_FILE')
  expect(broken.message).toContain('no multiple of 1')
})

test.each([
  ['a,b\n1,2\n1,3\n', "column 'a' is constant (1)"],
  ['a,b\n1,1\n2,2\n', "column 'b' repeats 'a'"]
])('%j has no density', async (text, words) => {
  const { message } = await failure(() => read(text, { checkColumns: true }), 'INVALID_FILE')
  expect(message).toContain(words)
})
