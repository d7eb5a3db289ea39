import type { Clock } from '../data/clock'
import { decodeColumns } from '../data/decode'
import { type Column, columnWidth } from '../data/schema'

/**
 * A column as people see it: a category is one column of levels, dequantised values are multiples of their step again, and rows on an atom
 * have its value.
 */
export interface Quantity {
  name: string
  /** Numbers, or places of levels; a value a row. */
  data: Float64Array
  samples: Float64Array
  /** The levels of a category. */
  levels?: readonly string[]
  /** How dates and times are numbers. */
  clock?: Clock
  /** What all values are multiples of. */
  step?: number
  /** The value that many rows have exactly. */
  atom?: number
  /** Part of the context, which samples share with the data. */
  given?: boolean
}

/** The columns of data and samples (n, elements), in the order of the elements. */
export function quantitiesOf(
  columns: readonly Column[],
  data: ArrayLike<number>,
  samples: ArrayLike<number>,
  given = false
): Quantity[] {
  // Cells and clocks would make text of numbers.
  const plain = columns.map(({ cells: _, clock: __, ...column }) => column)
  const [ours, theirs] = [samples, data].map((rows) => decodeColumns(plain, rows))
  return columns.map(({ name, type, levels, clock, step, atom }, i) => {
    const numbers = (values: ArrayLike<unknown>) => {
      if (!levels) return Float64Array.from(values as ArrayLike<number>)
      const places = new Map(levels.map((level, place) => [level, place]))
      return Float64Array.from(values as ArrayLike<string>, (level) => places.get(level)!)
    }
    const unit = step ?? (type === 'integer' ? 1 : undefined)
    return {
      name,
      data: numbers(theirs![i]!.values),
      samples: numbers(ours![i]!.values),
      ...(levels && { levels }),
      ...(clock && { clock }),
      ...(unit !== undefined && !levels && { step: unit }),
      ...(atom && { atom: atom.value }),
      ...(given && { given })
    }
  })
}

/** Columns without a table: numbers. */
export function plainColumns(names: readonly string[]): Column[] {
  return names.map((name) => ({ name, type: 'real' }))
}

/** The first columns that take at most `most` elements. */
export function firstColumns(columns: readonly Column[], most: number): Column[] {
  let width = 0
  return columns.filter((column) => {
    width += columnWidth(column)
    return width <= most
  })
}
