/**
 * NumPy's RandomState: the Mersenne Twister MT19937 (Matsumoto and Nishimura 1998), and what its `shuffle`, `rand`
 * and `binomial(1, p)` draw from it, number for number.
 */
export class RandomState {
  readonly #state = new Uint32Array(624)
  #next = 624

  /** `seed` is an integer in [0, 2³²). */
  constructor(seed: number) {
    this.#state[0] = seed
    for (let i = 1; i < 624; i++) {
      const previous = this.#state[i - 1]! ^ (this.#state[i - 1]! >>> 30)
      this.#state[i] = Math.imul(1812433253, previous) + i
    }
  }

  #uint32(): number {
    if (this.#next === 624) this.#twist()
    let word = this.#state[this.#next++]!
    word ^= word >>> 11
    word ^= (word << 7) & 0x9d2c5680
    word ^= (word << 15) & 0xefc60000
    return (word ^ (word >>> 18)) >>> 0
  }

  #twist(): void {
    const state = this.#state
    for (let i = 0; i < 624; i++) {
      const mixed = (state[i]! & 0x80000000) | (state[(i + 1) % 624]! & 0x7fffffff)
      state[i] = state[(i + 397) % 624]! ^ (mixed >>> 1) ^ (mixed & 1 ? 0x9908b0df : 0)
    }
    this.#next = 0
  }

  /** A number in [0, 1), of 53 bits. */
  rand(): number {
    const high = this.#uint32() >>> 5
    return (high * 67108864 + (this.#uint32() >>> 6)) / 9007199254740992
  }

  /** An integer in {0 … most}, by masked rejection. */
  #interval(most: number): number {
    let mask = most
    for (const shift of [1, 2, 4, 8, 16]) mask |= mask >>> shift
    for (;;) {
      const value = (this.#uint32() & mask) >>> 0
      if (value <= most) return value
    }
  }

  /** The order that `shuffle` brings `count` rows into: row i of the result was row order[i]. */
  shuffled(count: number): Uint32Array {
    const order = Uint32Array.from({ length: count }, (_, i) => i)
    for (let i = count - 1; i > 0; i--) {
      const j = this.#interval(i)
      const held = order[i]!
      order[i] = order[j]!
      order[j] = held
    }
    return order
  }
  /** What `binomial(1, p)` draws: 1 with probability p, else 0. */
  bernoulli(p: number): 0 | 1 {
    // By inversion of the smaller of the two probabilities.
    const rarely = p <= 0.5 ? p : 1 - p
    const isRare = this.rand() > 1 - rarely
    return isRare === p <= 0.5 ? 1 : 0
  }
}
