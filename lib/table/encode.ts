import { isAtom } from '../data/atom'
import { type CellType, written } from '../data/cell-type'
import { atomOf } from '../data/cells'
import { clockCell, isTime } from '../data/clock'
import { dateText, standardPattern } from '../data/date-text'
import { type Column, columnWidth, tableWidth } from '../data/schema'
import { isReal } from '../native/batch'
import { FfjordError } from '../native/errors'
import { notationOf } from './notation'
import { isDateText, isInexact, isMissing, levelOf, numberReader, toNumber } from './read-cell'
import type { CellBatch, RowRange, TableSource } from './source'

/** Rows of a batch as elements of samples, and which of them could be used. */
export interface Encoded {
  /** (kept.length, width) */
  values: Float64Array | Float32Array
  /** Indices within the batch. */
  kept: Uint32Array
}

export interface EncoderOptions {
  /** Leave rows out that cannot be used, in place of an error. */
  drop: boolean
  /** What happens to rows with missing cells; default: as `drop` says. */
  missing?: 'refuse' | 'drop' | 'fill'
  /** Refuse values that break the column's type or step. */
  strict?: boolean
  /** Columns of whole numbers will be dequantised, so that they may stand on the lower end of their interval. */
  dequantizeWhole?: boolean
  /** Keep values outside of their column's interval, in place of an error. */
  outside?: 'refuse' | 'keep'
  /** Default: 'auto', see needsFloat64. */
  precision?: 'auto' | 'float32' | 'float64'
}

/** Turns cells into numbers, and checks each: finite, within the column's interval, of a known level. */
export class RowEncoder {
  readonly width: number
  /** Whether all values of a column so far were whole. */
  readonly whole: boolean[]
  /** The first row of each column that stands on its lower end. */
  readonly #onEnd: (number | undefined)[] = []
  /** Rows of the batches that were left out. */
  unusable = 0
  /** Rows of those that were left out because cells are missing. */
  missing = 0
  /** Whether values came that float32 does not hold, as `holdsFloat32` and `float32Resolves` have it. */
  needsFloat64: boolean
  readonly #indices: number[]

  constructor(
    readonly source: TableSource,
    readonly columns: readonly Column[],
    readonly options: EncoderOptions
  ) {
    this.width = tableWidth(columns)
    this.needsFloat64 = options.precision === 'float64'
    this.whole = columns.map(() => true)
    const places = new Map(source.names.map((name, i) => [name, i]))
    this.#indices = columns.map(({ name }) => places.get(name) ?? -1)
  }

  /** Rows of the file that were left out: unusable ones, and those that the source put into no batch. */
  get dropped(): number {
    return this.unusable + (this.source.ragged ?? 0)
  }

  /** The rows of the file, or of a part of it, as `encode` takes them: levels are told apart as they are written. */
  batches(range?: RowRange): AsyncIterable<CellBatch> {
    return this.source.batches({ asText: this.columns.some(({ levels }) => levels !== undefined), range })
  }

  /** `first` is the number of the batch's first row in the file. From the first value on that needs it, in float64. */
  encode(batch: CellBatch, first: number): Encoded {
    const { count } = batch
    const { precision } = this.options
    const kind = precision === 'float32' ? Float32Array : Float64Array
    const values = new kind(count * this.width)
    const bad = new Uint8Array(count)
    let offset = 0
    this.columns.forEach((column, c) => {
      const cells = this.#cells(batch, c)
      const { levels } = column
      if (levels) this.#encodeLevels(c, levels, cells, values, offset, bad, first)
      else this.#encodeNumbers(c, cells, values, offset, bad, first)
      offset += columnWidth(column)
    })
    const { values: numbers, kept } = this.#keep(values, bad)
    return {
      values: this.needsFloat64 || precision === 'float32' ? numbers : Float32Array.from(numbers),
      kept
    }
  }

