import type { LawDataset } from 'ffjord'
import { RowRandom } from '../../lib/data/random'
import { AffineCoupling, type Layer, Mixing } from './layers'
import { Adam, ParameterStore } from './parameters'

export interface CouplingOptions {
  /** Columns of a row, D. */
  size: number
  /** Couplings; every other one swaps the halves. Default: 10. */
  depth?: number
  /** Hidden layers of the net in each coupling. Default: [64, 64]. */
  hidden?: readonly number[]
  /** A learned invertible mixing of the columns before each coupling, as in Glow; without it this is Real NVP. */
  mixing?: boolean
  /** Weights are drawn from it. Default: 0. */
  seed?: number
}

export interface CouplingTraining {
  iterations: number
  batch: number
  lr: number
  /** Default: 'adam'. */
  optimizer?: 'adam' | 'adamax'
  /** Iterations of linear warm-up before the cosine to 0. Default: 0. */
  warmup?: number
  signal?: AbortSignal
  /** Called after every iteration. */
  progress?: (iteration: number, loss: number) => void
}

/**
 * A discrete normalizing flow to compare continuous ones with: affine couplings, as FFJORD's train_discrete_toy.py builds them,
 * in float64 on the caller's thread. log p(x) = log N(z; 0, I) + Σ log|det|. Rows are (B, D) outside, (D, B) within.
 */
export class CouplingFlow {
  readonly size: number
  readonly #store = new ParameterStore()
  readonly #layers: Layer[] = []

  constructor({ size, depth = 10, hidden = [64, 64], mixing = false, seed = 0 }: CouplingOptions) {
    this.size = size
    for (let i = 0; i < depth; i++) {
      if (mixing) this.#layers.push(new Mixing(this.#store, size))
      this.#layers.push(new AffineCoupling(this.#store, size, hidden, i % 2 === 0))
    }
    this.#store.build()
    const random = new RowRandom(seed)
    random.seek(0)
    for (const layer of this.#layers) layer.initialise(random)
  }

  /** Weights and their gradients, views of what the flow computes with. */
  get parameters(): Float64Array {
    return this.#store.values
  }

  get gradients(): Float64Array {
    return this.#store.gradients
  }

  /** Data → base: z (B, D) and log|det ∂z/∂x| (B). */
  forward(x: ArrayLike<number>): { z: Float64Array; logDet: Float64Array } {
    const { rows, logDet } = this.#forward(this.#columns(x))
    return { z: this.#rows(rows), logDet }
  }

  /** Base → data, (B, D). */
  inverse(z: ArrayLike<number>): Float64Array {
    const batch = z.length / this.size
    return this.#rows(
      this.#layers.reduceRight<Float64Array>((y, layer) => layer.inverse(y, batch), this.#columns(z))
    )
  }

  /** log p of each row. */
  logProb(x: ArrayLike<number>): Float64Array {
    const { rows, logDet } = this.#forward(this.#columns(x))
    return logDet.map((value, b) => value + this.#logNormal(rows, b, logDet.length))
  }

  /** −mean log p(x); its gradients replace those of before. */
  loss(x: ArrayLike<number>): number {
    const { rows, logDet } = this.#forward(this.#columns(x))
    const batch = logDet.length
    let sum = 0
    for (let b = 0; b < batch; b++) sum += logDet[b]! + this.#logNormal(rows, b, batch)
    this.#store.gradients.fill(0)
    this.#layers.reduceRight<Float64Array>(
      (bar, layer) => layer.backward(bar, -1 / batch, batch),
      rows.map((value) => value / batch)
    )
    return -sum / batch
  }

  sample(count: number, { seed = 0 }: { seed?: number } = {}): Float64Array {
    const random = new RowRandom(seed)
    const z = new Float64Array(count * this.size)
    for (let b = 0; b < count; b++) {
      random.seek(b)
      for (let d = 0; d < this.size; d++) z[b * this.size + d] = random.normal()
    }
    return this.inverse(z)
  }

  /** Maximum likelihood on fresh rows of `data`; resolves to the seconds it took. */
  async fit(data: LawDataset, options: CouplingTraining): Promise<number> {
    const { iterations, batch, lr, optimizer = 'adam', warmup = 0, signal, progress } = options
    const adam = new Adam(optimizer, this.#store.size)
    const started = performance.now()
    for (let i = 0; i < iterations; i++) {
      const loss = this.loss(data.sample(batch).data)
      const share =
        i < warmup
          ? (i + 1) / warmup
          : (1 + Math.cos((Math.PI * (i - warmup)) / Math.max(1, iterations - warmup))) / 2
      adam.step(this.#store, lr * share)
      progress?.(i + 1, loss)
      if (i % 10 === 9) await new Promise(setImmediate) // lets signals through
      signal?.throwIfAborted()
    }
    return (performance.now() - started) / 1000
  }

  #forward(x: Float64Array): { rows: Float64Array; logDet: Float64Array } {
    const logDet = new Float64Array(x.length / this.size)
    return { rows: this.#layers.reduce<Float64Array>((y, layer) => layer.forward(y, logDet), x), logDet }
  }

  #logNormal(rows: Float64Array, row: number, batch: number): number {
    let square = 0
    for (let d = 0; d < this.size; d++) square += rows[d * batch + row]! ** 2
    return -(square + this.size * Math.log(2 * Math.PI)) / 2
  }

  #columns(rows: ArrayLike<number>): Float64Array {
    const batch = rows.length / this.size
    return Float64Array.from(
      { length: rows.length },
      (_, i) => rows[(i % batch) * this.size + Math.floor(i / batch)]!
    )
  }

  #rows(columns: Float64Array): Float64Array {
    const batch = columns.length / this.size
    return columns.map((_, i) => columns[(i % this.size) * batch + Math.floor(i / this.size)]!)
  }
}
