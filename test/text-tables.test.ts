import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type FileOptions, fromFile, inspectFile, splitFile } from 'ffjord'
import type { OpenOptions } from '../lib/table/formats'
import { openTable } from '../lib/table/open'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-text-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

let files = 0
/** A file of some text, which has lines `\n` apart unless it says otherwise. */
function file(content: string | Uint8Array, ending = '.csv'): string {
  const path = join(folder, `${files++}${ending}`)
  writeFileSync(path, content)
  return path
}

async function read(content: string | Uint8Array, options: FileOptions = {}, ending = '.csv') {
  const data = await fromFile(file(content, ending), { precision: 'float64', ...options })
  return { names: data.columns, rows: data.rows, values: [...data.data] }
}

async function guesses(content: string, options: OpenOptions = {}, ending = '.csv') {
  return (await openTable(file(content, ending), options)).guesses ?? []
}

const plain = 'size,year\n0.126,-1.25\n-0.5,3.75\n'
const expected = { names: ['size', 'year'], rows: 2, values: [0.126, -1.25, -0.5, 3.75] }

test.each([
  [
    'a mark before a quoted header, and CRLF',
    `\ufeff${plain.replace('size', '"size"').replaceAll('\n', '\r\n')}`
  ],
  ['lines that end with CR alone', plain.replaceAll('\n', '\r')],
  ['CRLF and LF mixed', plain.replace('\n', '\r\n')],
  ['quoted cells before CRLF', 'size,year\r\n"0.126","-1.25"\r\n"-0.5","3.75"\r\n'],
  ['no end of the last line', plain.trimEnd()],
  ['blank lines', plain.replaceAll('\n', '\n\n')],
  ['the end mark of DOS', `${plain}\x1a`],
  ['UTF-16 of either order, with a mark', utf16(`\ufeff${plain}`)],
  ['UTF-16 without a mark', utf16(plain)],
  ['big-endian UTF-16', utf16(`\ufeff${plain}`).swap16()],
  ['the separator said in the first line, as Excel does', `sep=;\n${plain.replaceAll(',', ';')}`],
  ['a separator at the end of every line', plain.replaceAll('\n', ',\n')],
  ['a separator at the end of every row', plain.replace(/(\d)\n/g, '$1,\n')],
  ['lines of comment', `# exported 2024-01-01\n# by hand, twice\n${plain}`],
  ['names in a line of comment above numbers', `# ${plain}`],
  ['a title and a blank line', `A table of sizes\n\n${plain}0,0\n`.replace('0,0\n', '')],
  ['a line of nothing but separators', `,\n${plain}`],
  ['minus signs that are none of ASCII', plain.replaceAll('-', '−')],
  ["exponents of Fortran's", 'size,year\n0.126D+00,-0.125D+01\n-5.D-01,0.375D+01\n'],
  ['spaces that do not break', plain.replaceAll(',', ',\u00a0')]
])('%s', async (_, content) => {
  expect(await read(content)).toEqual(expected)
})

function utf16(text: string): Buffer {
  return Buffer.from(text, 'utf16le')
}

test('numbers that spaces and tabs set apart, with names or without', async () => {
  const spaced = ' 0.126  -1.25 \n-0.5\t 3.75\n'
  const { values } = expected
  expect(await read(spaced, {}, '.txt')).toEqual({ names: undefined, rows: 2, values })
  expect(await read(`  size year\n${spaced}`, {}, '.txt')).toEqual(expected)
  expect(await read(`# size year\n${spaced}`, {}, '.txt')).toEqual(expected)
  // A column of text keeps its words.
  const words = 'what\na long word\nanother one\n'
  expect((await fromFile(file(words), { categorical: 'one-hot' })).columns).toEqual([
    'what=a long word',
    'what=another one'
  ])
})

