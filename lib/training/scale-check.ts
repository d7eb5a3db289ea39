import { columnMoments } from '../data/cholesky'
import type { Dataset, Feed } from '../data/dataset'
import { onLine } from '../data/support'
import { visitedRows } from '../data/visit'
import { standardized } from '../flow/context'
import type { NativeArray, NativeBlock, NativeDescription } from '../native/interface'
import type { UnscaledData } from './fit-warning'

/**
 * Whether the rows that training begins with are of a size that a flow can learn. A CNF block moves points by about
 * one, from the data to N(0, I): data at 1e6, or that vary by 1e-4, train to garbage without an error.
 */

/** Rows that are looked at. */
const mostRows = 2000
/** |mean| and deviation above, and deviation below which a column is unscaled. */
const large = 30
const small = 0.01

export function checkScale(
  { shape, blocks, context }: NativeDescription,
  feed: Feed,
  data: Dataset
): UnscaledData | undefined {
  const indices = feed.indices.subarray(0, mostRows)
  const width = shape.reduce((product, size) => product * size, 1)
  const seen = beforeFirstSolve(firstRows(feed, indices, width), blocks)
  // Pixels of an image share a law: those that are dark in every image vary by their noise alone, and harm nothing.
  const isImage = shape.length === 3
  const own = seen && furthest(seen, isImage ? 1 : width, small)
  if (own) {
    const column = data.columns?.[own.place] ?? `x${own.place + 1}`
    return warning(
      column,
      isImage ? 'the pixels of an image have' : `column '${column}' has`,
      own,
      "where the first CNF block begins; put blocks that scale before it, [...(await scalingBlocks(data)), { type: 'cnf', … }]"
    )
  }
  if (!context || !feed.context) return undefined
  // A context that hardly varies does no harm.
  const given = furthest(standardized(context, picked(feed.context, indices, context.size)), context.size, 0)
  if (!given) return undefined
  const column = data.context?.columns?.[given.place] ?? `number ${given.place + 1}`
  return warning(
    column,
    `column '${column}' has`,
    given,
    'as a context; create the flow with { context: { size, mean, scale } }, its own mean and deviation'
  )
}

function warning(column: string, what: string, { mean, deviation }: Moments, remedy: string): UnscaledData {
  const message =
    `${what} mean ${mean.toPrecision(3)} and deviation ${deviation.toPrecision(3)}, far from the 0 and 1 ` +
    `that flows are made for, ${remedy}`
  return { code: 'UNSCALED_DATA', iteration: 0, column, mean, deviation, message }
}

interface Moments {
  place: number
  mean: number
  deviation: number
}

/** The column that is furthest from a size that a flow can learn. */
function furthest(rows: ArrayLike<number>, width: number, least: number): Moments | undefined {
  const { mean, scale } = columnMoments(rows, width)
  const columns = scale.map((deviation, place) => ({ place, mean: mean[place]!, deviation }))
  const excess = ({ mean, deviation }: Moments) =>
    Math.max(Math.abs(mean) / large, deviation / large, deviation > 0 ? least / deviation : 0)
  const worst = columns.reduce((most, one) => (excess(one) > excess(most) ? one : most))
  return excess(worst) > 1 ? worst : undefined
}

function firstRows({ data, epochs }: Feed, indices: Uint32Array, width: number): Float64Array {
  return 'levels' in data ? visitedRows(data, width, indices, epochs![0]!) : picked(data, indices, width)
}

function picked(values: NativeArray, indices: Uint32Array, width: number): Float64Array {
  const rows = new Float64Array(indices.length * width)
  indices.forEach((row, i) => {
    rows.set(values.subarray(row * width, (row + 1) * width), i * width)
  })
  return rows
}

/** The rows through the fixed blocks before the first CNF block; undefined where a block there scales by the batch. */
function beforeFirstSolve(rows: Float64Array, blocks: readonly NativeBlock[]): Float64Array | undefined {
  let seen = rows
  for (const block of blocks) {
    switch (block.type) {
      case 'cnf':
        return seen
      case 'zero_mean':
        seen = seen.map((value) => value - 0.5)
        break
      case 'logit':
        seen = seen.map((value) => {
          const share = block.alpha + (1 - 2 * block.alpha) * value
          return Math.log(share / (1 - share))
        })
        break
      case 'support':
        seen = onLine(seen, block).rows
        break
      case 'standardize': {
        const { mean, scale } = block
        seen = seen.map((value, i) => (value - mean[i % mean.length]!) / scale[i % mean.length]!)
        break
      }
      case 'whiten':
        seen = whitened(seen, block.mean, block.matrix)
        break
      default:
        return undefined
    }
  }
  return undefined
}

function whitened(rows: Float64Array, mean: readonly number[], matrix: readonly number[]): Float64Array {
  const width = mean.length
  return rows.map((_, at) => {
    const i = at % width
    let sum = 0
    for (let j = 0; j <= i; j++) sum += matrix[i * width + j]! * (rows[at - i + j]! - mean[j]!)
    return sum
  })
}
