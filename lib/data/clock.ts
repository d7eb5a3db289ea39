import type { CellType, TimeUnit } from './cell-type'
import { dateParser, dateText, readingsOf, typeOfPattern } from './date-text'

/** How dates, times and durations are numbers of a sample: counts of a unit since an origin. */
export interface Clock {
  unit: ClockUnit
  /** The day of which the beginning is 0: '2024-01-01'. None of times of day and durations. */
  origin?: string
}

export type ClockUnit = 'day' | 'hour' | 'minute' | TimeUnit

/** They begin with the coarsest. */
export const clockUnits: readonly ClockUnit[] = [
  'day',
  'hour',
  'minute',
  'second',
  'millisecond',
  'microsecond',
  'nanosecond'
]

const nanoseconds: Readonly<Record<ClockUnit, number>> = {
  day: 86_400e9,
  hour: 3600e9,
  minute: 60e9,
  second: 1e9,
  millisecond: 1e6,
  microsecond: 1e3,
  nanosecond: 1
}

/** Whether `value`, which a model file may hold, is a clock. */
export function isClock(value: unknown): value is Clock {
  const { unit, origin } = (value ?? {}) as Partial<Record<keyof Clock, unknown>>
  const known = (clockUnits as readonly unknown[]).includes(unit)
  return (
    known &&
    (origin === undefined || (typeof origin === 'string' && readingsOf(origin)[0]?.pattern === 'YYYY-MM-DD'))
  )
}

export function sameClock(one: Clock | undefined, other: Clock | undefined): boolean {
  return one?.unit === other?.unit && one?.origin === other?.origin
}

/** 'days since 2024-01-01' */
export function countedIn({ unit, origin }: Clock): string {
  return `${unit}s${origin === undefined ? '' : ` since ${origin}`}`
}

/** Types that a clock counts. */
export type TimeType = CellType & { kind: 'date' | 'time' | 'timestamp' | 'duration' }

export function isTime(type: CellType): type is TimeType {
  return ['date', 'time', 'timestamp', 'duration'].includes(type.kind)
}

/** What the cells of a type mean: of text, the dates or times that its pattern writes. */
export function meaningOf(type: CellType): CellType {
  return type.kind === 'written' && type.pattern !== undefined ? typeOfPattern(type.pattern) : type
}

/** What a cell of the type counts. */
export function unitOf(type: TimeType): ClockUnit {
  return type.kind === 'date' ? 'day' : type.unit
}

/** How many of `finer` one of `coarser` is; below 1 where it is the other way round. */
export function unitsIn(coarser: ClockUnit, finer: ClockUnit): number {
  return nanoseconds[coarser] / nanoseconds[finer]
}

/** Days from 1970 to the origin. */
function originDays({ origin }: Clock): number {
  return origin === undefined ? 0 : Number(dateParser('YYYY-MM-DD', 'second')(origin) ?? Number.NaN)
}

/** The day that days since 1970 are, for an origin. */
export function dayText(days: number): string {
  return dateText('YYYY-MM-DD', days, { kind: 'date' })
}

/** Cells of a file, of `type`, as numbers of the clock; NaN of cells that are none. `pattern` is that of text. */
export function clockNumber(clock: Clock, type: CellType, pattern?: string): (cell: unknown) => number {
  if (type.kind === 'written' || type.kind === 'text') return textNumber(clock, pattern)
  if (!isTime(type)) return () => Number.NaN
  const unit = unitOf(type)
  const origin = originDays(clock) * unitsIn('day', unit)
  const wide = BigInt(Math.round(origin))
  const [factor, divisor] = [unitsIn(unit, clock.unit), unitsIn(clock.unit, unit)]
  return (cell) => {
    const since =
      typeof cell === 'bigint' ? Number(cell - wide) : typeof cell === 'number' ? cell - origin : Number.NaN
    return factor >= 1 ? since * factor : since / divisor
  }
}

function textNumber(clock: Clock, pattern: string | undefined): (cell: unknown) => number {
  const readers = new Map<string, (text: string) => number>()
  const reader = (one: string) => {
    let read = readers.get(one)
    if (!read) {
      const type = typeOfPattern(one)
      const parse = dateParser(one, type.kind === 'date' ? 'second' : type.unit)
      const toNumber = clockNumber(clock, type)
      read = (text) => toNumber(parse(text))
      readers.set(one, read)
    }
    return read
  }
  return (cell) => {
    if (typeof cell !== 'string') return Number.NaN
    const text = cell.trim()
    const number = pattern === undefined ? Number.NaN : reader(pattern)(text)
    if (!Number.isNaN(number)) return number
    // Another file may write its dates otherwise, where only one way to read them is open.
    const [only, ...others] = readingsOf(text)
    if (!only || others.length > 0 || (pattern !== undefined && isSwapped(only.pattern, pattern)))
      return Number.NaN
    return reader(only.pattern.replace('.f', '.fffffffff'))(text)
  }
}

/**
 * Whether a pattern differs from another in the order of day and month alone: a column of which some cells fit the one by
 * chance must not have the others read by the other.
 */
function isSwapped(one: string, other: string): boolean {
  const start = /^([DM])\1?([-/])[DM]/
  const [some, others] = [start.exec(one), start.exec(other)]
  return some !== null && others !== null && some[2] === others[2] && some[1] !== others[1]
}

/** Numbers of the clock as cells of `type`: whole, bigint where a number does not hold them, or text of a pattern. */
export function clockCell(clock: Clock, type: CellType, pattern?: string): (value: number) => unknown {
  if (pattern !== undefined) {
    const meaning = typeOfPattern(pattern)
    const cell = clockCell(clock, meaning)
    return (value) => dateText(pattern, cell(value) as number | bigint, meaning)
  }
  if (!isTime(type)) return (value) => value
  const unit = unitOf(type)
  const [factor, divisor] = [unitsIn(clock.unit, unit), unitsIn(unit, clock.unit)]
  const origin = originDays(clock) * unitsIn('day', unit)
  const day = unitsIn('day', unit)
  return (value) => {
    let since = factor >= 1 ? Math.round(value * factor) : Math.floor(value / divisor)
    // A day ends where the next one begins.
    if (type.kind === 'time') since = Math.min(Math.max(since, 0), day - 1)
    const count = origin + since
    return Number.isSafeInteger(count) ? count : BigInt(Math.round(origin)) + BigInt(since)
  }
}
