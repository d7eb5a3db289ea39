import { calendar, clockText } from './calendar'
import type { Quantity } from './quantity'
import { label, linear, logarithmic, type Scale } from './scale'

/** How the numbers of a column are shown: on which axis, and what of them lies beyond it. */
export interface View {
  lo: number
  hi: number
  scale: Scale
  logarithmic: boolean
  /** Shares of data and samples that the axis does not show. */
  outside: { data: number; samples: number }
  /** 'log axis', 'outside: 3 %, of samples 2 %' */
  remarks: string[]
}

/** Shares of the data that end an axis. */
const ENDS = [0.002, 0.998] as const
/** Ends over interquartile range beyond which a linear axis shows little: 4.3 for a Gaussian, 5.6 for an exponential law. */
const HEAVY = 8
/** Interquartile ranges beyond the quartiles that a cut axis shows. */
const SHOWN = 3
/** A share outside that is worth a word. */
const WORTH = 0.01

/** An axis of the numbers, or dates, of a column; categories have none. */
export function viewOf({ data, samples, clock, atom }: Quantity): View {
  const sorted = data.filter((value) => value !== atom).sort()
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))] ?? 0
  const [first, last, q25, q75] = [at(ENDS[0]), at(ENDS[1]), at(0.25), at(0.75)]
  const ratio = (map: (value: number) => number) => (map(last) - map(first)) / (map(q75) - map(q25))
  const heavy = q75 > q25 && ratio((value) => value) > HEAVY
  const inLog = heavy && !clock && at(0) > 0 && ratio(Math.log) < 0.7 * ratio((value) => value)
  let [lo, hi] = [first, last]
  if (inLog) {
    const margin = (hi / lo) ** 0.05
    lo /= margin
    hi *= margin
  } else {
    if (heavy) {
      lo = Math.max(lo, q25 - SHOWN * (q75 - q25))
      hi = Math.min(hi, q75 + SHOWN * (q75 - q25))
    }
    const margin = 0.06 * (hi - lo) || 0.5
    lo -= margin
    hi += margin
  }
  const share = (values: Float64Array) =>
    values.reduce((sum, value) => sum + (value !== atom && (value < lo || value > hi) ? 1 : 0), 0) /
    values.length
  const outside = { data: share(data), samples: share(samples) }
  const remarks = [
    ...(inLog ? ['log axis'] : []),
    ...(outside.data > WORTH || outside.samples > WORTH
      ? [`outside: ${percent(outside.data)}, of samples ${percent(outside.samples)}`]
      : [])
  ]
  return {
    lo,
    hi,
    scale: scaleOf({ ...(clock && { clock }) }, inLog, lo, hi),
    logarithmic: inLog,
    outside,
    remarks
  }
}

/** The axis of a view, from one end to another. */
export function scaleOf(
  { clock }: Pick<Quantity, 'clock'>,
  logarithmicAxis: boolean,
  lo: number,
  hi: number
): Scale {
  return clock ? calendar(clock, lo, hi) : logarithmicAxis ? logarithmic(lo, hi) : linear(lo, hi)
}

/** A value as text, as precise as its column. */
export function valueText({ levels, clock }: Pick<Quantity, 'levels' | 'clock'>, value: number): string {
  if (levels) return levels[value] ?? ''
  return clock ? clockText(clock, value) : label(value)
}

export function percent(share: number): string {
  const value = 100 * share
  return `${value === 0 || value >= 10 ? value.toFixed(0) : value >= 0.1 ? value.toFixed(1) : '<0.1'} %`
}