test('a stray carriage return is a character like any, in whatever piece of the file', async () => {
  const row = (i: number) => `${'some\rtext '.repeat(40)},${(i % 1000) / 10},${i % 13}\n`
  const content = `note,x,y\n${Array.from({ length: 15_000 }, (_, i) => row(i)).join('')}`
  const data = await fromFile(file(content), { exclude: ['note'], invalid: 'drop' })
  expect([data.rows, data.dropped]).toEqual([15_000, 0])
})

test('numbers among levels are levels as they are written, in whatever piece of the file', async () => {
  const wide = '0.'.padEnd(300, '25')
  const row = (i: number) => `${i < 15_000 ? ['00', '0', '1', '1.0'][i % 4] : 'x'},${wide}${i % 13}\n`
  const path = file(`code,y\n${Array.from({ length: 15_100 }, (_, i) => row(i)).join('')}`)
  const { rows, schema, data, shape } = await fromFile(path, { categorical: 'one-hot' })
  expect(rows).toBe(15_100)
  expect(schema.columns[0]!.levels).toEqual(['0', '00', '1', '1.0', 'x'])
  const counts = schema.columns[0]!.levels!.map((_, level) =>
    [...data].reduce((sum, value, i) => (i % shape[0]! === level ? sum + Math.floor(value) : sum), 0)
  )
  expect(counts).toEqual([3750, 3750, 3750, 3750, 100])
})

test('a column of numbers that are all written with as many digits says so', async () => {
  const cells = async (content: string) =>
    (await fromFile(file(content), { categorical: 'one-hot', missing: 'drop' })).schema.columns.map(
      (column) => column.cells
    )
  const fixed = (digits: number) => ({ kind: 'written', digits, fixed: true })
  const table = 'a,b,c,d\n21.50,1.5,3.00,0.12345678\n-3.00,2,5.00,7.00000000\n'
  const expected = [fixed(2), { kind: 'written', digits: 1 }, fixed(2), fixed(8)]
  expect((await cells(table.replaceAll('\n', ',x\n'))).slice(0, 4)).toEqual(expected)
  // A piece of numbers alone is read another way.
  expect((await cells(`${table},,,\n`)).slice(0, 4)).toEqual(expected)
  const codes = `${Array.from({ length: 30 }, (_, i) => `0${100 + ((i * i) % 37)},${i * i}`).join('\n')}\n`
  expect(await cells(`zip,n\n${codes},\n`)).toEqual([{ kind: 'written', width: 4 }, undefined])
  const { columns } = await inspectFile(file(`zip,n\n${codes}`))
  expect(columns[0]!.suspicions[0]!.message).toContain("column 'zip' has whole numbers with zeros in front")
  expect(columns[1]!.suspicions.map(({ message }) => message).join()).not.toContain('zeros in front')
})

