import { type Clock, unitsIn } from '../data/clock'
import type { Scale } from './scale'

/** Axes of dates, times of day and durations. */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR
const MONTH = 30.44 * DAY
const YEAR = 365.25 * DAY

/** Distances between ticks, in ms; months and years are counted in the calendar. */
const STEPS = [
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500],
  ...[1, 2, 5, 10, 15, 30].map((n) => n * SECOND),
  ...[1, 2, 5, 10, 15, 30].map((n) => n * MINUTE),
  ...[1, 2, 3, 6, 12].map((n) => n * HOUR),
  ...[1, 2, 7, 14].map((n) => n * DAY),
  ...[1, 2, 3, 6].map((n) => n * MONTH),
  ...[1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].map((n) => n * YEAR)
]

/** A linear axis over numbers of a clock, whose ticks are round dates or times. */
export function calendar(clock: Clock, lo: number, hi: number): Scale {
  const unit = unitsIn(clock.unit, 'millisecond')
  const origin = clock.origin === undefined ? 0 : Date.parse(`${clock.origin}T00:00:00Z`)
  const [first, last] = [origin + lo * unit, origin + hi * unit]
  const step = (count: number) => STEPS.find((one) => (last - first) / one <= count) ?? STEPS.at(-1)!
  return {
    place: (value) => (value - lo) / (hi - lo),
    // Labels of dates are wider than those of numbers.
    ticks: (count) =>
      timesBetween(first, last, step(count * 0.8), clock.origin !== undefined).map(
        (time) => (time - origin) / unit
      ),
    label: (value) =>
      timeText(origin + value * unit, (last - first) / 4, clock.origin !== undefined, last - first)
  }
}

/** A number of a clock as a date, and a time of day where the unit tells it. */
export function clockText(clock: Clock, value: number): string {
  const unit = unitsIn(clock.unit, 'millisecond')
  const origin = clock.origin === undefined ? 0 : Date.parse(`${clock.origin}T00:00:00Z`)
  return timeText(origin + value * unit, unit, clock.origin !== undefined, Infinity)
}

function timesBetween(first: number, last: number, step: number, dated: boolean): number[] {
  const times: number[] = []
  if (dated && step >= MONTH) {
    const months = Math.round(step / MONTH)
    const start = new Date(first)
    const from = Math.floor((start.getUTCFullYear() * 12 + start.getUTCMonth()) / months) * months
    for (let month = from; atMonth(month) <= last; month += months)
      if (atMonth(month) >= first) times.push(atMonth(month))
    return times
  }
  for (let time = Math.ceil(first / step) * step; time <= last; time += step) times.push(time)
  return times
}

/** The beginning of a month, counted from January of the year 0. */
function atMonth(month: number): number {
  const date = new Date(0)
  date.setUTCFullYear(Math.floor(month / 12), month % 12, 1)
  return date.getTime()
}

/** As much of a time as tells times apart that lie `resolution` from each other. */
function timeText(time: number, resolution: number, dated: boolean, span: number): string {
  if (!Number.isFinite(time) || Math.abs(time) > 8e15) return '–'
  if (!dated) return durationText(time, resolution)
  const iso = new Date(Math.round(time)).toISOString()
  const date = iso.replace(/T.*/, '')
  if (resolution >= 0.9 * YEAR) return date.replace(/-\d\d-\d\d$/, '')
  if (resolution >= 0.9 * MONTH) return date.replace(/-\d\d$/, '')
  if (resolution >= 0.25 * DAY && span > DAY) return date
  const clock = iso.slice(11, resolution >= MINUTE ? 16 : resolution >= SECOND ? 19 : 23)
  return span > 2 * DAY ? `${date} ${clock}` : clock
}

/** 26:30, hours and minutes; with seconds where they count. */
function durationText(time: number, resolution: number): string {
  const sign = time < 0 ? '−' : ''
  const ms = Math.abs(Math.round(time))
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0')
  const text = `${Math.floor(ms / HOUR)}:${two((ms % HOUR) / MINUTE)}`
  if (resolution >= MINUTE) return sign + text
  const seconds = two((ms % MINUTE) / SECOND)
  return `${sign}${text}:${seconds}${resolution >= SECOND ? '' : `.${String(ms % SECOND).padStart(3, '0')}`}`
}
