import type { Reading } from '../data/reading'

/** Numbers in text, as people write them. */

/** How a table writes its numbers. */
export type Notation = Pick<Reading, 'decimal' | 'thousands' | 'percent' | 'currency'>

const plainNumber = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/
const infinite = /^[+-]?inf(?:inity)?$/i

/** The number that a text is in plain notation; NaN where it is none, such as 0x1f, which the language takes for one. */
export function numberOf(text: string): number {
  const cell = text.trim()
  if (plainNumber.test(cell)) return Number(cell)
  return infinite.test(cell) ? (cell.startsWith('-') ? -Infinity : Infinity) : Number.NaN
}

/** Whether a cell is a number in plain notation, which one that `plainly` leaves as it is may be by mistake alone. */
export function isPlainFraction(cell: string): boolean {
  return cell.includes('.') && plainNumber.test(cell.trim())
}

/** A function that gives numbers of a notation in plain notation, and other text as it is. */
export function plainly({
  decimal = '.',
  thousands,
  percent = false,
  currency
}: Notation): (cell: string) => string {
  const group = thousands === undefined ? '' : spaces.includes(thousands) ? `[${spaces}]` : escaped(thousands)
  const whole = group === '' ? '\\d+' : `(?:[1-9]\\d{0,2}(?:${group}\\d{3})+|\\d+)`
  const sign = currency === undefined ? '' : `(?:${escaped(currency)})?[${spaces}]*`
  const shape = new RegExp(
    `^([+-]?)${sign}([+-]?)(${whole}|(?=${escaped(decimal)}\\d))(?:${escaped(decimal)}(\\d*))?(e[+-]?\\d+)?` +
      `[${spaces}]*${sign}(${percent ? '%?' : ''})$`,
    'i'
  )
  const separators = new RegExp(group, 'g')
  return (cell) => {
    const text = cell.trim().replace('−', '-')
    const [all, before, after, digits = '', fraction, power, hundredth] = shape.exec(text) ?? []
    if (all === undefined || (before && after)) return cell
    const number = `${before || after}${group === '' ? digits : digits.replace(separators, '')}`
    const exponent = hundredth ? `e${Number(power?.slice(1) ?? 0) - 2}` : (power ?? '')
    return `${number}${fraction ? `.${fraction}` : ''}${exponent}`
  }
}

/** What numbers are grouped with where they are with a space, one that does not break among them. */
const spaces = ' \u00a0\u2009\u202f'

/**
 * Numbers that can be nothing else, whatever a table's notation is: with a minus sign that is none of ASCII, or an exponent
 * of Fortran, 1.5D+00.
 */
export function unmistakable(cell: string): string {
  if (/^\s*−[\d.]/.test(cell)) return cell.replace('−', '-')
  return /^\s*[+-]?\d*\.\d*[dD][+-]\d{2,3}\s*$/.test(cell) ? cell.replace(/[dD]/, 'e') : cell
}

/** Whether any cell of a text may be what `unmistakable` changes. */
export function hasUnmistakable(text: string): boolean {
  return text.includes('−') || /\d[dD][+-]\d{2}/.test(text)
}

/** Notations that people use, and the options that say so. */
const notations: readonly (Notation & { said: string })[] = [
  { thousands: ',', said: "thousands: ',' (--thousands ,)" },
  { decimal: ',', said: "decimal: ',' (--decimal ,)" },
  { thousands: '.', decimal: ',', said: "thousands: '.' and decimal: ',' (--thousands . --decimal ,)" },
  { thousands: "'", said: `thousands: "'" (--thousands "'")` },
  { thousands: ' ', said: "thousands: ' ' (--thousands ' ')" },
  { thousands: ' ', decimal: ',', said: "thousands: ' ' and decimal: ',' (--thousands ' ' --decimal ,)" },
  { percent: true, said: 'percent: true (--percent)' },
  { percent: true, decimal: ',', said: "percent: true and decimal: ',' (--percent --decimal ,)" },
  ...['$', '€', '£', '¥'].flatMap((currency) => [
    {
      currency,
      thousands: ',' as const,
      said: `currency: '${currency}' and thousands: ',' (--currency '${currency}' --thousands ,)`
    },
    {
      currency,
      thousands: '.' as const,
      decimal: ',' as const,
      said: `currency: '${currency}', thousands: '.' and decimal: ',' (--currency '${currency}' --thousands . --decimal ,)`
    }
  ])
]

/** The options under which all of some texts, which are no numbers, would be some; two where they leave it open. */
export function notationOf(cells: readonly string[]): string | undefined {
  if (cells.length === 0) return undefined
  const fits = notations.filter((notation) => {
    const plain = plainly(notation)
    return cells.every((cell) => !Number.isNaN(numberOf(plain(cell))))
  })
  const [first, second] = fits
  const isOpen = first?.thousands !== undefined && second?.thousands === undefined
  return isOpen && second ? `${first.said} or ${second.said}` : first?.said
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\'-]/g, '\\$&')
}
