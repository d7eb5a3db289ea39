import { type Device, deviceInfo } from 'ffjord'

/** The engines on hand. */
export const engines = deviceInfo().filter(({ usable }) => usable)

/** Those that the suites run over: all, or what the environment's FFJORD_TEST_DEVICES names. */
export const engineNames = engines
  .map(({ name }) => name as Device)
  .filter((name) => (process.env.FFJORD_TEST_DEVICES ?? name).split(',').includes(name))

/** How far values may be off: rounding of the engine's arithmetic, with room for its growth in a solve. */
export function tolerance(device: Device): number {
  return engines.find(({ name }) => name === device)!.precision === 'float64' ? 1e-9 : 2e-4
}

export function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  expect(a.length).toBe(b.length)
  let largest = 0
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!)
    if (!(difference <= largest)) largest = difference // NaN stays
  }
  return largest
}