  /** The cells of a column, `stride` apart. */
  #cells(batch: CellBatch, c: number): { cells: ArrayLike<unknown>; stride: number; start: number } {
    const index = this.#indices[c]!
    if ('columns' in batch) return { cells: batch.columns[index]!, stride: 1, start: 0 }
    return { cells: batch.matrix, stride: this.source.names.length, start: index }
  }

  #encodeNumbers(
    c: number,
    { cells, stride, start }: { cells: ArrayLike<unknown>; stride: number; start: number },
    values: Float64Array | Float32Array,
    offset: number,
    bad: Uint8Array,
    first: number
  ): void {
    const { lower = -Infinity, upper = Infinity, step, fill } = this.columns[c]!
    const number = numberReader(this.columns[c]!, this.#typeOf(c))
    const filling = this.options.missing === 'fill' && typeof fill === 'number'
    const atom = atomOf(this.columns[c]!)
    const { width } = this
    const keepsOutside = this.options.outside === 'keep'
    const watches = !this.needsFloat64 && this.options.precision !== 'float32'
    let holds = true
    let [lowest, highest] = [Infinity, -Infinity]
    const grid = this.options.strict ? step : undefined
    const closed = step !== undefined || (this.options.dequantizeWhole ?? false)
    let whole = this.whole[c]!
    const plain = isReal(cells) && number === toNumber && !filling
    // Beyond it a value would be stored as infinite.
    const largest = this.options.precision === 'float64' ? Number.MAX_VALUE : LARGEST_FLOAT32
    for (let row = 0, at = offset, from = start; row < bad.length; row++, at += width, from += stride) {
      const cell = cells[from]
      const value = plain ? (cell as number) : filling && isMissing(cell) ? fill : number(cell)
      if (atom && isAtom(value, atom.atom.value)) {
        if (whole && Math.floor(value) !== value) whole = false
        values[at] = atom.marker
        continue
      }
      // This is false for NaN and the infinities, too. A dequantised value may stand on the lower end.
      const inside = value > lower || (closed && value === lower && value > -Infinity)
      if (value === lower && inside) this.#onEnd[c] ??= first + row
      const usable = keepsOutside
        ? Math.abs(value) <= largest
        : inside && value < upper && Math.abs(value) <= largest
      if (!usable || (!plain && number === toNumber && isInexact(cell)))
        this.#refuse(c, row, first, cell, bad)
      else if (grid !== undefined && !isMultiple(value, grid)) this.#refuse(c, row, first, cell, bad)
      else if (inside && value < upper && atom?.beyondCut(value)) this.#refuse(c, row, first, cell, bad)
      else if (whole && Math.floor(value) !== value) whole = false
      values[at] = value
      if (!watches || bad[row]) continue
      if (value < lowest) lowest = value
      if (value > highest) highest = value
      if (holds && Math.fround(value) !== value) holds = holdsFloat32(value)
    }
    this.whole[c] = whole
    const finest = step ?? (whole && this.options.dequantizeWhole ? 1 : undefined)
    if (watches && !(holds && float32Resolves(lowest, highest, finest))) this.needsFloat64 = true
  }

  #typeOf(c: number): CellType {
    return this.source.types[this.#indices[c]!] ?? written
  }

  #encodeLevels(
    c: number,
    names: readonly string[],
    { cells, stride, start }: { cells: ArrayLike<unknown>; stride: number; start: number },
    values: Float64Array | Float32Array,
    offset: number,
    bad: Uint8Array,
    first: number
  ): void {
    const levels = new Map(names.map((level, i) => [level, i]))
    const isBoolean = this.#typeOf(c).kind === 'boolean'
    // True, true and a file's own booleans are one.
    const truths = names.every((name) => /^(true|false)$/i.test(name))
    if (truths) for (const [i, name] of names.entries()) levels.set(name.toLowerCase(), i)
    const { fill } = this.columns[c]!
    const filled = this.options.missing === 'fill' && typeof fill === 'string' ? fill : undefined
    for (let row = 0; row < bad.length; row++) {
      const cell = cells[start + row * stride]
      const found = levelOf(cell, isBoolean) ?? filled ?? ''
      const level = levels.get(found) ?? (truths ? levels.get(found.toLowerCase()) : undefined)
      if (level === undefined) this.#refuse(c, row, first, cell, bad)
      else values[row * this.width + offset + level] = 1
    }
  }

  /** Refuses a column that stands on its lower end, and turned out not to be whole. */
  checkEnds(columns: readonly Column[]): void {
    for (const [c, { step, lower }] of columns.entries()) {
      const row = this.#onEnd[c]
      if (row !== undefined && step === undefined) this.#fail(c, row, lower, '; widen its bounds a little')
    }
  }

  #refuse(c: number, row: number, first: number, cell: unknown, bad: Uint8Array): void {
    const { drop, missing = drop ? 'drop' : 'refuse' } = this.options
    const nothing = isMissing(cell)
    if (nothing ? missing === 'drop' : drop) {
      bad[row] = nothing && bad[row] !== BROKEN ? MISSING : BROKEN
      return
    }
    const key = nothing && this.options.missing ? 'missing' : 'invalid'
    this.#fail(c, first + row, cell, `, or leave such rows out with ${key}: 'drop'`)
  }

  #fail(c: number, row: number, cell: unknown, remedy: string): never {
    const { path } = this.source
    const column = this.columns[c]!
    const place = `${path}, ${this.source.place(row)}, column ${this.#indices[c]! + 1} ('${column.name}')`
    throw new FfjordError('INVALID_FILE', `${place}: ${complaint(column, cell)}${remedy}`)
  }

  #keep(values: Float64Array | Float32Array, bad: Uint8Array): Encoded {
    const kept = new Uint32Array(bad.length)
    let count = 0
    for (let row = 0; row < bad.length; row++) {
      if (bad[row]) {
        if (bad[row] === MISSING) this.missing++
        continue
      }
      if (count < row) values.copyWithin(count * this.width, row * this.width, (row + 1) * this.width)
      kept[count++] = row
    }
    this.unusable += bad.length - count
    return { values: values.subarray(0, count * this.width), kept: kept.subarray(0, count) }
  }
}

