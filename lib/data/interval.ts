/** An open interval of values, and the map of it onto the line that `support` blocks use. */
export class Interval {
  readonly lower: number
  readonly upper: number

  constructor({
    lower = -Infinity,
    upper = Infinity
  }: { lower?: number | undefined; upper?: number | undefined }) {
    this.lower = lower
    this.upper = upper
  }

  /** x, log(x − lower), −log(upper − x), or the difference of both logarithms. */
  toLine(x: number): number {
    const { lower, upper } = this
    if (lower === -Infinity && upper === Infinity) return x
    return (lower === -Infinity ? 0 : Math.log(x - lower)) - (upper === Infinity ? 0 : Math.log(upper - x))
  }

  fromLine(y: number): number {
    const { lower, upper } = this
    if (lower === -Infinity) return upper === Infinity ? y : upper - Math.exp(-y)
    if (upper === Infinity) return lower + Math.exp(y)
    return y < 0
      ? lower + ((upper - lower) * Math.exp(y)) / (1 + Math.exp(y))
      : upper - ((upper - lower) * Math.exp(-y)) / (1 + Math.exp(-y))
  }

  /** log dx/dy at x. */
  logSlope(x: number): number {
    const { lower, upper } = this
    const [low, high] = [
      lower === -Infinity ? 0 : Math.log(x - lower),
      upper === Infinity ? 0 : Math.log(upper - x)
    ]
    const both = lower > -Infinity && upper < Infinity
    return low + high - (both ? Math.log(upper - lower) : 0)
  }
}
