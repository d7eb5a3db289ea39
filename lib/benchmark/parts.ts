import { ArrayDataset } from '../data/dataset'

/** Rows (n, width) in float64, as the published programs compute. */
export interface Matrix {
  data: Float64Array
  width: number
}

/** Training, validation and test rows, and what sets them apart from the published ones. */
export interface BenchmarkParts {
  train: ArrayDataset
  validation: ArrayDataset
  test: ArrayDataset
}

export function rowsOf({ data, width }: Matrix): number {
  return data.length / width
}

export function slice({ data, width }: Matrix, first: number, last: number): Matrix {
  return { data: data.subarray(first * width, last * width), width }
}

/** The matrix with these columns alone, in this order. */
export function pick(matrix: Matrix, columns: readonly number[]): Matrix {
  const rows = rowsOf(matrix)
  const data = new Float64Array(rows * columns.length)
  columns.forEach((column, c) => {
    for (let row = 0; row < rows; row++)
      data[row * columns.length + c] = matrix.data[row * matrix.width + column]!
  })
  return { data, width: columns.length }
}

/** Mean and deviation of each column; `degrees` are taken from the number of rows (0 in NumPy, 1 in pandas). */
export function momentsOf(matrix: Matrix, degrees: 0 | 1): { mean: Float64Array; deviation: Float64Array } {
  const { data, width } = matrix
  const rows = rowsOf(matrix)
  const mean = new Float64Array(width)
  const deviation = new Float64Array(width)
  for (let i = 0; i < data.length; i++) mean[i % width]! += data[i]!
  for (let c = 0; c < width; c++) mean[c]! /= rows
  for (let i = 0; i < data.length; i++) deviation[i % width]! += (data[i]! - mean[i % width]!) ** 2
  for (let c = 0; c < width; c++) deviation[c] = Math.sqrt(deviation[c]! / (rows - degrees))
  return { mean, deviation }
}

/** (x − mean) / deviation, in place. */
export function normalise(
  { data, width }: Matrix,
  { mean, deviation }: { mean: Float64Array; deviation: Float64Array }
): void {
  for (let i = 0; i < data.length; i++) data[i] = (data[i]! - mean[i % width]!) / deviation[i % width]!
}

/** Test: the last tenth; validation: the last tenth of the rest. Numbers of rows are rounded down. */
export function lastTenths(matrix: Matrix): {
  train: Matrix
  validation: Matrix
  test: Matrix
  known: Matrix
} {
  const rows = rowsOf(matrix)
  const known = rows - Math.floor(0.1 * rows)
  const train = known - Math.floor(0.1 * known)
  return {
    train: slice(matrix, 0, train),
    validation: slice(matrix, train, known),
    test: slice(matrix, known, rows),
    known: slice(matrix, 0, known)
  }
}

export function dataset({ data, width }: Matrix): ArrayDataset {
  return new ArrayDataset(Float32Array.from(data), [width])
}

export function datasets(parts: { train: Matrix; validation: Matrix; test: Matrix }): BenchmarkParts {
  return { train: dataset(parts.train), validation: dataset(parts.validation), test: dataset(parts.test) }
}

/** Columns whose smallest value occurs at most five times: others are no densities. */
export function continuousColumns(matrix: Matrix): number[] {
  const { data, width } = matrix
  return Array.from({ length: width }, (_, column) => column).filter((column) => {
    let least = Infinity
    let count = 0
    for (let i = column; i < data.length; i += width) {
      if (data[i]! < least) {
        least = data[i]!
        count = 0
      }
      if (data[i] === least) count++
    }
    return count <= 5
  })
}
