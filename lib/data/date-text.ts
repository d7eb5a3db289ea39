import type { CellType, TimeUnit } from './cell-type'

/**
 * Dates and times as text. A pattern says how a column writes them, 'DD.MM.YYYY hh:mm:ss.fff': Y, M, D, h, m, s and f stand for
 * digits, a single M, D or h for one or two, A or a for AM and PM or am and pm, with hours of 1 to 12, Z for 'Z' at the end, and
 * +hh:mm or +hhmm for a distance to UTC.
 */

/** How a text writes a date or a time, with everything that could be meant. */
interface Reading {
  pattern: string
  /** Whole seconds since 1970 or midnight. */
  seconds: number
  /** Digits of the fraction of a second; they may differ from cell to cell. */
  fraction: number
}

const dateOrTime =
  /^(?:(\d{1,4})([-/.])(\d{1,2})\2(\d{1,4}))?(?:(^|[T ])(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(?:( ?)([AP]M|[ap]m)|(Z|[+-]\d{2}:?\d{2}))?)?$/

/** The patterns that a text may follow: two where day and month could be either way round, none where it is no date. */
export function readingsOf(text: string): Reading[] {
  const parts = dateOrTime.exec(text)
  if (!parts || text === '') return []
  const [
    ,
    first,
    separator = '',
    second = '',
    third = '',
    before = '',
    hour,
    ,
    seconds,
    fraction = '',
    space = '',
    half = '',
    zone = ''
  ] = parts
  if (first !== undefined && before === '' && hour !== undefined) return []
  if (first === undefined && zone !== '') return []
  const hours = hour === undefined ? '' : hour.length === 2 ? 'hh' : 'h'
  const clock =
    hour === undefined
      ? ''
      : `${before}${hours}:mm${seconds === undefined ? '' : `:ss${fraction && '.f'}`}${halfPattern(space, half)}${zonePattern(zone)}`
  const found = { fraction: fraction.length }
  if (first === undefined) return check([{ pattern: clock, ...found }], text)
  const digits = (letter: string, part: string) => letter.repeat(part.length)
  const written = (parts: string[]) => ({ pattern: parts.join(separator) + clock, ...found })
  if (first.length === 4 && third.length <= 2)
    return check([written(['YYYY', digits('M', second), digits('D', third)])], text)
  if (first.length > 2 || third.length !== 4) return []
  const dayFirst = written([digits('D', first), digits('M', second), 'YYYY'])
  if (separator === '.') return check([dayFirst], text)
  return check([dayFirst, written([digits('M', first), digits('D', second), 'YYYY'])], text)
}

function halfPattern(space: string, half: string): string {
  return half === '' ? '' : space + (/[AP]/.test(half) ? 'A' : 'a')
}

function zonePattern(zone: string): string {
  return zone === '' || zone === 'Z' ? zone : zone.includes(':') ? '+hh:mm' : '+hhmm'
}

function check(readings: Omit<Reading, 'seconds'>[], text: string): Reading[] {
  return readings.flatMap((reading) => {
    const count = dateParser(reading.pattern, 'second')(text)
    if (count === undefined) return []
    return [{ ...reading, seconds: Number(count) * (reading.pattern.includes('h') ? 1 : DAY) }]
  })
}

/** What a column of such text holds, and how. */
export interface DatePattern {
  pattern: string
  /** The day that the first of them lies on, in days since 1970, and what all are whole multiples of. */
  firstDay: number
  /** The first and the last of them, as the pattern writes them. */
  ends: readonly [string, string]
  unit: 'day' | 'hour' | 'minute' | TimeUnit
  type: CellType & { kind: 'date' | 'time' | 'timestamp' }
}

/** Looks at the texts of a column, one by one: whether all of them are dates or times, and written alike. */
export class DatePatterns {
  /** Those that all texts followed, M, D and h for one or two digits. */
  #alive: ReadonlySet<string> | undefined
  /** Whether every text of a pattern had as many digits as it. */
  readonly #padded = new Map<string, boolean>()
  #fraction = 0
  /** The last digit of a fraction that is not 0. */
  #finest = 0
  readonly #ends = new Map<string, [number, number]>()
  /** Seconds that all times are whole multiples of. */
  #seconds: 86_400 | 3600 | 60 | 1 = DAY

  /** False from the first text on that is none. */
  add(text: string): boolean {
    if (this.#alive?.size === 0) return false
    const readings = readingsOf(text)
    const loose = new Set<string>()
    for (const { pattern, seconds, fraction } of readings) {
      const one = pattern
        .replace('.f', '')
        .replace(/MM(?=[-/.D])|(?<=[-/.])MM|DD|(?<![+])hh/g, (two) => two[0]!)
      loose.add(one)
      const padded = /MM[-/.D]|[-/.]MM|DD|(?<![+])hh/.test(pattern)
      const short = /(?<!M)M(?!M)|(?<!D)D(?!D)|(?<!h)h(?!h)/.test(pattern)
      // A single one of 10 to 31 says nothing about how 1 to 9 are written.
      this.#padded.set(one, (this.#padded.get(one) ?? true) && padded && !short)
      this.#fraction = Math.max(this.#fraction, fraction)
      const [least, largest] = this.#ends.get(one) ?? [Infinity, -Infinity]
      this.#ends.set(one, [Math.min(seconds, least), Math.max(seconds, largest)])
      while (seconds % this.#seconds !== 0) this.#seconds = nextUnit[this.#seconds]
    }
    const [first] = readings
    if (first && first.fraction > this.#finest) {
      const digits = text.slice(text.lastIndexOf('.') + 1).slice(0, first.fraction)
      this.#finest = Math.max(this.#finest, digits.replace(/0+$/, '').length)
    }
    const before = this.#alive
    this.#alive = before ? new Set([...before].filter((one) => loose.has(one))) : loose
    return this.#alive.size > 0
  }

  /** The pattern; several where day and month could be either way round in all texts; none for other text. */
  found(): DatePattern[] {
    return [...(this.#alive ?? [])].map((loose) => {
      let pattern = this.#padded.get(loose)
        ? loose
            .replace(/(?<!M)M(?!M)/, 'MM')
            .replace('D', 'DD')
            .replace(/^(.*?)h(?=:)/, '$1hh')
        : loose
      if (this.#fraction > 0) pattern = pattern.replace(':ss', `:ss.${'f'.repeat(this.#fraction)}`)
      const [least, largest] = this.#ends.get(loose)!
      const firstDay = Math.floor(least / DAY)
      const coarse = pattern.replace(/\.f+/, '')
      const type = typeOfPattern(coarse)
      const text = (seconds: number) => dateText(coarse, type.kind === 'date' ? seconds / DAY : seconds, type)
      const unit = this.#finest > 0 ? unitOfDigits(this.#finest) : namesOfUnits[this.#seconds]
      return {
        pattern,
        firstDay,
        ends: [text(least), text(largest)] as const,
        unit,
        type: typeOfPattern(pattern)
      }
    })
  }
}

function unitOfDigits(digits: number): TimeUnit {
  if (digits === 0) return 'second'
  return digits <= 3 ? 'millisecond' : digits <= 6 ? 'microsecond' : 'nanosecond'
}

export const perSecond = { second: 1, millisecond: 1e3, microsecond: 1e6, nanosecond: 1e9 } as const

const DAY = 86_400
const nextUnit = { 86400: 3600, 3600: 60, 60: 1, 1: 1 } as const
const namesOfUnits = { 86400: 'day', 3600: 'hour', 60: 'minute', 1: 'second' } as const
const digitsOf: Record<string, string> = {
  YYYY: '(\\d{4})',
  MM: '(\\d{2})',
  M: '(\\d{1,2})',
  DD: '(\\d{2})',
  D: '(\\d{1,2})'
}

type DateParser = (text: string) => number | bigint | undefined

const parsers = new Map<string, DateParser>()

/** Texts of a pattern as days since 1970, or as whole units since 1970 or midnight; undefined for other texts. */
export function dateParser(pattern: string, unit: TimeUnit): DateParser {
  const key = `${unit} ${pattern}`
  const known = parsers.get(key)
  if (known) return known
  if (parsers.size > 1000) parsers.clear()
  const parser = makeParser(pattern, unit)
  parsers.set(key, parser)
  return parser
}

function makeParser(pattern: string, unit: TimeUnit): DateParser {
  const order: string[] = []
  const expression = pattern.replace(
    /YYYY|MM?|DD?|hh?(?=:)|mm|ss(?:\.f+)?|\+hh:?mm|Z$|[Aa]$|[^\w]/g,
    (part) => {
      if (part === '+hh:mm' || part === '+hhmm' || part === 'Z') return '(Z|[+-]\\d{2}:?\\d{2})'
      if (part === 'A' || part === 'a') return part === 'A' ? '([AP]M)' : '([ap]m)'
      if (/^[^\w]/.test(part)) return `\\${part}`
      order.push(part[0]!)
      if (part[0] === 's') return '(\\d{2})(?:\\.(\\d{1,9}))?'
      return digitsOf[part] ?? (part === 'h' ? '(\\d{1,2})' : '(\\d{2})')
    }
  )
  const shape = new RegExp(`^${expression}$`)
  const at = (letter: string) => order.indexOf(letter) + 1
  const [year, month, day, hour, minute, second] = ['Y', 'M', 'D', 'h', 'm', 's'].map(at) as [
    number,
    number,
    number,
    number,
    number,
    number
  ]
  const [zoned, halved] = [/Z$|\+hh/.test(pattern), /[Aa]$/.test(pattern)]
  return (text) => {
    const parts = shape.exec(text)
    if (!parts) return undefined
    const part = (place: number) => (place === 0 ? 0 : Number(parts[place]))
    const days = year === 0 ? 0 : daysOf(part(year), part(month), part(day))
    if (days === undefined) return undefined
    if (hour === 0) return days
    const [shown, m, s] = [part(hour), part(minute), part(second)]
    const h = halved ? fullHour(shown, parts.at(-1)!) : shown
    if (h > 23 || m > 59 || s > 59) return undefined
    const offset = zoned ? offsetOf(parts[parts.length - 1]!) : 0
    const whole = DAY * days + 3600 * h + 60 * m + s - 60 * offset
    const fraction = second === 0 ? '' : (parts[second + 1] ?? '')
    return countOf(whole, fraction, unit)
  }
}

/** 12 AM is 0 and 12 PM is 12; hours beyond 12 are none, as those beyond 23. */
function fullHour(hour: number, half: string): number {
  if (hour < 1 || hour > 12) return Infinity
  return (hour % 12) + (half.toLowerCase() === 'pm' ? 12 : 0)
}

function countOf(seconds: number, fraction: string, unit: TimeUnit): number | bigint {
  const factor = perSecond[unit]
  const digits = String(factor).length - 1
  const rest = digits === 0 ? 0 : Number(fraction.slice(0, digits).padEnd(digits, '0'))
  const count = seconds * factor + rest
  return Number.isSafeInteger(count) ? count : BigInt(seconds) * BigInt(factor) + BigInt(rest)
}

function daysOf(year: number, month: number, day: number): number | undefined {
  const date = new Date(Date.UTC(2000, month - 1, day))
  date.setUTCFullYear(year, month - 1, day)
  return month >= 1 && date.getUTCMonth() === month - 1 && date.getUTCDate() === day
    ? date.getTime() / (1000 * DAY)
    : undefined
}

/** Minutes that a zone is ahead of UTC; 0 for zones that are names. */
export function offsetOf(zone: string | undefined): number {
  const [, sign, hours, minutes] = /^([+-])(\d{2}):?(\d{2})$/.exec(zone ?? '') ?? []
  return sign === undefined ? 0 : (sign === '-' ? -1 : 1) * (60 * Number(hours) + Number(minutes))
}

/** A date or time as a pattern writes it. `count` is what `dateParser` gives. */
export function dateText(pattern: string, count: number | bigint, type: DatePattern['type']): string {
  const unit = type.kind === 'date' ? 'second' : type.unit
  const factor = perSecond[unit]
  const offset = type.kind === 'timestamp' ? offsetOf(type.zone) : 0
  const [seconds, rest] = divided(type.kind === 'date' ? Number(count) * DAY : count, factor)
  const date = new Date(1000 * (seconds + 60 * offset))
  const digits = (value: number, length: number) => String(value).padStart(length, '0')
  const fraction = String(rest).padStart(String(factor).length - 1, '0')
  const hour = date.getUTCHours()
  const halved = /[Aa]$/.test(pattern)
  return pattern.replace(/YYYY|MM?|DD?|\+hh:?mm|hh?(?=:)|mm|ss|f+|[Aa]$/g, (part) => {
    if (part === 'YYYY') return digits(date.getUTCFullYear(), 4)
    if (part[0] === 'M') return digits(date.getUTCMonth() + 1, part.length)
    if (part[0] === 'D') return digits(date.getUTCDate(), part.length)
    if (part === 'A') return hour < 12 ? 'AM' : 'PM'
    if (part === 'a') return hour < 12 ? 'am' : 'pm'
    if (part[0] === 'h') return digits(halved ? hour % 12 || 12 : hour, part.length)
    if (part === 'mm') return digits(date.getUTCMinutes(), 2)
    if (part === 'ss') return digits(date.getUTCSeconds(), 2)
    if (part[0] === 'f') return fraction.padEnd(part.length, '0').slice(0, part.length)
    const size = Math.abs(offset)
    const sign = offset < 0 ? '-' : '+'
    return `${sign}${digits(Math.floor(size / 60), 2)}${part === '+hh:mm' ? ':' : ''}${digits(size % 60, 2)}`
  })
}

/** Whole seconds, and what is left of a count of `factor` a second. */
function divided(count: number | bigint, factor: number): [seconds: number, rest: number] {
  if (typeof count === 'number') {
    const seconds = Math.floor(count / factor)
    return [seconds, count - seconds * factor]
  }
  const wide = BigInt(factor)
  const rest = ((count % wide) + wide) % wide
  return [Number((count - rest) / wide), Number(rest)]
}

/** How a date or a time of a file that is no text is written in one: 2024-05-31, 2024-05-31T12:30:00.125Z. */
export function standardPattern(type: DatePattern['type']): string {
  if (type.kind === 'date') return 'YYYY-MM-DD'
  const digits = String(perSecond[type.unit]).length - 1
  const clock = `hh:mm:ss${digits > 0 ? `.${'f'.repeat(digits)}` : ''}`
  if (type.kind === 'time') return clock
  const zone = type.zone === undefined ? '' : offsetOf(type.zone) === 0 ? 'Z' : '+hh:mm'
  return `YYYY-MM-DDT${clock}${zone}`
}

/** What text of a pattern holds, fractions of a second by the digits that the pattern gives them. */
export function typeOfPattern(pattern: string): DatePattern['type'] {
  const unit = unitOfDigits(/f*$/.exec(pattern.replace(/(Z|\+hh:?mm| ?[Aa])$/, ''))![0].length)
  if (!pattern.includes('Y')) return { kind: 'time', unit }
  if (!pattern.includes('h')) return { kind: 'date' }
  return { kind: 'timestamp', unit, ...(/Z$|\+hh/.test(pattern) && { zone: 'UTC' }) }
}