describe('names of columns', () => {
  const first = (content: string, options: FileOptions = {}) =>
    read(content, options).then(({ names }) => names)

  test('numbers that rise by one above fractions, or beside text, are names', async () => {
    expect(await first('0,1\n0.25,1.5\n-0.5,2.5\n')).toEqual(['0', '1'])
    expect(await first(',0,1\n7,0.25,1.5\n9,-0.5,2.5\n')).toEqual(['x1', '0', '1'])
    expect(await first('place,2019,2020\n1,0.25,1.5\n2,-0.5,2.5\n')).toEqual(['place', '2019', '2020'])
    expect(await guesses('0,1\n0.25,1.5\n-0.5,2.5\n')).toEqual([
      'the first line (0,1) was taken for names; header: false (--header no) takes it for a row'
    ])
  })

  test('numbers like those below are a row, beside text as well', async () => {
    expect(await first('1,2\n3,4\n')).toBeUndefined()
    expect(await first('0,1\n0.25,1\n')).toBeUndefined()
    const flowers = '5.1,0.2,setosa\n4.9,0.2,setosa\n7.0,1.4,versicolor\n'
    expect((await read(flowers, { columns: ['x1', 'x2'] }, '.data')).rows).toBe(3)
    expect(await guesses(flowers)).toEqual([
      'the first line (5.1,0.2,setosa) was taken for a row, and the columns are x1, x2 …; header: true (--header yes) takes it for names'
    ])
  })

  test('numbers that rise beside text are names where they are years, or three, and a row otherwise', async () => {
    const names = async (content: string) => {
      const { columns } = await inspectFile(file(content))
      return columns.map(({ name }) => name)
    }
    expect(await names('place,2019,2020\nFrance,67,68\nMalta,1,1\n')).toEqual(['place', '2019', '2020'])
    expect(await names('place,1,2,3\nFrance,67,68,2\nMalta,1,1,8\n')).toEqual(['place', '1', '2', '3'])
    const row = ['x1', 'x2', 'x3']
    expect(await names('red,1,2\nblue,3,4\nblue,5,9\n')).toEqual(row)
    expect(await names('red,2019,2020\nblue,2018,2021\nred,2004,2020\n')).toEqual(row)
    expect(await names('red,1,2,3\nblue,3,4,9\nred,5,9,1\n')).toEqual([...row, 'x4'])
    expect(await names('a,1,2,3\nb,3,4,5\nc,5,6,7\n')).toEqual([...row, 'x4'])
  })

  test('as is said', async () => {
    expect(await first('1,2\n3,4\n', { header: true })).toEqual(['1', '2'])
    expect((await read('0,1\n0.25,1.5\n-0.5,2.5\n', { header: false })).rows).toBe(3)
    expect((await read(`# ${plain}`, { header: false })).names).toBeUndefined()
    expect(await guesses(plain)).toEqual([])
  })
})

test('numbers in other notations, where that is said', async () => {
  const euro = 'size;year\n1.000,126;-1,25\n-0,5;3,75\n'
  const options = { decimal: ',', thousands: '.' } as const
  expect((await read(euro, options)).values).toEqual([1000.126, -1.25, -0.5, 3.75])
  expect((await read('a,b\n"1,234,567",5\n-12,"1,000"\n', { thousands: ',' })).values).toEqual([
    1234567, 5, -12, 1000
  ])
  expect((await read('a\n1 234.5\n1\u202f000\n', { thousands: ' ' })).values).toEqual([1234.5, 1000])
  expect((await read('a,b\n12%,1\n0.7 %,2\n', { percent: true })).values).toEqual([0.12, 1, 0.007, 2])
  const prices = 'a\n$1\n-$2.50\n$-3\n'
  expect((await read(prices, { currency: '$' })).values).toEqual([1, -2.5, -3])
  expect((await read('a;b\n1,50 €;1\n€2;2\n', { currency: '€', decimal: ',' })).values).toEqual([
    1.5, 1, 2, 2
  ])
  // Groups are of three digits: 1.234 is no decimal of three where a point groups.
  expect((await read('a\n1.234\n12\n', options)).values).toEqual([1234, 12])
  const { message } = await failure(() => read('a;b\n1;1,5\n12;1.23\n', options), 'INVALID_FILE')
  expect(message).toContain("line 3, column 2 ('b'): '1.23' is no number of decimal: ','")
  await failure(() => read(plain, { thousands: '.' }), 'CONTRADICTORY_OPTIONS')
})

test('a comma for the decimal sign leaves no point to guess about', async () => {
  const euro = 'a;people\n1,5;1.234\n2,5;56.789\n3,5;999\n'
  const { message } = await failure(() => read(euro, { decimal: ',' }), 'INVALID_FILE')
  expect(message).toContain("line 2, column 2 ('people'): '1.234' is no number of decimal: ','")
  expect(message).toContain("thousands: '.' (--thousands .)")
  const options = { decimal: ',', thousands: '.' } as const
  expect((await read(euro, options)).values).toEqual([1.5, 1234, 2.5, 56789, 3.5, 999])
  await failure(() => read('a;b\n1;1.234\n2;5.6\n', options), 'INVALID_FILE')
  // Text may hold points, and what says that a cell is missing.
  const version = 'a;version\n1,5;1.5\n2,5;1.5b\n3,5;2-a\n4,5;2-a\n'
  expect((await read(version, { decimal: ',', exclude: ['version'] })).rows).toBe(4)
})

