/**
 * Counter-based random numbers: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011), as the core draws them.
 * A draw depends on its place alone, so that the state of a generator is a counter.
 */

// Bound once: the inner loop of every draw runs through them.
const { floor, imul } = Math

export type Words = [number, number, number, number]

/** Upper 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const a0 = a & 0xffff
  const a1 = a >>> 16
  const b0 = b & 0xffff
  const b1 = b >>> 16
  // Products of halves, and what is added to them, stay below 2³²: integers throughout, which are faster than floats.
  const middle = ((imul(a1, b0) >>> 0) + (imul(a0, b0) >>> 16)) >>> 0
  const carried = ((imul(a0, b1) >>> 0) + (middle & 0xffff)) >>> 0
  return ((imul(a1, b1) >>> 0) + (middle >>> 16) + (carried >>> 16)) >>> 0
}

/** `seed` is an integer in [0, 2⁵³). */
export function philox(counter: Words, seed: number): Words {
  let [c0, c1, c2, c3] = counter
  let key0 = seed >>> 0
  let key1 = floor(seed / 0x100000000) >>> 0
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0 >>> 0)
    const low0 = imul(0xd2511f53, c0)
    const high1 = multiplyHigh(0xcd9e8d57, c2 >>> 0)
    const low1 = imul(0xcd9e8d57, c2)
    c0 = high1 ^ c1 ^ key0
    c1 = low1
    c2 = high0 ^ c3 ^ key1
    c3 = low0
    key0 = (key0 + 0x9e3779b9) >>> 0
    key1 = (key1 + 0xbb67ae85) >>> 0
  }
  return [c0 >>> 0, c1 >>> 0, c2 >>> 0, c3 >>> 0]
}

/** Third words that no flow uses: the core puts probe and block there, and a probe is below 2¹⁶ − 1. */
export const streams = {
  rows: 0xffff0000,
  order: 0xffff0001,
  split: 0xffff0002,
  dequantize: 0xffff0003,
  cells: 0xffff0004
} as const

/** A draw of 53 bits in (0, 1). */
function unit(high: number, low: number): number {
  return ((high >>> 6) * 0x8000000 + (low >>> 5) + 0.5) / 2 ** 53
}

/** Independent draws for one row of a data set: its place in the stream decides them all. */
export class RowRandom {
  #words: Words = [0, 0, 0, 0]
  #left = 0
  #quad = 0
  #row = 0

  constructor(readonly seed: number) {}

  /** Goes to the first draw of row number `row`. */
  seek(row: number): void {
    this.#row = row
    this.#quad = 0
    this.#left = 0
  }

  /** A number in (0, 1). */
  uniform(): number {
    if (this.#left === 0) {
      const call = floor(this.#row / 0x100000000)
      this.#words = philox([this.#row >>> 0, this.#quad++, streams.rows, call], this.seed)
      this.#left = 2
    }
    this.#left--
    const first = this.#left * 2
    return unit(this.#words[first]!, this.#words[first + 1]!)
  }

  /** A number from N(0, 1), by Box and Muller. */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(this.uniform()))
    return radius * Math.cos(2 * Math.PI * this.uniform())
  }
}

/** A permutation of 0 … count − 1 that (seed, epoch) decides, by Fisher and Yates. */
export function permutation(
  count: number,
  seed: number,
  epoch: number,
  stream: number = streams.order
): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i)
  let words: Words | undefined // four neighbours share a draw
  for (let i = count - 1; i > 0; i--) {
    if (!words || (i & 3) === 3) words = philox([i >>> 2, 0, stream, epoch], seed)
    const j = floor((words[i & 3]! / 2 ** 32) * (i + 1))
    const held = order[i]!
    order[i] = order[j]!
    order[j] = held
  }
  return order
}
