import type { Device } from 'ffjord'

import { measure } from '../clock'
import type { Section } from '../table'

/** What every part of the ablation is given. */
export interface AblationContext {
  /** Short, to see that everything runs. */
  quick: boolean
  device: Device
  /** Says on stderr where a part stands. */
  note(text: string): void
}

/** What a part found: a table, its numbers, and a figure in SVG. */
export interface Finding extends Section {
  figure: string
}

/** CPU seconds of one call, the fastest of so many as fit into `seconds`; the system counts them in ticks of milliseconds. */
export async function cpuSeconds(call: () => unknown, seconds: number): Promise<number> {
  await call()
  const started = performance.now()
  await call()
  const once = (performance.now() - started) / 1000
  const { best } = await measure(call, seconds, Math.min(1000, Math.ceil(0.05 / once)))
  return best
}

/** Exponents as they are printed: '1e-5'. */
export function power(value: number): string {
  return value.toExponential(0)
}

/** Two digits that count. */
export function short(value: number): string {
  return value !== 0 && (Math.abs(value) < 0.01 || Math.abs(value) >= 1e5)
    ? value.toExponential(1)
    : String(+value.toPrecision(3))
}

export function rootMeanSquare(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i]! - b[i]!) ** 2
  return Math.sqrt(sum / a.length)
}

export function mean(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]!
  return sum / values.length
}

/** Slope of log y over log x by least squares. */
export function fittedExponent(points: readonly { x: number; y: number }[]): number {
  const logs = points.map(({ x, y }) => ({ x: Math.log(x), y: Math.log(y) }))
  const [atX, atY] = [mean(logs.map(({ x }) => x)), mean(logs.map(({ y }) => y))]
  const covariance = logs.reduce((sum, { x, y }) => sum + (x - atX) * (y - atY), 0)
  return covariance / logs.reduce((sum, { x }) => sum + (x - atX) ** 2, 0)
}