test('a notation that would make numbers of text is told', async () => {
  expect(await guesses('size;year\n0,126;1\n-0,5;2\n')).toEqual([
    "column 'size' holds text like '0,126'; with decimal: ',' (--decimal ,) it holds numbers"
  ])
  expect(await guesses('size,year\n"1,000",1\n"2,500",2\n')).toEqual([
    "column 'size' holds text like '1,000'; with thousands: ',' (--thousands ,) or decimal: ',' (--decimal ,) it holds numbers"
  ])
  expect(await guesses('a,b\n12%,1\n0.7%,2\n')).toEqual([
    "column 'a' holds text like '12%'; with percent: true (--percent) it holds numbers"
  ])
})

test('a cell that is a number in another notation is refused with it', async () => {
  const { message } = await failure(() => read('a;b\n1;1\n0,126;2\n'), 'INVALID_FILE')
  expect(message).toContain(
    "'0,126' is no number; with decimal: ',' (--decimal ,) it is one; otherwise leave the column out"
  )
})

test('what the language alone takes for a number is text', async () => {
  for (const cell of ['0x1f', '0b1', '1_000', '1e', '.']) {
    const { message } = await failure(() => read(`a,b\n1,1\n${cell},2\n`), 'INVALID_FILE')
    expect(message).toContain(`'${cell}' is no number`)
  }
  const { message } = await failure(() => read('a,b\n1,1\n-inf,2\n'), 'INVALID_FILE')
  expect(message).toContain("'-inf' is no finite number")
})

test('cells that stand for nothing, or for a level where that is said', async () => {
  const countries = 'country,x\nNA,1\nDE,2\nFR,3\nNA,4\n'
  const options = { categorical: 'one-hot' } as const
  const { columns } = await fromFile(file(countries), { ...options, missingCells: [''] })
  expect(columns).toEqual(['country=DE', 'country=FR', 'country=NA', 'x'])
  const dropped = await fromFile(file(countries), { ...options, invalid: 'drop' })
  expect([dropped.columns, dropped.dropped]).toEqual([['country=DE', 'country=FR', 'x'], 2])
  expect(await guesses(countries)).toEqual([
    "cells 'NA' of column 'country' were taken to be missing; missingCells: [''] (--missing-cells '') takes them for text"
  ])
  const holes = await fromFile(file('a,b\n1,-\n2,5\n'), { missingCells: ['-'], invalid: 'drop' })
  expect([...holes.data]).toEqual([2, 5])
})

test('lines to pass over, where that is said', async () => {
  expect(await read(`some, words\nand others\n${plain}`, { skip: 2 })).toEqual(expected)
  expect(await read(plain.replace('\n', '\n% no row\n'), { comment: '%' })).toEqual(expected)
  expect(await guesses(`A table\n${plain}0,0\n`)).toEqual([
    '1 line before the table was passed over; skip: 0 (--skip 0) reads them'
  ])
  expect(await guesses(`# one\n# two\n${plain}`)).toEqual([
    "lines that begin with '#' and are no rows are passed over, 2 of them at the start"
  ])
  const noted = `# one\n${plain}# two\n#N/A,5\n1,6\n`
  const kept = await fromFile(file(noted), { invalid: 'drop' })
  expect([kept.rows, kept.dropped]).toEqual([3, 1])
  expect((await failure(() => read(noted), 'INVALID_FILE')).message).toContain('line 6')
  const twice = await failure(() => read('a,a\n1,2\n'), 'INVALID_FILE')
  expect(twice.message).toContain(
    "has two columns named 'a'; give every column a name of its own, or read it without names"
  )
  expect((await read('a,a\n1,2\n', { header: false, skip: 1 })).values).toEqual([1, 2])
  const { message } = await failure(() => read(`A table\n${plain}x,0\n`), 'INVALID_FILE')
  expect(message).toContain('line 5')
})

