import type { Matrix } from './products'

/** Weights of a model and their gradients, each in one flat array. Layers claim their parts before it is built. */
export class ParameterStore {
  size = 0
  values = new Float64Array(0)
  gradients = new Float64Array(0)

  /** Offset of the next `count` numbers. */
  claim(count: number): number {
    const offset = this.size
    this.size += count
    return offset
  }

  /** After every layer has claimed its part. */
  build(): void {
    this.values = new Float64Array(this.size)
    this.gradients = new Float64Array(this.size)
  }

  weights(offset: number, outputs: number, inputs: number): Matrix {
    return { values: this.values, offset, outputs, inputs, outputStride: inputs, inputStride: 1 }
  }

  weightGradients(offset: number, outputs: number, inputs: number): Matrix {
    return { values: this.gradients, offset, outputs, inputs, outputStride: inputs, inputStride: 1 }
  }
}

/** One step of Adam or Adamax (Kingma and Ba 2015, algorithms 1 and 2) on flat arrays. */
export class Adam {
  readonly #first: Float64Array
  readonly #second: Float64Array
  #step = 0

  constructor(
    readonly type: 'adam' | 'adamax',
    size: number
  ) {
    this.#first = new Float64Array(size)
    this.#second = new Float64Array(size)
  }

  step({ values, gradients }: ParameterStore, rate: number): void {
    const [beta1, beta2, epsilon] = [0.9, 0.999, 1e-8]
    this.#step++
    const first = this.#first
    const second = this.#second
    const scale = rate / (1 - beta1 ** this.#step)
    const correction = 1 / (1 - beta2 ** this.#step)
    for (let i = 0; i < values.length; i++) {
      const gradient = gradients[i]!
      first[i] = beta1 * first[i]! + (1 - beta1) * gradient
      if (this.type === 'adamax') {
        second[i] = Math.max(beta2 * second[i]!, Math.abs(gradient) + epsilon)
        values[i]! -= (scale * first[i]!) / second[i]!
      } else {
        second[i] = beta2 * second[i]! + (1 - beta2) * gradient * gradient
        values[i]! -= (scale * first[i]!) / (Math.sqrt(second[i]! * correction) + epsilon)
      }
    }
  }
}
