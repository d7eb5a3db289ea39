import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromFile } from 'ffjord'
import { clockCell, clockNumber } from '../lib/data/clock'
import { DatePatterns, dateParser, dateText, typeOfPattern } from '../lib/data/date-text'
import { failure } from './failure'

/** Dates and times in text: which pattern a column follows, and that they come back as they were. */

function patternsOf(...texts: string[]): string[] {
  const found = new DatePatterns()
  for (const text of texts) found.add(text)
  return found.found().map(({ pattern }) => pattern)
}

test.each<[string[], string, string]>([
  [['2024-01-31', '1969-12-31', '0001-01-01'], 'YYYY-MM-DD', 'day'],
  [['2024/1/31', '2024/12/1'], 'YYYY/M/D', 'day'],
  [['31.01.2024', '01.02.2024'], 'DD.MM.YYYY', 'day'],
  [['1/13/2024', '12/1/2024'], 'M/D/YYYY', 'day'],
  [['13/01/2024', '12/01/2024'], 'DD/MM/YYYY', 'day'],
  [['2024-01-31 12:30', '2024-02-01 00:00'], 'YYYY-MM-DD hh:mm', 'minute'],
  [['2024-01-31 12:00', '2024-02-01 00:00'], 'YYYY-MM-DD hh:mm', 'hour'],
  [['2024-01-31T12:30:05Z'], 'YYYY-MM-DDThh:mm:ssZ', 'second'],
  [['2024-01-31 12:30:05.125', '1960-01-31 12:30:05.120'], 'YYYY-MM-DD hh:mm:ss.fff', 'millisecond'],
  [['2024-01-31 12:30:05.123456'], 'YYYY-MM-DD hh:mm:ss.ffffff', 'microsecond'],
  [['2024-01-31 12:30:05.123456789'], 'YYYY-MM-DD hh:mm:ss.fffffffff', 'nanosecond'],
  [['2024-01-31T12:30:05+00:00'], 'YYYY-MM-DDThh:mm:ss+hh:mm', 'second'],
  [['12:30', '00:15'], 'hh:mm', 'minute'],
  [['9:30:05', '23:15:00'], 'h:mm:ss', 'second'],
  [['1/13/2024 1:05 PM', '1/2/2024 12:00 AM', '1/2/2024 12:59 PM'], 'M/D/YYYY h:mm A', 'minute'],
  [['2024-01-31 11:30:05.5pm', '2024-01-31 01:30:05.5am'], 'YYYY-MM-DD hh:mm:ss.fa', 'millisecond'],
  [['9:30 am', '12:15 am'], 'h:mm a', 'minute']
])('%j is %s in %ss, and comes back', (texts, pattern, unit) => {
  expect(patternsOf(...texts)).toEqual([pattern])
  const found = new DatePatterns()
  for (const text of texts) found.add(text)
  expect(found.found()[0]!.unit).toBe(unit)
  const type = typeOfPattern(pattern)
  const parse = dateParser(pattern, type.kind === 'date' ? 'second' : type.unit)
  for (const text of texts) expect(dateText(pattern, parse(text)!, type)).toBe(text)
})

test('day and month that may be either way round are two patterns', () => {
  expect(patternsOf('01/02/2024', '03/04/2024')).toEqual(['DD/MM/YYYY', 'MM/DD/YYYY'])
  expect(patternsOf('01/02/2024', '13/04/2024')).toEqual(['DD/MM/YYYY'])
})

test.each([
  ['hello'],
  ['2024-13-01'],
  ['2023-02-29'],
  ['1.5.2'],
  ['2024-01-01 25:00'],
  ['2024-01-01 13:00 PM'],
  ['2024-01-01 0:30 AM'],
  ['2024-01-01 1:00 AM', '2024-01-01 1:00 am'],
  ['2024-01-01', '12:30'],
  ['2024-01-01', '2024/01/01'],
  ['2024-01-01', 'soon'],
  ['']
])('%j are no dates', (...texts) => {
  expect(patternsOf(...texts)).toEqual([])
})

test('a distance to UTC counts', () => {
  const parse = dateParser('YYYY-MM-DDThh:mm:ss+hh:mm', 'second')
  expect(parse('2024-01-01T02:00:00+02:00')).toBe(Date.UTC(2024, 0, 1) / 1000)
  expect(parse('2023-12-31T19:30:00-0430')).toBe(Date.UTC(2024, 0, 1) / 1000)
})

test.each([
  ['second', 1_700_000_000],
  ['millisecond', 1_700_000_000_123],
  ['microsecond', 1_700_000_000_123_456],
  ['nanosecond', 1_700_000_000_123_456_789n]
] as const)('a clock counts %ss from its origin without losing a digit', (unit, cell) => {
  const clock = { unit, origin: '2023-11-14' } as const
  const type = { kind: 'timestamp', unit } as const
  const value = clockNumber(clock, type)(cell)
  expect(Number.isSafeInteger(value)).toBe(true)
  expect(clockCell(clock, type)(value)).toBe(cell)
  // The same moment, as text of another file.
  const text = dateText(`YYYY-MM-DD hh:mm:ss.${'f'.repeat(9)}`, cell, type)
  expect(clockNumber(clock, { kind: 'written' })(text)).toBe(value)
})

test('day and month are not swapped from cell to cell', () => {
  const clock = { unit: 'day', origin: '2024-01-01' } as const
  const dayFirst = clockNumber(clock, { kind: 'written' }, 'DD/MM/YYYY')
  expect(['25/01/2024', '05/02/2024', '2024-01-25', '25.01.2024'].map(dayFirst)).toEqual([24, 35, 24, 24])
  expect(['01/25/2024', '1/25/2024', '03/13/2024 00:00'].map(dayFirst)).toEqual([
    Number.NaN,
    Number.NaN,
    Number.NaN
  ])
  const monthFirst = clockNumber(clock, { kind: 'written' }, 'M-D-YYYY')
  expect([monthFirst('1-25-2024'), monthFirst('25-1-2024')]).toEqual([24, Number.NaN])
})

test('dates of another order are refused by the cell', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-dates-'))
  const put = (name: string, days: string[]) => {
    const path = join(folder, name)
    writeFileSync(path, `d,x\n${days.map((day, i) => `${day},${i}.5`).join('\n')}\n`)
    return path
  }
  const { schema } = await fromFile(put('dm.csv', ['25/01/2024', '05/02/2024', '13/03/2024']), {
    columns: ['d', 'x']
  })
  const other = put('md.csv', ['01/25/2024', '02/05/2024', '03/13/2024'])
  const { message } = await failure(() => fromFile(other, { schema }), 'INVALID_FILE')
  expect(message).toContain(
    "line 2, column 1 ('d'): '01/25/2024' is none of the column's dates or times, DD/MM/YYYY"
  )
  rmSync(folder, { recursive: true })
})

test('days of a model are hours of a finer clock', () => {
  const clock = { unit: 'hour', origin: '1970-01-02' } as const
  expect(clockNumber(clock, { kind: 'date' })(3)).toBe(48)
  expect(clockCell(clock, { kind: 'date' })(49)).toBe(3)
})