test('lines are counted with those of comment, which options name', async () => {
  const wrong = (content: string, options: FileOptions = {}) =>
    failure(() => read(content, { comment: '%', ...options }), 'INVALID_FILE')
  const start = '% made today\na,b\n1,2\n% with "quotes"\n3,4\n'
  expect((await wrong(`${start}5\n`)).message).toContain('line 6')
  expect((await wrong(`${start}5,x\n`)).message).toContain('line 6')
  expect((await wrong(`${start}5,"x\n% no comment"\n`)).message).toContain('line 6')
  expect((await wrong(`${start}"5",6\n% more\n\n7,"x"\n`)).message).toContain('line 9')
  expect((await wrong(`${start}5,"6\n`)).message).toContain('line 6')
})

test('lines of comment between titles', async () => {
  const text = `Sizes\n# by hand\nof houses\n${plain}0,0\n`
  expect(await read(text, { comment: '#' })).toEqual({
    ...expected,
    rows: 3,
    values: [...expected.values, 0, 0]
  })
  expect(await guesses(text, { comment: '#' })).toEqual([
    '3 lines before the table were passed over; skip: 0 (--skip 0) reads them'
  ])
})

test.each([
  ['the last column', (i: number) => `${i},"ab${i}`],
  ['the first column', (i: number) => `"${i},ab${i}`],
  ['one of quoted cells', (i: number) => `${i},"ab${i}`, (i: number) => `${i},"ab${i}"`]
])(
  'a quote that is not closed takes no rows with it: %s',
  async (_, broken, whole = (i: number) => `${i},ab${i}`) => {
    const lines = Array.from({ length: 20 }, (_, i) => (i === 7 ? broken(i) : whole(i)))
    const options = { categorical: 'one-hot', invalid: 'drop' } as const
    const { message } = await failure(() => read(`x,note\n${lines.join('\n')}\n`, options), 'INVALID_FILE')
    expect(message).toContain('line 9: a cell opens with a quote that is not closed')
  }
)

test('quotes within a quoted cell that are not written twice stay, where the cell ends in its line', async () => {
  const data = await fromFile(file('x,note\n1,"a "b" c"\n2,d\n3,d\n'), { categorical: 'one-hot' })
  expect(data.columns).toEqual(['x', 'note=a "b" c', 'note=d'])
})

test('rows of more or fewer cells are counted among those that are left out', async () => {
  const path = file('a,b\n1,2.5\n3\n4,\n6,7,8\n9,1.5\n')
  const { rows, dropped } = await fromFile(path, { invalid: 'drop' })
  expect([rows, dropped]).toEqual([2, 3])
  expect((await inspectFile(path, { invalid: 'drop' })).rows).toBe(5)
  const parts = await splitFile(path, { invalid: 'drop', validation: 0, test: 0 })
  expect([parts.trainRows, parts.dropped]).toEqual([2, 3])
})

test('bytes that are no text, or of another encoding', async () => {
  const latin = Buffer.from('größe,x\n1,2\n', 'latin1')
  const { message } = await failure(() => read(latin), 'INVALID_FILE')
  expect(message).toContain("line 1 has bytes that are no UTF-8; say what they are: encoding: 'latin-1'")
  expect((await read(latin, { encoding: 'latin-1' })).names).toEqual(['größe', 'x'])
  const late = Buffer.concat([Buffer.from('a,b\n1,2\n'), Buffer.from('3,ä\n', 'latin1')])
  expect((await failure(() => read(late), 'INVALID_FILE')).message).toContain('line 3')
  const zero = await failure(() => read('a,b\n1,2\n3,\x004\n'), 'INVALID_FILE')
  expect(zero.message).toContain('line 3 holds a byte of zero')
  await failure(() => read(plain, { encoding: 'ebcdic' as 'utf-8' }), 'INVALID_OPTION')
})

