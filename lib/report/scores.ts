import { ArrayDataset, type Dataset } from '../data/dataset'
import { type Column, orderedContext, tableWidth } from '../data/schema'
import type { Flow } from '../flow'
import { type RealArray, sizeOf } from '../native/batch'
import { pictureTolerance } from './plane'
import { plainColumns, quantitiesOf } from './quantity'
import type { Listing } from './report'
import { label } from './scale'
import { linePanel, type Series } from './svg'
import { valueText } from './view'

/** Log-densities of the parts of a data set, and the rows at their ends. */

const MOST_ROWS = 5000
/** How many dequantised rows are scored, and the draws of each: enough for a histogram. */
const MOST_CELL_ROWS = 1000
const HISTOGRAM_DRAWS = 64
const LISTED = 5
const MOST_COLUMNS = 10
const BINS = 60

export interface Scores {
  name: 'train' | 'validation' | 'test' | 'data'
  rows: RealArray
  /** What each row is conditioned on, and the names of its elements. */
  context?: RowContext
  logProb: Float64Array
}

/** (rows, columns.length) numbers of context. */
export interface RowContext {
  data: RealArray
  columns: readonly string[]
}

/** The first rows of a data set, with the context of each. */
export async function firstRows(
  data: Dataset,
  count: number
): Promise<{ rows: RealArray; context?: RowContext }> {
  const taken = await data.take(Math.min(count, data.rows))
  const rows = taken.data
  if (!taken.context) return { rows }
  const { size, columns = Array.from({ length: size }, (_, i) => `c${i + 1}`) } = taken.context
  return { rows, context: { data: taken.contextData!, columns } }
}

/** The context of `count` rows as a call takes it; nothing where there is none. */
export function contextOption(context: RowContext | undefined, count: number) {
  if (!context) return {}
  const size = context.columns.length
  return { context: { data: context.data.subarray(0, count * size), shape: [count, size] } }
}

/** `known` are log-densities of the first rows, where these were scored already. */
export async function score(
  flow: Flow,
  name: Scores['name'],
  data: Dataset,
  { known, signal }: { known?: Float64Array | undefined; signal?: AbortSignal | undefined } = {}
): Promise<Scores> {
  const cells = data instanceof ArrayDataset && data.cells !== undefined
  const count = known ? Math.min(known.length, MOST_ROWS) : cells ? MOST_CELL_ROWS : MOST_ROWS
  const { rows, context } = await firstRows(data, count)
  const call = { draws: HISTOGRAM_DRAWS, ...pictureTolerance(flow), ...(signal && { signal }) }
  const logProb =
    known?.subarray(0, count) ??
    (await flow.evaluate(data, { ...call, rows: Math.min(count, data.rows) })).logProb
  return { name, rows, ...(context && { context }), logProb }
}

/** Histograms of log p over each part: they agree where the flow has learnt what the parts share. */
export function scorePanel(scores: readonly Scores[]): string {
  const all = Float64Array.from(scores.flatMap(({ logProb }) => [...logProb])).sort()
  const lo = all[Math.floor(0.005 * all.length)]!
  const hi = Math.max(all[all.length - 1]!, lo + 1e-6)
  const edges = Float64Array.from({ length: BINS + 1 }, (_, i) => lo + ((hi - lo) * i) / BINS)
  const classes = { train: 'data', validation: 'validation', test: 'model', data: 'data' } as const
  const series = scores.map(({ name, logProb }): Series => {
    const density = new Float64Array(BINS + 1)
    for (const value of logProb) {
      const bin = Math.min(BINS - 1, Math.floor(((value - lo) / (hi - lo)) * BINS))
      if (bin >= 0) density[bin]! += BINS / ((hi - lo) * logProb.length)
    }
    density[BINS] = density[BINS - 1]!
    return { name, class: classes[name], x: edges, y: density, steps: true, filled: classes[name] === 'data' }
  })
  return linePanel('log p, nats', series, { width: 420, height: 260, x: [lo, hi] })
}

/** The rows of largest and smallest density, with the context of each. */
export function extremes(
  flow: Flow,
  { name, rows, context, logProb }: Scores,
  names: readonly string[]
): Listing[] {
  const columns = (flow.table?.columns ?? plainColumns(names)).slice(0, MOST_COLUMNS)
  const given = context ? contextColumns(flow, context).slice(0, MOST_COLUMNS) : []
  const width = sizeOf(flow.shape)
  const size = context?.columns.length ?? 0
  const order = Array.from(logProb.keys()).sort((a, b) => logProb[b]! - logProb[a]!)
  const listing = (title: string, chosen: number[]): Listing => ({
    title,
    header: [
      'log p',
      ...columns.map((column) => column.name),
      ...given.map((column) => `given ${column.name}`)
    ],
    rows: chosen.map((row) => [
      label(+logProb[row]!.toFixed(2)),
      ...cells(columns, rows.subarray(row * width, (row + 1) * width)),
      ...(context ? cells(given, context.data.subarray(row * size, (row + 1) * size)) : [])
    ])
  })
  return [
    listing(`Most likely rows (${name})`, order.slice(0, LISTED)),
    listing(`Least likely rows (${name})`, order.slice(-LISTED).reverse())
  ]
}

/** The columns of a context in the order of its elements. */
function contextColumns(flow: Flow, { columns: elements }: RowContext): Column[] {
  return orderedContext(flow.table, elements) ?? plainColumns(elements)
}

/** One row's elements as the cells of its columns; elements of columns left out follow the others. */
function cells(columns: readonly Column[], row: RealArray): string[] {
  const own = row.subarray(0, tableWidth(columns))
  return quantitiesOf(columns, own, own).map(({ data, ...quantity }) => {
    const exact = quantity.levels || quantity.clock || quantity.step !== undefined
    return valueText(quantity, exact ? data[0]! : +data[0]!.toPrecision(5))
  })
}
