import { types } from 'node:util'
import { fail } from '../native/check'
import { AtomCell } from './atom'
import type { CellType } from './cell-type'
import { cellOf, isPlain } from './cell-values'
import { type Column, checkColumns, columnWidth, numbersOf, tableWidth } from './schema'

/** Samples as cells of a table. */

/** Decoded samples: numbers, or level names, under the column's name. */
export interface NamedColumn {
  name: string
  values: ArrayLike<unknown>
  /** All values are whole, as those of the training data were. */
  whole?: boolean
  /** What the values are cells of, where the file says so. */
  cells?: CellType
}

/**
 * Samples (n, width) as columns of the kind they were learnt from: dequantised values go back to their multiple,
 * integers are whole, a category is the level of its largest element. Real columns keep the precision of the samples;
 * the others are float64, which holds whole numbers up to 2⁵³. Where the file says what its cells mean (`cells`), values are
 * such cells: booleans, decimals as text, dates as whole days since 1970, or text as the file writes it.
 */
export function decodeColumns(columns: readonly Column[], samples: ArrayLike<number>): NamedColumn[] {
  const checked = checkColumns(columns, 'columns')
  const values = numbersOf(samples, 'samples')
  const width = tableWidth(checked)
  const count = values.length / width
  if (!Number.isInteger(count) || count === 0)
    fail('INVALID_SHAPE', `samples holds ${values.length} numbers; these columns take ${width} a row`)
  const kind = types.isFloat64Array(values) ? Float64Array : Float32Array
  let offset = 0
  return checked.map((column) => {
    const first = offset
    offset += columnWidth(column)
    const at = (row: number, i = 0) => values[row * width + first + i]!
    return {
      name: column.name,
      values: column.levels
        ? levelsOf(column, column.levels, count, at)
        : decodedCells(column, count, at, kind),
      ...(column.type === 'integer' && !column.clock && { whole: true }),
      ...(column.cells && { cells: column.cells })
    }
  })
}

function levelsOf(
  { cells }: Column,
  levels: readonly string[],
  count: number,
  at: (row: number, i: number) => number
): unknown[] {
  const cell = (level: string) => (cells?.kind === 'boolean' ? level === 'true' : level)
  return Array.from({ length: count }, (_, row) => {
    let best = 0
    for (let i = 1; i < levels.length; i++) if (at(row, i) > at(row, best)) best = i
    return cell(levels[best]!)
  })
}

function decodedCells(
  column: Column,
  count: number,
  at: (row: number) => number,
  kind: Float32ArrayConstructor | Float64ArrayConstructor
): ArrayLike<unknown> {
  const numbers = decodedNumbers(column, count, at, kind)
  if (isPlain(column)) return numbers
  const cell = cellOf(column)
  return column.cells?.kind === 'number' || (column.cells?.kind === 'written' && !column.clock)
    ? Float64Array.from(numbers, cell as (value: number) => number)
    : Array.from(numbers, cell)
}

function decodedNumbers(
  column: Column,
  count: number,
  at: (row: number) => number,
  kind: Float32ArrayConstructor | Float64ArrayConstructor
): ArrayLike<number> {
  const { type, step } = column
  const atom = column.atom && new AtomCell(column.atom, column)
  if (step === undefined && type === 'real') {
    const values = new kind(count)
    for (let row = 0; row < count; row++) values[row] = atom?.beyondCut(at(row)) ? atom.atom.value : at(row)
    return values
  }
  const multiple = multiples(step ?? 1)
  return Float64Array.from({ length: count }, (_, row) => {
    const value = at(row)
    if (atom?.beyondCut(value)) return atom.atom.value
    const found = step === undefined ? Math.round(value) : multiple(Math.floor(value / step))
    return found + 0 // no −0
  })
}

/** k → k step, with the digits that the step has after the point: 3 × 0.4 is 1.2, not 1.2000000000000002. */
function multiples(step: number): (k: number) => number {
  const [, fraction = '', exponent = '0'] = /^\d+(?:\.(\d+))?(?:e([+-]\d+))?$/.exec(String(step)) ?? []
  const digits = Math.max(0, fraction.length - Number(exponent))
  if (digits === 0 || digits > 100) return (k) => k * step
  return (k) => Number((k * step).toFixed(digits))
}
