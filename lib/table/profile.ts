import type { CellType } from '../data/cell-type'
import {
  type Clock,
  type ClockUnit,
  clockUnits,
  dayText,
  isTime,
  type TimeType,
  unitOf,
  unitsIn
} from '../data/clock'
import { DatePatterns } from '../data/date-text'
import { countDigits, noDigits, POWER, type WrittenDigits } from './numbers'
import { isDateText, isInexact, isMissing, levelOf, toNumber } from './read-cell'
import type { CellBatch, TableSource } from './source'

/** Most levels of a category: each takes an element of a sample. */
export const MOST_LEVELS = 64

/** Rows whose cells are kept, spread over all: at least so many, where there are, and at most twice as many. */
const KEPT_ROWS = 10_000
const KEPT_CELLS = 2 ** 22
const LEAST_KEPT = 20

/** What a column of a file was found to hold, in all of its rows. */
export interface ColumnProfile {
  name: string
  type: CellType
  /** What the cells are: numbers that may be whole, or text of which some cells may be numbers. */
  holds: 'numbers' | 'text' | 'booleans' | 'times' | 'nothing' | 'other'
  missing: number
  /** Cells that are numbers, and the others that are there. */
  numbers: number
  texts: number
  /** Numbers that are not finite. */
  infinite: number
  /** The first cell of text or an infinity among numbers. */
  firstText?: string
  firstTextRow?: number
  /** Whether all cells of text are alike. */
  oneText: boolean
  whole: boolean
  /** Digits after the point that all numbers have at most; undefined where they are more than a few. */
  digits?: number
  /** Digits after the point that every number of a text table is written with, zeros at the end counted. */
  fixed?: number
  /** Whether numbers have zeros in front, as codes have, and how many digits all of these whole numbers have then. */
  padded: boolean
  width?: number
  /** Whole numbers that float64 does not hold, such as ids of 19 digits. */
  inexact: boolean
  /** Whether there were numbers of a text table of which the pass did not see the text. */
  bare: boolean
  least: number
  largest: number
  /** The different cells of text and booleans, in order, up to one more than a category may have, and how many there are of each. */
  levels: ReadonlyMap<string, number>
  /** How times are numbers. */
  clock?: Clock
  /** How text writes dates, and whether day and month could be either way round. */
  pattern?: string
  ends?: readonly [string, string]
  ambiguous?: readonly string[]
}

/** A pass over a file, and what it found. */
export interface TableProfile {
  rows: number
  columns: readonly ColumnProfile[]
  /** Cells of rows spread over all, by columns in the file's order, and the numbers of these rows. */
  sample: { cells: readonly (readonly unknown[])[]; numbers: readonly number[] }
}

/** Reads all rows of a file once, whatever they hold. `dayFirst` decides where day and month could be either way round. */
export async function profileTable(source: TableSource, dayFirst?: boolean): Promise<TableProfile> {
  const profile = await passOver(source, dayFirst, false)
  // Numbers among text are levels as they are written, which pieces of numbers alone do not show.
  const mixed = profile.columns.some(({ bare, texts }) => bare && texts > 0)
  return mixed ? passOver(source, dayFirst, true) : profile
}

async function passOver(source: TableSource, dayFirst: boolean | undefined, asText: boolean) {
  const columns = source.types.map((type, c) => new CellStatistics(source.names[c]!, type))
  const sample = new RowSample(columns.length)
  let rows = 0
  for await (const batch of source.batches({ asText })) {
    columns.forEach((column, c) => {
      if ('columns' in batch) column.add(batch.columns[c]!, 0, 1, batch.count)
      else column.add(batch.matrix, c, columns.length, batch.count)
      if ('matrix' in batch && batch.digits) column.addDigits(batch.digits, c)
    })
    sample.add(batch, rows)
    rows += batch.count
  }
  return { rows, columns: columns.map((column) => column.found(dayFirst)), sample: sample.taken() }
}

/** What the cells of a column were so far. */
class CellStatistics {
  #missing = 0
  #numbers = 0
  /** Whether there were numbers of which nobody says how they are written. */
  #bare = false
  readonly #written = noDigits(1)
  #texts = 0
  #infinite = 0
  #firstText: string | undefined
  #firstTextRow = 0
  #oneText = true
  #rows = 0
  #whole = true
  #inexact = false
  #digits = 0
  #least = Infinity
  #largest = -Infinity
  readonly #levels = new Map<string, number>()
  readonly #dates = new DatePatterns()
  #isDate = true
  /** The unit that all cells of times are whole multiples of, and their ends, in the unit of the file. */
  #unit = 0
  #ends: [number, number] = [Infinity, -Infinity]

  constructor(
    readonly name: string,
    readonly type: CellType
  ) {}

