/** The values of one column, sorted, and what they show. */
export class Distribution {
  readonly sorted: Float64Array
  readonly rows: number
  /** Different values, and how often each occurs, in the order of the values. */
  readonly values: Float64Array
  readonly counts: Uint32Array

  constructor(values: ArrayLike<number>) {
    this.sorted = Float64Array.from(values).sort()
    this.rows = this.sorted.length
    const different = new Float64Array(this.rows)
    const counts = new Uint32Array(this.rows)
    let last = -1
    for (const value of this.sorted) {
      if (last < 0 || value !== different[last]) different[++last] = value
      counts[last]!++
    }
    this.values = different.subarray(0, last + 1)
    this.counts = counts.subarray(0, last + 1)
  }

  get least(): number {
    return this.sorted[0]!
  }

  get largest(): number {
    return this.sorted[this.rows - 1]!
  }

  quantile(share: number): number {
    return this.sorted[Math.min(this.rows - 1, Math.floor(share * this.rows))]!
  }

  /** Share of the values below `value`. */
  shareBelow(value: number): number {
    let [low, high] = [0, this.rows]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.sorted[middle]! < value) low = middle + 1
      else high = middle
    }
    return low / this.rows
  }

  /** How often the value of a row in the middle occurs, without those of `values` that are left out. */
  usualCount(without: ReadonlySet<number>): number {
    const kept = this.counts.filter((_, i) => !without.has(this.values[i]!)).sort()
    const half = kept.reduce((sum, count) => sum + count, 0) / 2
    let sum = 0
    for (const count of kept) {
      sum += count
      if (sum >= half) return count
    }
    return 0
  }

  /** The largest step that all values are multiples of, where it is the least distance between two of them. */
  get step(): number | undefined {
    let least = Infinity
    for (let i = 1; i < this.values.length; i++)
      least = Math.min(least, this.values[i]! - this.values[i - 1]!)
    const step = Number(least.toPrecision(3))
    if (!(step > 0) || !Number.isFinite(step)) return undefined
    // float32 leaves about seven digits of a value, and of its multiple.
    const fits = this.values.every((value) => {
      const multiple = value / step
      return Math.abs(multiple - Math.round(multiple)) < 1e-3 + 2e-7 * Math.abs(multiple)
    })
    return fits ? step : undefined
  }
}
