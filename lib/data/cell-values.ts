import type { CellType, NumberStorage } from './cell-type'
import { type Clock, clockCell } from './clock'

/** Numbers of a sample as cells of the type that its column has in the file. */

/** What a column says of its cells. */
interface CellMeaning {
  cells?: CellType
  clock?: Clock
  lower?: number
  upper?: number
}

/** Ends of the whole numbers that a storage holds. */
const wholeEnds: Readonly<Partial<Record<NumberStorage, readonly [number, number]>>> = {
  int8: [-(2 ** 7), 2 ** 7 - 1],
  int16: [-(2 ** 15), 2 ** 15 - 1],
  int32: [-(2 ** 31), 2 ** 31 - 1],
  int64: [-Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
  uint8: [0, 2 ** 8 - 1],
  uint16: [0, 2 ** 16 - 1],
  uint32: [0, 2 ** 32 - 1],
  uint64: [0, Number.MAX_SAFE_INTEGER]
}

export function isWhole(type: CellType): boolean {
  return type.kind === 'number' && wholeEnds[type.storage] !== undefined
}

/** Whether numbers of a sample are cells as they are. */
export function isPlain({ cells, clock }: CellMeaning): boolean {
  if (clock) return false
  if (cells?.kind === 'decimal' || cells?.kind === 'boolean') return false
  if (cells?.kind === 'written') return cells.digits === undefined
  return cells?.kind !== 'number' || !isWhole(cells)
}

/** The cell that a number stands for; values that the type does not hold are brought to its nearest end. */
export function cellOf(column: CellMeaning): (value: number) => unknown {
  const { cells, clock, lower = -Infinity, upper = Infinity } = column
  if (clock)
    return clockCell(
      clock,
      cells ?? { kind: 'timestamp', unit: 'second' },
      cells?.kind === 'written' ? cells.pattern : undefined
    )
  if (cells?.kind === 'decimal') {
    const { scale, precision } = cells
    const most = 10 ** (precision - scale) - 10 ** -scale
    const text = inside(scale, lower, upper)
    return (value) => text(Math.min(Math.max(value, -most), most)).replace(/^-(?=[0.]*$)/, '')
  }
  if (cells?.kind === 'written' && cells.digits !== undefined) {
    const text = inside(cells.digits, lower, upper)
    return (value) => Number(text(value)) + 0
  }
  if (cells?.kind === 'boolean') return (value) => value >= 0.5
  const ends = cells?.kind === 'number' ? wholeEnds[cells.storage] : undefined
  if (ends) return (value) => Math.min(Math.max(Math.round(value), ends[0]), ends[1]) + 0
  return (value) => value
}

/** Numbers with so many digits after the point, within an open interval, of which rounding may reach the ends. */
function inside(digits: number, lower: number, upper: number): (value: number) => string {
  const unit = 10 ** -digits
  return (value) => {
    const text = value.toFixed(digits)
    if (Number(text) <= lower && lower + unit < upper) return (lower + unit).toFixed(digits)
    return Number(text) >= upper && upper - unit > lower ? (upper - unit).toFixed(digits) : text
  }
}
