/** Lines of plain numbers, straight from their bytes: most text tables hold nothing else. */

const [TAB, BREAK, RETURN, SPACE, PLUS, MINUS, DOT, ZERO, NINE] = [9, 10, 13, 32, 43, 45, 46, 48, 57]
const [LARGE_E, SMALL_E] = [69, 101]

/** Powers of ten that float64 holds exactly. */
const powers = Float64Array.from({ length: 23 }, (_, i) => 10 ** i)

/** Lines of numbers. */
export interface NumberLines {
  /** (rows, width) */
  values: Float64Array
  digits: WrittenDigits
}

/** How the numbers of each column are written. */
export interface WrittenDigits {
  /** Digits after the point; `POWER` of numbers with an exponent. */
  fewest: Uint8Array
  most: Uint8Array
  /** Digits before the point. */
  shortest: Uint8Array
  longest: Uint8Array
  /** 1 where some have zeros in front, as codes have: 007. */
  padded: Uint8Array
}

export const POWER = 255

/** One more number of column `c`: its digits after the point and before it, and whether zeros stand in front. */
export function countDigits(
  { fewest, most, shortest, longest, padded }: WrittenDigits,
  c: number,
  after: number,
  before: number,
  hasZeros: boolean
): void {
  if (after < fewest[c]!) fewest[c] = after
  if (after > most[c]!) most[c] = after
  if (before < shortest[c]!) shortest[c] = before
  if (before > longest[c]!) longest[c] = before
  if (hasZeros) padded[c] = 1
}

export function noDigits(width: number): WrittenDigits {
  const numbers = (value = 0) => new Uint8Array(width).fill(value)
  return {
    fewest: numbers(POWER),
    most: numbers(),
    shortest: numbers(POWER),
    longest: numbers(),
    padded: numbers()
  }
}

/**
 * A matrix (rows, width) from whole lines of `width` numbers each; undefined where anything else occurs (text, quotes,
 * missing cells, blank or ragged lines), for a parser that can tell what it is.
 */
export function parseNumbers(bytes: Buffer, delimiter: string, width: number): NumberLines | undefined {
  if (delimiter.length !== 1) return undefined
  const separator = delimiter.charCodeAt(0)
  /** Any number of spaces and tabs lies between numbers. */
  const spaced = separator === SPACE
  let rows = 0
  for (let i = bytes.indexOf(BREAK); i >= 0; i = bytes.indexOf(BREAK, i + 1)) rows++
  if (bytes[bytes.length - 1] !== BREAK) rows++
  const values = new Float64Array(rows * width)
  const written = noDigits(width)
  const end = bytes.length
  let at = 0
  for (let i = 0, c = 0; i < values.length; i++, c = c === width - 1 ? 0 : c + 1) {
    while (at < end && (bytes[at] === SPACE || (spaced && bytes[at] === TAB))) at++
    const start = at
    let letter = bytes[at]!
    const negative = letter === MINUS
    if (negative || letter === PLUS) letter = bytes[++at]!
    // Digits before and after the point, as one whole number: exact below 2⁵³.
    let mantissa = 0
    let digits = 0
    let exponent = 0
    const isZero = letter === ZERO
    while (letter >= ZERO && letter <= NINE) {
      mantissa = mantissa * 10 + (letter - ZERO)
      digits++
      letter = bytes[++at]!
    }
    const whole = digits
    if (letter === DOT) {
      letter = bytes[++at]!
      while (letter >= ZERO && letter <= NINE) {
        mantissa = mantissa * 10 + (letter - ZERO)
        digits++
        exponent--
        letter = bytes[++at]!
      }
    }
    if (digits === 0) return undefined
    const after = letter === LARGE_E || letter === SMALL_E ? POWER : Math.min(-exponent, POWER - 1)
    countDigits(written, c, after, Math.min(whole, POWER), isZero && whole > 1)
    if (letter === LARGE_E || letter === SMALL_E) {
      letter = bytes[++at]!
      const falls = letter === MINUS
      if (falls || letter === PLUS) letter = bytes[++at]!
      let power = 0
      const first = at
      while (letter >= ZERO && letter <= NINE && at - first < 4) {
        power = power * 10 + (letter - ZERO)
        letter = bytes[++at]!
      }
      if (at === first) return undefined
      exponent += falls ? -power : power
    }
    // A product or quotient of two exact numbers is rounded once (Clinger 1990); others are left to the language.
    let value: number
    if (digits <= 15 && exponent >= -22 && exponent <= 22) {
      value = exponent < 0 ? mantissa / powers[-exponent]! : mantissa * powers[exponent]!
      if (negative) value = -value
    } else {
      value = Number(bytes.toString('latin1', start, at))
      // A whole number that may not be exact: whoever sees its text can say so.
      if (exponent === 0 && Math.abs(value) > Number.MAX_SAFE_INTEGER) return undefined
    }
    values[i] = value

    const behind = at
    while (at < end && (bytes[at] === SPACE || (bytes[at] === TAB && separator !== TAB))) at++
    const last = c === width - 1
    if (!last) {
      if (spaced ? at === behind : bytes[at++] !== separator) return undefined
      continue
    }
    if (at < end && bytes[at] === RETURN) at++
    if (at < end && bytes[at++] !== BREAK) return undefined
    else if (at === end && i < values.length - 1) return undefined
  }
  return at === end ? { values, digits: written } : undefined
}
