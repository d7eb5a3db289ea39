/** Axes: how values map to the length of an axis, and where it has ticks. */

export interface Scale {
  /** 0 at the start of the axis, 1 at its end. */
  place(value: number): number
  /** About so many. */
  ticks(count: number): number[]
  label(value: number): string
}

/** Round numbers that divide [lo, hi] in about `count` parts: two at least, since one alone tells no scale. */
export function ticks(lo: number, hi: number, count: number): number[] {
  if (!(hi > lo)) return [lo]
  const raw = (hi - lo) / count
  const power = 10 ** Math.floor(Math.log10(raw))
  const steps = [0.25, 0.5, 1, 2, 2.5, 5, 10].map((digits) => digits * power)
  for (let place = steps.findIndex((step) => step >= raw * 0.999); place >= 0; place--) {
    const step = steps[place]!
    const values: number[] = []
    for (let k = Math.ceil(lo / step - 1e-9); k * step <= hi + step * 1e-9; k++) values.push(k * step)
    if (values.length > 1) return values
  }
  return [lo]
}

/** A number as a label: six digits or more, no trailing zeros, a true minus sign; a power of ten where it is huge or tiny. */
export function label(value: number): string {
  const size = Math.abs(value)
  if (size >= 1e7 || (size > 0 && size < 1e-3)) {
    const [digits, exponent] = value.toExponential(3).split('e') as [string, string]
    const lead = Number(digits)
    const power = `10${superscript(Number(exponent))}`
    const text = Math.abs(lead) === 1 ? `${lead < 0 ? '-' : ''}${power}` : `${lead}·${power}`
    return text.replace(/^-/, '−')
  }
  const text =
    size >= 1e4
      ? value.toLocaleString('en-US', { maximumFractionDigits: 2 })
      : String(+value.toPrecision(6) || 0)
  return text.replace('-', '−')
}

export function linear(lo: number, hi: number): Scale {
  return {
    place: (value) => (value - lo) / (hi - lo),
    ticks: (count) => ticks(lo, hi, count),
    label
  }
}

/** Ticks at whole powers of ten, or at 1, 2 and 5 or 1 and 3 times them where there are few. */
export function logarithmic(lo: number, hi: number): Scale {
  const [first, last] = [Math.log10(lo), Math.log10(hi)]
  return {
    place: (value) => (Math.log10(value) - first) / (last - first),
    ticks: (count) => {
      const [least, most] = [Math.ceil(first - 1e-9), Math.floor(last + 1e-9)]
      if (most - least >= 2) {
        const step = Math.ceil((most - least) / count)
        return whole(least, most)
          .filter((power) => power % step === 0)
          .map((power) => 10 ** power)
      }
      const within = (digits: number[]) =>
        whole(least - 1, most)
          .flatMap((power) => digits.map((digit) => digit * 10 ** power))
          .filter((value) => value >= lo * (1 - 1e-9) && value <= hi * (1 + 1e-9))
      return [[1, 2, 5], [1, 3], [1]].map(within).find(({ length }) => length <= count) ?? within([1])
    },
    label: (value) => {
      const exponent = Math.log10(value)
      // Powers from 10⁴ on where the axis goes beyond 10⁶, so that its labels look alike.
      return exponent < -2.5 || exponent > (last > 6.5 ? 3.5 : 6.5)
        ? `${mantissa(value)}10${superscript(Math.floor(exponent + 1e-9))}`
        : label(value)
    }
  }
}

/** The whole numbers from `least` to `most`. */
function whole(least: number, most: number): number[] {
  return Array.from({ length: most - least + 1 }, (_, i) => least + i)
}

function mantissa(value: number): string {
  const digit = Math.round(value / 10 ** Math.floor(Math.log10(value) + 1e-9))
  return digit === 1 ? '' : `${digit}·`
}

function superscript(exponent: number): string {
  return String(exponent).replace(/./g, (sign) => (sign === '-' ? '⁻' : '⁰¹²³⁴⁵⁶⁷⁸⁹'[Number(sign)]!))
}

/** One line a name, the first at the end of the axis: at the top of a vertical one. */
export function categorical(names: readonly string[]): Scale {
  return {
    place: (index) => 1 - (index + 0.5) / names.length,
    ticks: () => names.map((_, index) => index),
    label: (index) => names[index]!
  }
}
