import type { Distribution } from './distribution'

/** Numbers that name or count rows, or write a date, in place of measuring something. */

/** The step by which values rise (or fall) from row to row; undefined where they do not rise evenly. */
export function countsRows(values: Float64Array, numbers: ArrayLike<number>): number | undefined {
  const last = values.length - 1
  const step = (values[last]! - values[0]!) / (numbers[last]! - numbers[0]!)
  if (!(Math.abs(step) > 0)) return undefined
  // Rounding of float32 values, and of decimal places in text.
  const room = 0.01 * Math.abs(step) + 1.2e-7 * Math.max(Math.abs(values[0]!), Math.abs(values[last]!))
  if (room > 0.3 * Math.abs(step) * (numbers[last]! - numbers[0]!)) return undefined
  for (let i = 0; i <= last; i++)
    if (!(Math.abs(values[i]! - values[0]! - step * (numbers[i]! - numbers[0]!)) <= room)) return undefined
  return step
}

/** Names that ids go by: customer_id, customerId, and what pandas calls an index. */
const idNames = [
  /(^|[_\s.-])(id|uuid|guid|key|index|idx|nr|no|rownum)$/i,
  /[a-z](Id|ID)$/,
  /^__index_level_\d+__$/,
  /^Unnamed: \d+$/
]

/**
 * Whole numbers of which none repeats, where they would: by chance, with so many rows in their range; by the digits that
 * all of them have; or by the name.
 */
export function identifies(
  name: string,
  { rows, values, sorted }: Distribution
): 'surely' | 'perhaps' | 'no' {
  if (values.length < rows || !sorted.every(Number.isInteger)) return 'no'
  const [low, high] = [sorted[Math.floor(0.25 * rows)]!, sorted[Math.floor(0.75 * rows)]!]
  const room = 2 * (high - low) + 1
  const expectedRepeats = rows ** 2 / (2 * room)
  const digits = (value: number) => Math.floor(Math.log10(Math.max(1, Math.abs(value)))) + 1
  const sameDigits = digits(sorted[0]!) === digits(sorted[rows - 1]!) && sorted[0]! > 0
  const long = sameDigits && digits(sorted[0]!) >= 9
  if (expectedRepeats > 10 || idNames.some((pattern) => pattern.test(name))) return 'surely'
  return long ? 'perhaps' : 'no'
}

/** What kind of date the values write, in words. */
export function apparentDate({ sorted, values }: Distribution, single: boolean): string | undefined {
  if (values.length < 5) return undefined
  const [least, largest] = [sorted[0]!, sorted[sorted.length - 1]!]
  // float32 moves the day of a date of eight digits by one.
  const room = single ? 1 : 0
  const parts = (value: number) =>
    [Math.floor(value / 10_000), Math.floor(value / 100) % 100, value % 100] as const
  const isDay = (value: number) => {
    const [year, month, day] = parts(value)
    const inMonth = month >= 1 && month <= 12 && day >= 1 - room && day <= 31 + room
    return Number.isInteger(value) && year >= 1800 && year <= 2200 && inMonth
  }
  if (values.every(isDay)) return 'dates written as yyyymmdd'
  const isMonth = (value: number) =>
    Number.isInteger(value) && value >= 180_001 && value <= 220_012 && value % 100 >= 1 && value % 100 <= 12
  if (values.every(isMonth)) return 'months written as yyyymm'
  for (const [unit, perSecond] of units)
    if (least >= FROM * perSecond && largest <= TO * perSecond)
      return `${unit} since 1970 (${day(least / perSecond)} to ${day(largest / perSecond)})`
  return undefined
}

const units = [
  ['seconds', 1],
  ['milliseconds', 1e3],
  ['microseconds', 1e6],
  ['nanoseconds', 1e9]
] as const

/** Seconds since 1970, of 1990 and of 2060: earlier and later ones may be anything. */
const [FROM, TO] = [631_152_000, 2_840_140_800]

function day(seconds: number): string {
  return new Date(1000 * seconds).toISOString().slice(0, 10)
}
