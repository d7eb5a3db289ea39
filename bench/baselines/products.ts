/** Products of matrices as the nets here need them. Activations are (features, B), so that the inner loops run along rows. */

/** A matrix (outputs, inputs) in a flat array: entry (o, i) is at offset + o · outputStride + i · inputStride. */
export interface Matrix {
  values: Float64Array
  offset: number
  outputs: number
  inputs: number
  outputStride: number
  inputStride: number
}

export function transposed(matrix: Matrix): Matrix {
  const { outputs, inputs, outputStride, inputStride } = matrix
  return {
    ...matrix,
    outputs: inputs,
    inputs: outputs,
    outputStride: inputStride,
    inputStride: outputStride
  }
}

/** y += W x; x (inputs, B), y (outputs, B). */
export function multiply(matrix: Matrix, x: Float64Array, y: Float64Array, batch: number): void {
  const { values, offset, outputs, inputs, outputStride, inputStride } = matrix
  for (let o = 0; o < outputs; o++) {
    const row = y.subarray(o * batch, (o + 1) * batch)
    const start = offset + o * outputStride
    let i = 0
    for (; i + 4 <= inputs; i += 4) {
      const w0 = values[start + i * inputStride]!
      const w1 = values[start + (i + 1) * inputStride]!
      const w2 = values[start + (i + 2) * inputStride]!
      const w3 = values[start + (i + 3) * inputStride]!
      const [x0, x1, x2, x3] = [i * batch, (i + 1) * batch, (i + 2) * batch, (i + 3) * batch]
      for (let b = 0; b < batch; b++)
        row[b]! += w0 * x[x0 + b]! + w1 * x[x1 + b]! + w2 * x[x2 + b]! + w3 * x[x3 + b]!
    }
    for (; i < inputs; i++) {
      const w = values[start + i * inputStride]!
      for (let b = 0; b < batch; b++) row[b]! += w * x[i * batch + b]!
    }
  }
}

/** W̄ += ȳ xᵀ, into `matrix`; ȳ (outputs, B), x (inputs, B). */
export function addOuterProduct(matrix: Matrix, yBar: Float64Array, x: Float64Array, batch: number): void {
  const { values, offset, outputs, inputs, outputStride, inputStride } = matrix
  for (let o = 0; o < outputs; o++) {
    const row = yBar.subarray(o * batch, (o + 1) * batch)
    const start = offset + o * outputStride
    let i = 0
    for (; i + 4 <= inputs; i += 4) {
      const [x0, x1, x2, x3] = [i * batch, (i + 1) * batch, (i + 2) * batch, (i + 3) * batch]
      let [s0, s1, s2, s3] = [0, 0, 0, 0]
      for (let b = 0; b < batch; b++) {
        const bar = row[b]!
        s0 += bar * x[x0 + b]!
        s1 += bar * x[x1 + b]!
        s2 += bar * x[x2 + b]!
        s3 += bar * x[x3 + b]!
      }
      values[start + i * inputStride]! += s0
      values[start + (i + 1) * inputStride]! += s1
      values[start + (i + 2) * inputStride]! += s2
      values[start + (i + 3) * inputStride]! += s3
    }
    for (; i < inputs; i++) {
      let sum = 0
      for (let b = 0; b < batch; b++) sum += row[b]! * x[i * batch + b]!
      values[start + i * inputStride]! += sum
    }
  }
}
