/** Values out of the bits that formats store them in. */

/** A whole number of 10⁻ˢᶜᵃˡᵉ as text, with every digit: −1260 of scale 2 is '-12.60'. */
export function decimalText(unscaled: bigint, scale: number): string {
  if (scale <= 0) return String(unscaled * 10n ** BigInt(-scale))
  const digits = String(unscaled < 0n ? -unscaled : unscaled).padStart(scale + 1, '0')
  const point = digits.length - scale
  return `${unscaled < 0n ? '-' : ''}${digits.slice(0, point)}.${digits.slice(point)}`
}

/** A whole number in two's complement. */
export function wholeNumber(bytes: Uint8Array, order: 'big endian' | 'little endian'): bigint {
  let value = 0n
  for (let i = 0; i < bytes.length; i++)
    value = (value << 8n) | BigInt(bytes[order === 'big endian' ? i : bytes.length - 1 - i]!)
  return BigInt.asIntN(8 * bytes.length, value)
}

/** Whole numbers as an array of float64 where it holds all of them exactly, and with every digit elsewhere. */
export function exactNumbers(cells: ArrayLike<unknown>): ArrayLike<unknown> {
  const values = new Float64Array(cells.length)
  for (let i = 0; i < values.length; i++) {
    const cell = cells[i]
    if (typeof cell !== 'bigint' && typeof cell !== 'number') return Array.from(cells, exactNumber)
    values[i] = Number(cell)
    if (!Number.isSafeInteger(values[i])) return cells
  }
  return values
}

function exactNumber(cell: unknown): unknown {
  if (typeof cell !== 'bigint') return cell ?? null
  const value = Number(cell)
  return Number.isSafeInteger(value) ? value : cell
}

/** Sixteen bytes as text: 123e4567-e89b-12d3-a456-426614174000. */
export function uuidText(bytes: Uint8Array): string {
  const digits = Buffer.from(bytes).toString('hex')
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-')
}

/** The cells of a column, each changed by `change` where it is there, and null where not. */
export function mapped<T>(cells: ArrayLike<T | null | undefined>, change: (cell: T) => unknown): unknown[] {
  return Array.from(cells, (cell) => (cell === null || cell === undefined ? null : change(cell)))
}
