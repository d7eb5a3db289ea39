import { sizeOf } from '../batch'
import type { Dataset } from '../dataset'
import type { Flow } from '../flow'
import { decodeColumns } from '../table/schema'
import { pictureTolerance } from './plane'
import type { Listing } from './report'
import { label } from './scale'
import { linePanel, type Series } from './svg'

/** Log-densities of the parts of a data set, and the rows at their ends. */

const MOST_ROWS = 5000
const LISTED = 5
const MOST_COLUMNS = 10
const BINS = 60

export interface Scores {
  name: 'train' | 'validation' | 'test'
  rows: Float32Array
  logProb: Float32Array
}

export async function score(flow: Flow, name: Scores['name'], data: Dataset): Promise<Scores> {
  const rows = Float32Array.from((await data.take(Math.min(MOST_ROWS, data.rows))).data)
  return { name, rows, logProb: await flow.logProb(rows, pictureTolerance(flow)) }
}

/** Histograms of log p over each part: they agree where the flow has learnt what the parts share. */
export function scorePanel(scores: readonly Scores[]): string {
  const all = Float64Array.from(scores.flatMap(({ logProb }) => [...logProb])).sort()
  const lo = all[Math.floor(0.005 * all.length)]!
  const hi = Math.max(all[all.length - 1]!, lo + 1e-6)
  const edges = Float64Array.from({ length: BINS + 1 }, (_, i) => lo + ((hi - lo) * i) / BINS)
  const classes = { train: 'data', validation: 'validation', test: 'model' } as const
  const series = scores.map(({ name, logProb }): Series => {
    const density = new Float64Array(BINS + 1)
    for (const value of logProb) {
      const bin = Math.min(BINS - 1, Math.floor(((value - lo) / (hi - lo)) * BINS))
      if (bin >= 0) density[bin]! += BINS / ((hi - lo) * logProb.length)
    }
    density[BINS] = density[BINS - 1]!
    return { name, class: classes[name], x: edges, y: density, steps: true, filled: name === 'train' }
  })
  return linePanel('log p, nats', series, { width: 520, height: 280, x: [lo, hi] })
}

/** The rows of largest and smallest density. */
export function extremes(flow: Flow, { name, rows, logProb }: Scores, names: readonly string[]): Listing[] {
  const columns = flow.table?.columns ?? names.map((one) => ({ name: one, type: 'real' as const }))
  const width = sizeOf(flow.shape)
  const order = Array.from(logProb.keys()).sort((a, b) => logProb[b]! - logProb[a]!)
  const listing = (title: string, chosen: number[]): Listing => ({
    title,
    header: ['log p', ...columns.slice(0, MOST_COLUMNS).map((column) => column.name)],
    rows: chosen.map((row) => [
      label(+logProb[row]!.toFixed(2)),
      ...decodeColumns(columns, rows.subarray(row * width, (row + 1) * width))
        .slice(0, MOST_COLUMNS)
        .map(({ values }) =>
          typeof values[0] === 'number' ? label(+values[0].toPrecision(4)) : String(values[0])
        )
    ])
  })
  return [
    listing(`Most likely rows (${name})`, order.slice(0, LISTED)),
    listing(`Least likely rows (${name})`, order.slice(-LISTED).reverse())
  ]
}