/** Why a row cannot be used. */
const [MISSING, BROKEN] = [1, 2]

/** Steps of a ten-thousandth: prices in cents and the like. */
const FINEST_DECIMAL = 1e4

/**
 * Whether float32 tells a number from its neighbours: a whole number, or one of up to four digits after the point, which
 * keeps its digits.
 */
function holdsFloat32(value: number): boolean {
  const scaled = value * FINEST_DECIMAL
  const digits = Math.round(scaled)
  if (Math.abs(scaled - digits) > 4 * Number.EPSILON * Math.abs(scaled)) return true // no such decimal
  return Math.round(Math.fround(value) * FINEST_DECIMAL) === digits
}

/**
 * Whether float32 resolves a column that reaches from `lowest` to `highest`: its last digit is less than a millionth of
 * what the column varies by, and less than a hundredth of the step that noise fills.
 */
function float32Resolves(lowest: number, highest: number, step: number | undefined): boolean {
  const unit = Math.max(Math.abs(lowest), Math.abs(highest)) * 2 ** -24
  if (!(highest > lowest)) return true
  return unit < 1e-6 * (highest - lowest) && (step === undefined || unit < 0.01 * step)
}

const LARGEST_FLOAT32 = (2 - 2 ** -23) * 2 ** 127

/** What is wrong with a cell, and what to do. */
function complaint(column: Column, cell: unknown): string {
  const { name, lower, upper, levels, step, clock, cells = written } = column
  const shown = typeof cell === 'string' ? `'${cell.slice(0, 40)}'` : cellInWords(cells, cell)
  if (isMissing(cell)) return 'the value is missing; fill it'
  if (levels) return `${shown} is no level that training saw (${levels.slice(0, 8).join(', ')}); correct it`
  const value = toNumber(cell)
  if (isInexact(cell))
    return `${shown} is a whole number beyond 2⁵³, which float64 does not hold exactly; leave an id out (exclude: ['${name}']), or take it in other units`
  if (/^\s*[+-]?inf(inity)?\s*$/i.test(String(cell))) return `${shown} is no finite number; correct it`
  const pattern = column.clock && column.cells?.kind === 'written' ? column.cells.pattern : undefined
  if (pattern !== undefined && Number.isNaN(numberReader(column, written)(cell)))
    return `${shown} is none of the column's dates or times, ${pattern}; write it so`
  const end = (value: number | undefined, none: string) =>
    value === undefined ? none : endText(column, value)
  const interval = `(${end(lower, '−∞')}, ${end(upper, '∞')})`
  const outside = `${shown} lies outside the column's interval ${interval}; widen it (bounds), or dequantise the column where the end itself occurs`
  if (clock && (lower !== undefined || upper !== undefined)) return outside
  if (isDateText(String(cell)))
    return `${shown} is a date; give what may matter as numbers (days since a first day, month, hour), or leave the column out (exclude: ['${name}'])`
  if (Number.isNaN(value))
    return `${shown} is no number; ${otherwise(cell)}leave the column out (exclude: ['${name}']), encode it (categorical: 'one-hot')`
  if (!Number.isFinite(value)) return `${shown} is no finite number; correct it`
  if (Math.abs(value) > LARGEST_FLOAT32)
    return `${shown} is more than float32 holds (3.4e38); take it in other units`
  if (step !== undefined && !isMultiple(value, step))
    return `${shown} is no multiple of ${step}, and the training data were; correct it`
  const atom = value > (lower ?? -Infinity) && value < (upper ?? Infinity) ? atomOf(column) : undefined
  if (atom)
    return `${shown} lies beyond all values that training saw, where the model keeps the atom ${atom.atom.value}; correct it`
  return outside
}

/** An end of a column's interval, of dates and times as the file writes them. */
function endText({ clock, cells = written }: Column, value: number): string {
  if (!clock) return String(value)
  return cellInWords(
    cells,
    clockCell(clock, cells, cells.kind === 'written' ? cells.pattern : undefined)(value)
  )
}

function cellInWords(type: CellType, cell: unknown): string {
  const isDate = isTime(type) && type.kind !== 'duration' && !isMissing(cell)
  return isDate ? dateText(standardPattern(type), cell as number | bigint, type) : String(cell)
}

/** The notation in which a cell is a number. */
function otherwise(cell: unknown): string {
  const notation = typeof cell === 'string' ? notationOf([cell]) : undefined
  return notation === undefined ? '' : `with ${notation} it is one; otherwise `
}

function isMultiple(value: number, step: number): boolean {
  const quotient = value / step
  return Math.abs(quotient - Math.round(quotient)) < 1e-6 * Math.max(1, Math.abs(quotient))
}
