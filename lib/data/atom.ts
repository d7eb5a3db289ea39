import { Interval } from './interval'

/**
 * An atom of a column: a value that many rows have exactly, of which no density exists. Its rows are spread on the line, apart from all others,
 * by a logistic law around `place` that ends at `cut` and `far`. What a density has beyond `cut` is the atom's probability, and samples there
 * are decoded to its value: ∫ p over that side = E[p(y) / q(y)] over y of the logistic law q, so that atoms and the rest make 1 together.
 * Rejected: a uniform law, as for whole numbers, beside whose edges a flow leaves mass that no value has.
 */
export interface Atom {
  /** The value, as the file has it. */
  value: number
  /** Its place on the line, onto which columns with an interval are taken by logarithms. */
  place: number
  scale: number
  /** A value between the others and the atom's place. */
  cut: number
  /** The other end. */
  far: number
}

/** The noise of an atom's rows, and what a density of them is to be multiplied by. */
export class AtomCell {
  /** What stands for the atom among encoded values before noise: no other value of the column is beyond the cut. */
  readonly marker: number
  readonly #interval: Interval
  /** Probability of the logistic law below the lower end, and between the ends. */
  readonly #below: number
  readonly #share: number

  constructor(
    readonly atom: Atom,
    ends: { lower?: number; upper?: number }
  ) {
    const { place, cut, far } = atom
    this.#interval = new Interval(ends)
    this.marker = Math.fround(this.#interval.fromLine(place))
    const [first, last] = [Math.min(cut, far), Math.max(cut, far)].map((end) => this.#logistic(end))
    this.#below = first!
    this.#share = last! - first!
  }

  /** A value of the noise's law; u is uniform on (0, 1). */
  value(u: number): number {
    const { place, scale } = this.atom
    const share = this.#below + this.#share * u
    const value = this.#interval.fromLine(place + scale * Math.log(share / (1 - share)))
    // Rounding to float32 must not cross the cut.
    return this.beyondCut(Math.fround(value)) ? value : this.marker
  }

  /** −log q(x): what log p of such a value lacks to the logarithm of a probability. */
  logWeight(x: number): number {
    const { scale } = this.atom
    const y = this.#interval.toLine(x)
    const share = this.#logistic(y)
    return (
      this.#interval.logSlope(x) +
      Math.log(scale) +
      Math.log(this.#share) -
      Math.log(share) -
      Math.log1p(-share)
    )
  }

  /** Whether a value stands for the atom, and for none of the other values. */
  beyondCut(x: number): boolean {
    const { place, cut } = this.atom
    const y = this.#interval.toLine(x)
    return place < cut ? y <= cut : y >= cut
  }

  #logistic(y: number): number {
    const { place, scale } = this.atom
    return 1 / (1 + Math.exp((place - y) / scale))
  }
}

export function sameAtom(one: Atom | undefined, other: Atom | undefined): boolean {
  if (!one || !other) return one === other
  return (['value', 'place', 'scale', 'cut', 'far'] as const).every((key) => one[key] === other[key])
}

/** Files of float32 have the nearest value of an atom like 0.1. */
export function isAtom(x: number, value: number): boolean {
  return x === value || x === Math.fround(value)
}