test('read verbatim, cells stand as the file has them beside what they mean', async () => {
  const source = await openTable(file('a;b\n1.000,50;NA\n"x;y" ;0010\n'), {
    verbatim: true,
    decimal: ',',
    thousands: '.'
  })
  for await (const batch of source.batches()) {
    if (!('columns' in batch)) throw new Error('numbers')
    expect(batch.columns).toEqual([
      ['1000.50', 'x;y'],
      [null, '0010']
    ])
    expect(batch.written).toEqual([
      ['1.000,50', 'x;y'],
      ['NA', '0010']
    ])
  }
})

test('row names without a name above them, as R writes tables', async () => {
  const names = async (content: string, ending = '.csv') => {
    const path = file(content, ending)
    const { columns } = await inspectFile(path)
    return [columns.map(({ name }) => name), (await openTable(path)).guesses!.length]
  }
  const rows = '"1" -0.226 0.518 "a b"\n"2" -1.5 2.5 "c"\n"3" 0.5 1.5 "c"\n'
  expect(await names(`"x" "y" "kind"\n${rows}`, '.txt')).toEqual([['x1', 'x', 'y', 'kind'], 1])
  expect(await names('x,y\nMazda,1.5,2\nFiat,2,3.5\nVolvo,3,1\n')).toEqual([['x1', 'x', 'y'], 1])
  // A comma in numbers makes no row names.
  await failure(() => names('x,y\n1,000,5\n1,200,7\n'), 'INVALID_FILE')
  await failure(() => names('x,y\nMazda,1.5,2\nMazda,2,3.5\n'), 'INVALID_FILE')
})

test('files that are no text, and lines that look like comments, are refused with what helps', async () => {
  const said = async (content: string | Uint8Array, code: Parameters<typeof failure>[1], ending = '.csv') =>
    (await failure(() => read(content, {}, ending), code)).message
  expect(await said(gzipSync(plain), 'UNSUPPORTED_FILE')).toContain('packed by gzip, and no text; unpack it')
  expect(await said('PK\x03\x04 …', 'UNSUPPORTED_FILE')).toContain('save the sheet as CSV')
  expect(await said(gzipSync(plain), 'UNSUPPORTED_FILE', '.csv.gz')).toContain('--data -')
  expect(await said('[]', 'UNSUPPORTED_FILE', '.json')).toContain('write it as CSV or Parquet')
  expect(await said(`${plain}# end\n`, 'INVALID_FILE')).toContain(
    "line 4: 1 columns in place of 2; say that lines which begin so are comments, comment: '#' (--comment '#')"
  )
  expect((await read(`${plain}# end\n`, { comment: '#' })).rows).toBe(2)
})

test('one word among numbers may stand for missing cells', async () => {
  const content = `a,b\n${Array.from({ length: 50 }, (_, i) => `${(i * i) % 37},${i % 9 === 0 ? '-' : i / 4}`).join('\n')}\n`
  const { columns } = await inspectFile(file(content))
  const { finding, options } = columns[1]!.problem!
  expect(finding).toBe("column 'b' has 6 of 50 cells that are no numbers, all of them '-'")
  expect(options.missingCells).toEqual(['', '-'])
  expect((await fromFile(file(content), { missingCells: ['', '-'], missing: 'drop' })).rows).toBe(44)
  expect((await fromFile(file(content.replaceAll('-', '\\N')), { missing: 'drop' })).rows).toBe(44)
})

test('quotes of other dialects that cut a row are refused with what helps', async () => {
  const said = async (content: string) => (await failure(() => read(content), 'INVALID_FILE')).message
  const spaced = await said('a,b,c\n1, "x, y",2\n3, "x, y",4\n')
  expect(spaced).toContain('line 2: 4 columns in place of 3; take away the spaces before quotes')
  const escaped = await said('a,b,c\n1,"x",2\n3,"the \\"x\\", y",4\n')
  expect(escaped).toContain(
    'line 3: 4 columns in place of 3; write quotes within a cell twice ("") in place of \\"'
  )
  expect(await said('a,b\n1,2\n3,4,5\n')).not.toContain('quote')
})
