import type { RowRandom } from '../../lib/data/random'
import { Mlp } from './mlp'
import type { ParameterStore } from './parameters'
import { addOuterProduct, multiply, transposed } from './products'

/** An invertible map of rows, (D, B), from data towards the base. */
export interface Layer {
  initialise(random: RowRandom): void
  /** Adds log|det ∂y/∂x| to `logDet` (B). */
  forward(x: Float64Array, logDet: Float64Array): Float64Array
  inverse(y: Float64Array, batch: number): Float64Array
  /** Cotangents of the last forward pass's y, and of each row's log-determinant → that of x; adds to the gradients. */
  backward(yBar: Float64Array, logDetBar: number, batch: number): Float64Array
}

/**
 * Affine coupling (Dinh, Sohl-Dickstein and Bengio 2017, eq. 7 and 8): one half of the columns stays and decides how the other
 * is scaled and shifted. The scale is σ(s + 2), as in FFJORD's baselines and in Glow's code.
 */
export class AffineCoupling implements Layer {
  readonly #net: Mlp
  /** First column and number of those that stay, and of those that move. */
  readonly #kept: { first: number; count: number }
  readonly #moved: { first: number; count: number }
  #scale: Float64Array = new Float64Array(0)
  #x: Float64Array = new Float64Array(0)

  constructor(store: ParameterStore, size: number, hidden: readonly number[], swap: boolean) {
    const half = size - Math.floor(size / 2)
    this.#kept = swap ? { first: half, count: size - half } : { first: 0, count: half }
    this.#moved = swap ? { first: 0, count: half } : { first: half, count: size - half }
    this.#net = new Mlp(store, [this.#kept.count, ...hidden, 2 * this.#moved.count])
  }

  initialise(random: RowRandom): void {
    this.#net.initialise(random)
  }

  /** Scales and shifts (moved columns, B) that the kept columns ask for. */
  #affine(rows: Float64Array, batch: number): { scale: Float64Array; shift: Float64Array } {
    const { first, count } = this.#kept
    const out = this.#net.forward(rows.subarray(first * batch, (first + count) * batch), batch)
    const moved = this.#moved.count * batch
    const scale = out.subarray(0, moved).map((s) => 1 / (1 + Math.exp(-s - 2)))
    return { scale, shift: out.subarray(moved) }
  }

  forward(x: Float64Array, logDet: Float64Array): Float64Array {
    const batch = logDet.length
    const { scale, shift } = this.#affine(x, batch)
    const y = x.slice()
    const start = this.#moved.first * batch
    for (let i = 0; i < scale.length; i++) {
      y[start + i] = x[start + i]! * scale[i]! + shift[i]!
      logDet[i % batch]! += Math.log(scale[i]!)
    }
    this.#scale = scale
    this.#x = x
    return y
  }

  inverse(y: Float64Array, batch: number): Float64Array {
    const { scale, shift } = this.#affine(y, batch)
    const x = y.slice()
    const start = this.#moved.first * batch
    for (let i = 0; i < scale.length; i++) x[start + i] = (y[start + i]! - shift[i]!) / scale[i]!
    return x
  }

  backward(yBar: Float64Array, logDetBar: number, batch: number): Float64Array {
    const [scale, x] = [this.#scale, this.#x]
    const start = this.#moved.first * batch
    const moved = this.#moved.count * batch
    const xBar = yBar.slice()
    const netBar = new Float64Array(2 * moved)
    for (let i = 0; i < moved; i++) {
      const bar = yBar[start + i]!
      // y = x σ + shift, and d log σ / ds = 1 − σ, dσ / ds = σ (1 − σ)
      netBar[i] = (bar * x[start + i]! * scale[i]! + logDetBar) * (1 - scale[i]!)
      netBar[moved + i] = bar
      xBar[start + i] = bar * scale[i]!
    }
    const keptBar = this.#net.backward(netBar, batch)
    const keptStart = this.#kept.first * batch
    for (let i = 0; i < keptBar.length; i++) xBar[keptStart + i]! += keptBar[i]!
    return xBar
  }
}

/** y = W x with a dense W that starts at the identity: Glow's invertible 1×1 convolution (Kingma and Dhariwal 2018, §3.2). */
export class Mixing implements Layer {
  readonly #store: ParameterStore
  readonly #size: number
  readonly #offset: number
  #x: Float64Array = new Float64Array(0)

  constructor(store: ParameterStore, size: number) {
    this.#store = store
    this.#size = size
    this.#offset = store.claim(size * size)
  }

  get #weights() {
    return this.#store.weights(this.#offset, this.#size, this.#size)
  }

  initialise(): void {
    for (let i = 0; i < this.#size; i++) this.#store.values[this.#offset + i * (this.#size + 1)] = 1
  }

  forward(x: Float64Array, logDet: Float64Array): Float64Array {
    const { logAbsDet } = this.#inverted()
    const y = new Float64Array(x.length)
    multiply(this.#weights, x, y, logDet.length)
    for (let b = 0; b < logDet.length; b++) logDet[b]! += logAbsDet
    this.#x = x
    return y
  }

  inverse(y: Float64Array, batch: number): Float64Array {
    const x = new Float64Array(y.length)
    multiply({ ...this.#weights, values: this.#inverted().inverse, offset: 0 }, y, x, batch)
    return x
  }

  backward(yBar: Float64Array, logDetBar: number, batch: number): Float64Array {
    const gradients = this.#store.weightGradients(this.#offset, this.#size, this.#size)
    addOuterProduct(gradients, yBar, this.#x, batch)
    // ∂ log|det W| / ∂W = W⁻ᵀ, once for every row
    const { inverse } = this.#inverted()
    for (let o = 0; o < this.#size; o++)
      for (let i = 0; i < this.#size; i++)
        gradients.values[this.#offset + o * this.#size + i]! +=
          batch * logDetBar * inverse[i * this.#size + o]!
    const xBar = new Float64Array(yBar.length)
    multiply(transposed(this.#weights), yBar, xBar, batch)
    return xBar
  }

  #inverted() {
    const n = this.#size
    return invert(this.#store.values.slice(this.#offset, this.#offset + n * n), n)
  }
}

/** W⁻¹ and log|det W| of `matrix` (n, n), which it overwrites, by Gauss and Jordan with row exchanges. */
function invert(matrix: Float64Array, n: number): { inverse: Float64Array; logAbsDet: number } {
  const inverse = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0))
  let logAbsDet = 0
  for (let column = 0; column < n; column++) {
    let best = column
    for (let row = column + 1; row < n; row++)
      if (Math.abs(matrix[row * n + column]!) > Math.abs(matrix[best * n + column]!)) best = row
    for (const rows of [matrix, inverse]) {
      const held = rows.slice(best * n, (best + 1) * n)
      rows.copyWithin(best * n, column * n, (column + 1) * n)
      rows.set(held, column * n)
    }
    const pivot = matrix[column * n + column]!
    logAbsDet += Math.log(Math.abs(pivot))
    for (const rows of [matrix, inverse]) for (let i = 0; i < n; i++) rows[column * n + i]! /= pivot
    for (let row = 0; row < n; row++) {
      const factor = matrix[row * n + column]!
      if (row === column || factor === 0) continue
      for (const rows of [matrix, inverse])
        for (let i = 0; i < n; i++) rows[row * n + i]! -= factor * rows[column * n + i]!
    }
  }
  return { inverse, logAbsDet }
}
