import type { CellType } from '../data/cell-type'
import { clockNumber, isTime } from '../data/clock'
import type { Column } from '../data/schema'
import { numberOf } from './notation'

/** What a cell of a table says: nothing, a number, a level, a date. */

export function isMissing(cell: unknown): boolean {
  return (
    cell === null ||
    cell === undefined ||
    (typeof cell === 'string' && cell.trim() === '') ||
    (typeof cell === 'number' && Number.isNaN(cell))
  )
}

export function toNumber(cell: unknown): number {
  if (typeof cell === 'number') return cell
  if (typeof cell === 'string') return numberOf(cell)
  if (typeof cell === 'bigint') return Number(cell)
  if (typeof cell === 'boolean') return cell ? 1 : 0
  return Number.NaN
}

/** Cells of a file, of `type`, as numbers of a column. */
export function numberReader({ clock, cells }: Column, type: CellType): (cell: unknown) => number {
  if (clock) return clockNumber(clock, type, cells?.kind === 'written' ? cells.pattern : undefined)
  // Counts of another meaning are no numbers of this column.
  return isTime(type) ? () => Number.NaN : toNumber
}

const WHOLE_FLOAT64 = 2n ** 53n

/** A whole number that float64 does not hold. */
export function isInexact(cell: unknown): boolean {
  if (typeof cell === 'bigint')
    return (cell > WHOLE_FLOAT64 || cell < -WHOLE_FLOAT64) && BigInt(Number(cell)) !== cell
  if (typeof cell !== 'string' || cell.length < 16) return false
  const text = cell.trim()
  const value = Number(text)
  // Longer ones are infinite, and refused as such; what float64 itself is written as loses nothing.
  if (!Number.isFinite(value) || String(value) === text) return false
  return /^[+-]?\d{1,400}$/.test(text) && BigInt(value) !== BigInt(text)
}

/** 2024-05-31, 31.05.2024, 5/31/24, with or without a time. */
export function isDateText(text: string): boolean {
  return /^\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{2}|\d{4}))([T\s].*)?$/.test(text)
}

/** Name of the level that a cell stands for; undefined where the cell is empty. */
export function levelOf(cell: unknown, isBoolean = false): string | undefined {
  if (isMissing(cell)) return undefined
  if (isBoolean && typeof cell === 'number') return String(cell !== 0)
  return typeof cell === 'string' ? cell.trim() : String(cell)
}

/** Whether a cell is a number, or nothing at all. */
export function isNumeric(cell: unknown): boolean {
  return isMissing(cell) || !Number.isNaN(toNumber(cell))
}
