import type { RowRandom } from '../../lib/data/random'
import type { ParameterStore } from './parameters'
import { addOuterProduct, multiply, transposed } from './products'

/** A dense net with ReLU between its layers and its gradient by hand. Activations are (width, B). */
export class Mlp {
  readonly #store: ParameterStore
  readonly #widths: readonly number[]
  /** Weights (outputs, inputs) of each layer, then its biases. */
  readonly #offsets: { weight: number; bias: number }[]
  /** What went into each layer in the last forward pass. */
  #inputs: Float64Array[] = []

  constructor(store: ParameterStore, widths: readonly number[]) {
    this.#store = store
    this.#widths = widths
    this.#offsets = widths.slice(1).map((outputs, layer) => ({
      weight: store.claim(outputs * widths[layer]!),
      bias: store.claim(outputs)
    }))
  }

  /** Uniform in ±1/√inputs, PyTorch's default. */
  initialise(random: RowRandom): void {
    this.#offsets.forEach(({ weight, bias }, layer) => {
      const [inputs, outputs] = [this.#widths[layer]!, this.#widths[layer + 1]!]
      const draw = (offset: number, count: number) => {
        for (let i = 0; i < count; i++)
          this.#store.values[offset + i] = (2 * random.uniform() - 1) / Math.sqrt(inputs)
      }
      draw(weight, inputs * outputs)
      draw(bias, outputs)
    })
  }

  forward(x: Float64Array, batch: number): Float64Array {
    this.#inputs = []
    let current = x
    this.#offsets.forEach(({ weight, bias }, layer) => {
      const [inputs, outputs] = [this.#widths[layer]!, this.#widths[layer + 1]!]
      this.#inputs.push(current)
      const next = new Float64Array(outputs * batch)
      for (let o = 0; o < outputs; o++) next.fill(this.#store.values[bias + o]!, o * batch, (o + 1) * batch)
      multiply(this.#store.weights(weight, outputs, inputs), current, next, batch)
      if (layer + 1 < this.#offsets.length)
        for (let i = 0; i < next.length; i++) if (next[i]! < 0) next[i] = 0
      current = next
    })
    return current
  }

  /** Cotangent of the last forward pass's result → cotangent of its input; adds to the gradients. */
  backward(bar: Float64Array, batch: number): Float64Array {
    let current = bar
    for (let layer = this.#offsets.length - 1; layer >= 0; layer--) {
      const { weight, bias } = this.#offsets[layer]!
      const [inputs, outputs] = [this.#widths[layer]!, this.#widths[layer + 1]!]
      const x = this.#inputs[layer]!
      addOuterProduct(this.#store.weightGradients(weight, outputs, inputs), current, x, batch)
      for (let o = 0; o < outputs; o++) {
        let sum = 0
        for (let b = 0; b < batch; b++) sum += current[o * batch + b]!
        this.#store.gradients[bias + o]! += sum
      }
      const previous = new Float64Array(inputs * batch)
      multiply(transposed(this.#store.weights(weight, outputs, inputs)), current, previous, batch)
      // x came out of a ReLU, but for the net's own input.
      if (layer > 0) for (let i = 0; i < previous.length; i++) if (x[i] === 0) previous[i] = 0
      current = previous
    }
    return current
  }
}
