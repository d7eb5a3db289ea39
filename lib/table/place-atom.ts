import { type Atom, isAtom } from '../data/atom'
import { Interval } from '../data/interval'
import type { Column } from '../data/schema'
import { isReal } from '../native/batch'
import { fail } from '../native/check'
import { toNumber } from './read-cell'
import type { TableSource } from './source'

/**
 * Distances on the line in deviations of the other values: from their end to the cut, on to the atom's place, and on to the far end of its
 * noise. A further place would leave a flow a wider gap to learn.
 */
const TO_CUT = 1
const TO_PLACE = 1
const TO_FAR = 2
const SCALE = 0.2

/** A bounded column's deviations on the line beyond which exponentials run out of digits. */
const WIDEST = 4
/** float32 has to tell so many values apart within the noise's scale, and beside an end of the interval. */
const LEAST_STEPS = 1000

/** The columns with places for their atoms, apart from the other values; a pass over the file. */
export async function withAtoms(
  source: TableSource,
  columns: readonly Column[],
  atoms: ReadonlyMap<string, number>
): Promise<Column[]> {
  const wanted = columns.filter(({ name }) => atoms.has(name))
  if (wanted.length === 0) return [...columns]
  for (const column of wanted) refuseOthers(column, atoms.get(column.name)!)
  const seen = new Map(
    wanted.map((column) => [column.name, new OtherValues(column, atoms.get(column.name)!)])
  )
  const places = new Map(source.names.map((name, i) => [name, i]))
  for await (const batch of source.batches())
    for (const [name, others] of seen) {
      const place = places.get(name)!
      if ('columns' in batch) others.add(batch.columns[place]!, 0, 1, batch.count)
      else others.add(batch.matrix, place, source.names.length, batch.count)
    }
  return columns.map((column) => {
    const others = seen.get(column.name)
    return others ? { ...column, atom: others.place(source.path) } : column
  })
}

function refuseOthers({ name, levels, step }: Column, value: number): void {
  const reason = levels
    ? 'holds text, and its levels have probabilities of their own'
    : step !== undefined
      ? 'is dequantised, so that each of its multiples has a probability already'
      : undefined
  if (reason) fail('CONTRADICTORY_OPTIONS', `column '${name}' ${reason}; leave out its atom (${value})`)
}

/** What the rows have that do not stand on the atom. */
class OtherValues {
  readonly #interval: Interval
  #onAtom = 0
  #count = 0
  #mean = 0
  #squares = 0
  #least = Infinity
  #largest = -Infinity

  constructor(
    readonly column: Column,
    readonly value: number
  ) {
    this.#interval = new Interval(column)
  }

  add(cells: ArrayLike<unknown>, start: number, stride: number, count: number): void {
    const { lower, upper } = this.#interval
    const plain = isReal(cells)
    for (let row = 0, at = start; row < count; row++, at += stride) {
      const x = plain ? (cells[at] as number) : toNumber(cells[at])
      if (isAtom(x, this.value)) this.#onAtom++
      // Others are refused, or left out, when they are encoded.
      else if (x > lower && x < upper) this.#add(this.#interval.toLine(x))
    }
  }

  #add(y: number): void {
    if (!Number.isFinite(y)) return
    this.#count++
    const distance = y - this.#mean
    this.#mean += distance / this.#count
    this.#squares += distance * (y - this.#mean)
    this.#least = Math.min(this.#least, y)
    this.#largest = Math.max(this.#largest, y)
  }

  place(path: string): Atom {
    const { column, value } = this
    const where = `${path}, column '${column.name}'`
    if (this.#onAtom + this.#count === 0)
      fail('INVALID_FILE', `${where} holds no numbers; leave out its atom (${value})`)
    if (this.#onAtom === 0)
      fail('INVALID_OPTION', `${where} is nowhere ${value}; name a value that it has, or leave out its atom`)
    const deviation = Math.sqrt(this.#squares / Math.max(1, this.#count - 1))
    if (!(deviation > 0))
      fail(
        'INVALID_FILE',
        `${where} has ${this.#count === 0 ? 'no value' : 'one value'} besides ${value}, which has no density; exclude it`
      )
    const open = column.lower !== undefined || column.upper !== undefined
    const size = open ? Math.min(deviation, WIDEST) : deviation
    const sides = this.#atomIsBelow() ? [-1, 1] : [1, -1]
    for (const side of sides) {
      const end = side < 0 ? this.#least : this.#largest
      const cut = end + side * TO_CUT * size
      const place = cut + side * TO_PLACE * size
      const atom = { value, place, scale: SCALE * size, cut, far: place + side * TO_FAR * size }
      if (this.#isHeld(atom)) return atom
    }
    return fail(
      'INVALID_FILE',
      `${where} has its values where float32 leaves no room beside them for the atom ${value}; subtract a constant from the ` +
        'column, or widen its bounds'
    )
  }

  /** The atom's own side; of one among the others, the side of the shorter tail. */
  #atomIsBelow(): boolean {
    const y = this.#interval.toLine(this.value)
    if (y < this.#least || y > this.#largest) return y < this.#least
    return this.#mean - this.#least <= this.#largest - this.#mean
  }

  #isHeld({ place, scale, cut, far }: Atom): boolean {
    const { lower, upper } = this.#interval
    const steps = (x: number, distance: number) => distance / (2 ** -23 * Math.max(Math.abs(x), 2 ** -120))
    return [place, cut, far].every((y) => {
      const x = this.#interval.fromLine(y)
      const aside = Math.abs(this.#interval.fromLine(y + scale) - x)
      return (
        Math.abs(x) < 2 ** 126 && [aside, x - lower, upper - x].every((one) => steps(x, one) >= LEAST_STEPS)
      )
    })
  }
}
