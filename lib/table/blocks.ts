import { types } from 'node:util'
import { cholesky, columnMoments, covariance, invertLower } from '../data/cholesky'
import { type Column, checkColumns, elementNames, supportOf } from '../data/schema'
import { onLine } from '../data/support'
import type { Block } from '../flow/options'
import { isReal } from '../native/batch'
import { choice, fail, show } from '../native/check'

/** Rows that statistics are taken of; more change little. */
const MOST_ROWS = 200_000

/** Whitening takes many more rows than columns, and its matrix stands in the model file. */
const MOST_WHITENED = 256

/** Share of its variance that the columns before a column must leave open. */
const FREE = 1e-10

/** Mean over deviation, beyond which numbers leave less than two digits of a value. */
const MOST_OFFSET = { float32: 1e5, float64: 1e13 }

/**
 * The fixed blocks before a flow on a table: columns from their intervals onto the line, then to mean 0 and covariance 1
 * ('whiten'), or deviation 1 alone ('standardize').
 * @param data (rows, D)
 */
export function tableBlocks(
  columns: readonly Column[],
  data: Float32Array | Float64Array,
  scaling: 'whiten' | 'standardize' | 'none'
): Block[] {
  const checked = checkColumns(columns, 'columns')
  const names = elementNames(checked)
  const width = names.length
  if (!isReal(data) || data.length === 0 || data.length % width !== 0)
    fail(
      'INVALID_INPUT',
      `data is ${show(data)}; give a Float32Array or Float64Array of ${width} numbers a row`
    )
  choice(scaling, 'scaling', ['whiten', 'standardize', 'none'])
  const rows = data.subarray(0, MOST_ROWS * width)
  const support = supportOf(checked)
  const blocks: Block[] = support ? [{ type: 'support', ...support }] : []
  if (scaling === 'none') return blocks
  const line = support ? onLine(rows, support).rows : rows
  const { mean, scale } = columnMoments(line, width)
  const constant = scale.findIndex((deviation) => !(deviation > 0))
  if (constant >= 0)
    fail(
      'INVALID_INPUT',
      `column '${names[constant]}' is constant; leave it out (exclude: ['${names[constant]}'])`
    )
  const precision = types.isFloat64Array(data) ? 'float64' : 'float32'
  const rigid = scale.findIndex((deviation, i) => Math.abs(mean[i]!) > MOST_OFFSET[precision] * deviation)
  if (rigid >= 0)
    fail(
      'INVALID_INPUT',
      `column '${names[rigid]}' varies by ${scale[rigid]!.toPrecision(2)} around ${mean[rigid]!.toPrecision(6)}, which ${precision} ` +
        `cannot hold; ${precision === 'float32' ? "give the rows in float64 (precision: 'float64')" : `subtract a constant from the column, or leave it out (exclude: ['${names[rigid]}'])`}`
    )
  if (scaling === 'standardize' || width > MOST_WHITENED || rows.length / width <= 5 * width)
    return [...blocks, { type: 'standardize', mean, scale }]
  const { covariance: matrix } = covariance(line, width)
  const result = cholesky(matrix, width, FREE)
  if ('failed' in result) {
    const all = dependentOf(matrix, width).map((place) => `'${names[place]}'`)
    const list = all.join(', ')
    const [are, them] =
      all.length === 1
        ? [`column ${list} is a linear combination of the columns before it`, 'it']
        : [`columns ${list} are linear combinations of the columns before each of them`, 'them']
    fail(
      'INVALID_INPUT',
      `${are}, so that a density would be infinite; leave ${them} out (exclude: [${list}])`
    )
  }
  return [...blocks, { type: 'whiten', mean, matrix: [...invertLower(result.factor, width)] }]
}

/** The columns that are linear combinations of those before them, all at once. */
function dependentOf(covariance: ArrayLike<number>, width: number): number[] {
  const [free, found]: [number[], number[]] = [Array.from({ length: width }, (_, i) => i), []]
  for (;;) {
    const rest = free.flatMap((row) => free.map((column) => covariance[row * width + column]!))
    const result = cholesky(rest, free.length, FREE)
    if (!('failed' in result)) return found
    found.push(...free.splice(result.failed, 1))
  }
}