  add(cells: ArrayLike<unknown>, start: number, stride: number, count: number): void {
    const { type } = this
    const before = this.#texts + this.#infinite
    for (let i = 0, at = start; i < count; i++, at += stride) {
      const cell = cells[at]
      if (typeof cell === 'number' && (type.kind === 'number' || type.kind === 'written')) {
        if (Number.isNaN(cell)) this.#missing++
        else {
          this.#addNumber(cell)
          if (type.kind === 'written') {
            this.#bare = true
            if (this.#levels.size <= MOST_LEVELS) this.#addLevel(String(cell))
          }
        }
      } else if (isMissing(cell)) this.#missing++
      else if (isTime(type)) this.#addTime(cell as number | bigint, type)
      else if (type.kind === 'other') this.#texts++
      else if (type.kind === 'boolean' || type.kind === 'text')
        this.#addText(levelOf(cell, type.kind === 'boolean')!)
      else {
        const value = toNumber(cell)
        if (isInexact(cell)) this.#inexact = true
        if (typeof cell === 'boolean' || Number.isNaN(value)) this.#addText(levelOf(cell)!)
        else {
          this.#addNumber(value, cell)
          // Among text, a number is a level as it is written.
          if (typeof cell === 'string') {
            this.#addLevel(cell.trim())
            this.#addWritten(cell.trim())
          }
        }
      }
      if (before === 0 && this.#texts + this.#infinite === 1 && this.#firstTextRow === 0)
        this.#firstTextRow = this.#rows + i + 1
    }
    this.#rows += count
  }

  addDigits({ fewest, most, shortest, longest, padded }: WrittenDigits, c: number): void {
    countDigits(this.#written, 0, fewest[c]!, shortest[c]!, padded[c] === 1)
    countDigits(this.#written, 0, most[c]!, longest[c]!, padded[c] === 1)
  }

  #addWritten(text: string): void {
    const [, whole = '', , fraction = '', power] = /^[+-]?(\d*)(\.(\d*))?([a-z].*)?$/i.exec(text) ?? []
    const after = power === undefined ? Math.min(fraction.length, POWER - 1) : POWER
    countDigits(this.#written, 0, after, Math.min(whole.length, POWER), /^0\d/.test(whole))
  }

  #addNumber(value: number, cell: unknown = value): void {
    if (Math.abs(value) === Infinity) {
      this.#infinite++
      this.#firstText ??= String(cell).trim()
      return
    }
    this.#numbers++
    if (value < this.#least) this.#least = value
    if (value > this.#largest) this.#largest = value
    if (this.#whole && Math.floor(value) !== value) this.#whole = false
    while (this.#digits <= MOST_DIGITS && !hasDigits(value, this.#digits)) this.#digits++
  }

  #addLevel(level: string): void {
    const count = this.#levels.get(level)
    if (count !== undefined || this.#levels.size <= MOST_LEVELS) this.#levels.set(level, (count ?? 0) + 1)
  }

  #addText(text: string): void {
    this.#texts++
    this.#firstText ??= text
    if (text !== this.#firstText) this.#oneText = false
    this.#addLevel(text)
    if (this.#isDate && this.type.kind !== 'boolean') this.#isDate = this.#dates.add(text)
  }

  #addTime(cell: number | bigint, type: TimeType): void {
    this.#numbers++
    const value = Number(cell)
    if (value < this.#ends[0]) this.#ends[0] = value
    if (value > this.#ends[1]) this.#ends[1] = value
    const unit = unitOf(type)
    while (clockUnits[this.#unit] !== unit) {
      const size = unitsIn(clockUnits[this.#unit]!, unit)
      if (typeof cell === 'bigint' ? cell % BigInt(size) === 0n : cell % size === 0) break
      this.#unit++
    }
  }

  #fixed(): Pick<ColumnProfile, 'fixed' | 'width' | 'padded'> {
    const { fewest, most, shortest, longest } = this.#written
    const padded = this.#written.padded[0] === 1
    const [after, width] = [most[0]!, longest[0]!]
    const isFixed = fewest[0] === after && after <= MOST_FIXED
    const isWide = shortest[0] === width && width <= MOST_FIXED
    return {
      padded,
      ...(isFixed && after > 0 && { fixed: after }),
      ...(padded && isFixed && isWide && after === 0 && { width })
    }
  }

  found(dayFirst: boolean | undefined): ColumnProfile {
    const common = {
      name: this.name,
      type: this.type,
      missing: this.#missing,
      numbers: this.#numbers,
      texts: this.#texts,
      infinite: this.#infinite,
      ...(this.#firstText !== undefined && {
        firstText: this.#firstText,
        firstTextRow: this.#firstTextRow - 1
      }),
      oneText: this.#oneText,
      whole: this.#whole,
      ...(this.#digits <= MOST_DIGITS && { digits: this.#digits }),
      ...this.#fixed(),
      bare: this.#bare,
      inexact: this.#inexact,
      least: this.#least,
      largest: this.#largest,
      levels: new Map([...this.#levels].sort(([a], [b]) => (a < b ? -1 : 1)))
    }
    if (this.#numbers + this.#texts + this.#infinite === 0) return { ...common, holds: 'nothing' }
    const { type } = this
    if (type.kind === 'other') return { ...common, holds: 'other' }
    if (type.kind === 'boolean') return { ...common, holds: 'booleans' }
    if (isTime(type)) {
      const clock = clockOf(clockUnits[this.#unit]!, type, this.#ends)
      const [least, largest] = this.#ends
      return { ...common, holds: 'times', clock, least, largest }
    }
    if (this.#texts > 0 && this.#numbers === 0 && this.#isDate) {
      const open = this.#dates.found()
      const wanted = open.filter(
        ({ pattern }) => dayFirst === undefined || pattern.startsWith('D') === dayFirst
      )
      const [only, ...others] = open.length > 1 ? wanted : open
      if (!only || others.length > 0)
        return { ...common, holds: 'text', ambiguous: open.map(({ pattern }) => pattern) }
      const { pattern, unit, firstDay, ends, type } = only
      const clock: Clock = type.kind === 'time' ? { unit } : { unit, origin: dayText(firstDay) }
      return { ...common, holds: 'times', clock, pattern, ends }
    }
    return { ...common, holds: this.#texts > 0 ? 'text' : 'numbers' }
  }
}

/** Numbers in text count as written with a fixed number of digits up to this many. */
const MOST_DIGITS = 6
/** Where all numbers have as many, up to what float64 holds. */
const MOST_FIXED = 15

function hasDigits(value: number, digits: number): boolean {
  const scaled = value * 10 ** digits
  return Math.abs(scaled - Math.round(scaled)) <= 4 * Number.EPSILON * Math.abs(scaled)
}

/** A clock for times between two ends, in their own unit. Nanoseconds of more than a hundred days are counted in µs. */
function clockOf(unit: ClockUnit, type: TimeType, [least, largest]: [number, number]): Clock {
  const own = unitOf(type)
  const tooLong = (largest - least) * unitsIn(own, unit) > Number.MAX_SAFE_INTEGER
  const counted = tooLong ? 'microsecond' : unit
  if (type.kind === 'time' || type.kind === 'duration') return { unit: counted }
  return { unit: counted, origin: dayText(Math.floor(least / unitsIn('day', own))) }
}

/** Rows spread evenly over a file of which nobody knows how many it has. */
class RowSample {
  readonly #most: number
  #stride = 1
  #numbers: number[] = []
  #cells: unknown[][]

  constructor(columns: number) {
    this.#most = 2 * Math.max(LEAST_KEPT, Math.min(KEPT_ROWS, Math.floor(KEPT_CELLS / columns)))
    this.#cells = Array.from({ length: columns }, () => [])
  }

  add(batch: CellBatch, first: number): void {
    const next = (row: number) => Math.ceil((first + row) / this.#stride) * this.#stride - first
    for (let row = next(0); row < batch.count; row = next(row + 1)) {
      if (this.#numbers.length === this.#most) {
        this.#thin()
        row = next(row)
        if (row >= batch.count) return
      }
      this.#numbers.push(first + row)
      this.#cells.forEach((cells, c) => {
        cells.push('columns' in batch ? batch.columns[c]![row] : batch.matrix[row * this.#cells.length + c])
      })
    }
  }

  #thin(): void {
    this.#stride *= 2
    const even = <T>(all: T[]) => all.filter((_, i) => i % 2 === 0)
    this.#numbers = even(this.#numbers)
    this.#cells = this.#cells.map(even)
  }

  taken() {
    return { cells: this.#cells, numbers: this.#numbers }
  }
}

/** Whether a column holds numbers, but for some cells: as a category it would have too many levels. */
export function hasBrokenNumbers({ holds, numbers, texts, infinite, levels }: ColumnProfile): boolean {
  if (holds === 'numbers') return infinite > 0
  return texts > 0 && texts < numbers && (levels.size > MOST_LEVELS || 2 * levels.size > numbers + texts)
}

/** What a column of text holds that looks like dates, though they are not read: in words, with what to do. */
export function datesInText({ firstText = '', levels }: ColumnProfile): string | undefined {
  const all = [...levels.keys()]
  if (all.every((text) => shortYear.test(text)))
    return 'dates whose years have two digits, of whatever century; write them with four'
  if (all.every((text) => namedMonth.test(text)))
    return 'dates with names of months; write them as 2024-05-31'
  return isDateText(firstText)
    ? 'dates as text that are not all written alike; write them as 2024-05-31'
    : undefined
}

const shortYear = /^\d{1,2}([-/.])\d{1,2}\1\d{2}([T ].*)?$/
const namedMonth =
  /^(\w{3,9}\.?,? )?(\d{1,2}\.?[- ])?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?[- ](\d{1,2},? ?)?(\d{4}|\d{2})?([T ].*)?$/i
