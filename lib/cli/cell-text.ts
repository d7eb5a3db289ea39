import { types } from 'node:util'
import type { CellType } from '../data/cell-type'
import { isTime } from '../data/clock'
import { dateText, standardPattern } from '../data/date-text'

/** Cells of a type as text of a CSV, not yet quoted; nothing for those that are missing. */
export function cellText(type: CellType | undefined): (cell: unknown) => string {
  if (type && isTime(type) && type.kind !== 'duration') {
    const pattern = standardPattern(type)
    return (cell) => (isCount(cell) ? dateText(pattern, cell, type) : plainText(cell))
  }
  if (type?.kind === 'boolean')
    return (cell) => (typeof cell === 'number' ? String(cell !== 0) : plainText(cell))
  if (type?.kind === 'written' && type.fixed && type.digits !== undefined) {
    const { digits } = type
    return (cell) => (isCount(cell) ? Number(cell).toFixed(digits) : plainText(cell))
  }
  if (type?.kind === 'written' && type.width !== undefined) {
    const { width } = type
    return (cell) =>
      isCount(cell)
        ? `${Number(cell) < 0 ? '-' : ''}${String(Math.abs(Number(cell))).padStart(width, '0')}`
        : plainText(cell)
  }
  return plainText
}

function isCount(cell: unknown): cell is number | bigint {
  return typeof cell === 'bigint' || (typeof cell === 'number' && !Number.isNaN(cell))
}

function plainText(cell: unknown): string {
  if (cell === null || cell === undefined || (typeof cell === 'number' && Number.isNaN(cell))) return ''
  if (types.isDate(cell)) return Number.isNaN(cell.getTime()) ? '' : cell.toISOString()
  return typeof cell === 'object' ? nestedText(cell) : String(cell)
}

/** Lists and structures as JSON, bytes as base64, whole numbers with all of their digits. */
function nestedText(cell: object): string {
  if (types.isUint8Array(cell)) return Buffer.from(cell).toString('base64')
  if (ArrayBuffer.isView(cell) && !(cell instanceof DataView))
    return nestedText(Array.from(cell as unknown as ArrayLike<unknown>))
  if (Array.isArray(cell)) return `[${cell.map(elementText).join(',')}]`
  const parts = Object.entries(cell).map(([name, value]) => `${JSON.stringify(name)}:${elementText(value)}`)
  return `{${parts.join(',')}}`
}

function elementText(value: unknown): string {
  if (typeof value === 'bigint') return String(value)
  if (types.isDate(value) || types.isUint8Array(value)) return JSON.stringify(plainText(value))
  return typeof value === 'object' && value !== null ? nestedText(value) : (JSON.stringify(value) ?? 'null')
}
