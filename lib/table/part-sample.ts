import { types } from 'node:util'

/** Part of the rows of a stream, of bounded size, that is a fair sample of all of them. */
export class PartSample {
  #values: Float32Array | Float64Array = new Float32Array(0)
  #numbers: Float64Array
  #ranks: Uint32Array
  #count = 0
  /** Rows of a larger rank are passed over. */
  #highest = 0xffffffff
  /** Rows that belong to this part, kept or not. */
  rows = 0

  /** Keeps at most `most` rows of `width` numbers. */
  constructor(
    readonly most: number,
    readonly width: number
  ) {
    this.#numbers = new Float64Array(0)
    this.#ranks = new Uint32Array(0)
  }

  /**
   * Row `index` of `values`, (…, width). `number` is its own in the file, `rank` a draw for it: those of the smallest
   * ranks stay. In float64 once a row was.
   */
  offer(values: Float32Array | Float64Array, index: number, number: number, rank: number): void {
    this.rows++
    if (rank > this.#highest) return
    if (this.#count === this.#numbers.length) this.#makeRoom()
    if (rank > this.#highest) return
    const { width } = this
    if (types.isFloat64Array(values) && types.isFloat32Array(this.#values))
      this.#values = Float64Array.from(this.#values)
    this.#values.set(values.subarray(index * width, (index + 1) * width), this.#count * width)
    this.#numbers[this.#count] = number
    this.#ranks[this.#count++] = rank
  }

  /** The rows kept, in the order of the file, and their numbers in it. */
  taken(): { values: Float32Array | Float64Array; numbers: Float64Array } {
    this.#keepLowest(this.most)
    return {
      values: this.#values.subarray(0, this.#count * this.width),
      numbers: this.#numbers.subarray(0, this.#count)
    }
  }

  /** Room for twice as many, up to twice `most`: there the upper half of the ranks goes. */
  #makeRoom(): void {
    const room = Math.min(2 * this.most, Math.max(1024, 2 * this.#count))
    if (this.#count === room) {
      this.#keepLowest(this.most)
      return
    }
    const [values, numbers, ranks] = [this.#values, this.#numbers, this.#ranks]
    this.#values = new (types.isFloat64Array(values) ? Float64Array : Float32Array)(room * this.width)
    this.#numbers = new Float64Array(room)
    this.#ranks = new Uint32Array(room)
    this.#values.set(values)
    this.#numbers.set(numbers)
    this.#ranks.set(ranks)
  }

  #keepLowest(most: number): void {
    if (this.#count <= most) return
    this.#highest = this.#ranks.slice(0, this.#count).sort()[most - 1]!
    let kept = 0
    for (let i = 0; i < this.#count && kept < most; i++) {
      if (this.#ranks[i]! > this.#highest) continue
      this.#values.copyWithin(kept * this.width, i * this.width, (i + 1) * this.width)
      this.#numbers[kept] = this.#numbers[i]!
      this.#ranks[kept++] = this.#ranks[i]!
    }
    this.#count = kept
  }
}
