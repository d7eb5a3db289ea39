import type { Flow } from '../flow'
import type { RealArray } from '../native/batch'
import { edgesOf, histogram } from './histogram'
import { type Match, matchOf } from './match'
import { pictureTolerance } from './plane'
import type { Quantity } from './quantity'
import { label, linear } from './scale'
import { axes, linePanel, type Margin, picture, textWithin } from './svg'
import { percent, scaleOf, valueText, viewOf } from './view'

/** Columns of data and samples, one by one. */

const WIDTH = 268
const MOST_BARS = 9
const BAR = 19

/** Bars of a category, else histograms, with the distance of the two. */
export function marginalPanel(quantity: Quantity): string {
  const match = matchOf(quantity)
  return quantity.levels
    ? bars(quantity, quantity.levels, match)
    : histogramPanel(quantity, `KS ${matchText(match)}`)
}

/** '0.021 (halves 0.018)' */
export function matchText({ distance, halves }: Match): string {
  return `${distance.toFixed(3)} (halves ${halves.toFixed(3)})`
}

function histogramPanel(quantity: Quantity, note: string): string {
  const { name, data, samples, atom, step } = quantity
  const view = viewOf(quantity)
  const edges = edgesOf(view, data.length, step)
  const form = { logarithmic: view.logarithmic, ...(atom !== undefined && { atom }) }
  const share = (values: Float64Array) => values.filter((value) => value === atom).length / values.length
  const remarks = [
    note,
    ...(atom === undefined
      ? []
      : [
          `${valueText(quantity, atom)}: ${percent(share(data))} of data, ${percent(share(samples))} of samples`
        ]),
    ...view.remarks
  ]
  // Bins of whole numbers may end beyond the view: the axis has room for them.
  const x = scaleOf(quantity, view.logarithmic, edges[0]!, edges.at(-1)!)
  return linePanel(
    name,
    [
      { name: 'data', class: 'data', x: edges, y: histogram(data, edges, form), filled: true, steps: true },
      { name: 'flow', class: 'model', x: edges, y: histogram(samples, edges, form), steps: true }
    ],
    { width: WIDTH, height: 205, x, notes: remarks, legend: false }
  )
}

/** Shares of the levels, those with most rows first, the rest together. */
function bars({ name, data, samples }: Quantity, levels: readonly string[], match: Match) {
  const shares = (values: Float64Array) => {
    const counts = new Float64Array(levels.length)
    for (const place of values) counts[place]! += 1 / values.length
    return counts
  }
  const [theirs, ours] = [shares(data), shares(samples)]
  const order = [...levels.keys()].sort((a, b) => theirs[b]! - theirs[a]!)
  const shown = order.slice(0, order.length > MOST_BARS ? MOST_BARS - 1 : MOST_BARS)
  const rest = order.slice(shown.length)
  const sum = (share: Float64Array) => rest.reduce((total, place) => total + share[place]!, 0)
  const rows = shown.map((place) => ({ name: levels[place]!, data: theirs[place]!, samples: ours[place]! }))
  if (rest.length > 0) rows.push({ name: `${rest.length} others`, data: sum(theirs), samples: sum(ours) })

  const longest = Math.max(...rows.map((row) => row.name.length))
  const margin: Margin = { left: Math.min(104, 18 + 6.5 * longest), right: 14, top: 44, bottom: 30 }
  const height = margin.top + margin.bottom + BAR * rows.length
  const most = Math.max(0.01, ...rows.flatMap((row) => [row.data, row.samples]))
  const empty = { place: () => 0, ticks: () => [], label: () => '' }
  const frame = {
    width: WIDTH,
    height,
    x: { ...linear(0, 100 * most), label: (value: number) => `${label(value)} %` },
    y: empty,
    title: name,
    notes: [`total variation ${matchText(match)}`],
    margin
  }
  const content = axes(frame, (toX) =>
    rows
      .map((row, i) => {
        const top = margin.top + BAR * i
        const bar = (share: number, tone: string, y: number) =>
          `<path class="bar ${tone}" d="M${margin.left} ${y}H${toX(100 * share).toFixed(1)}"/>`
        return (
          textWithin(row.name, 'label', {
            x: margin.left - 6,
            y: top + 13,
            room: margin.left - 8,
            anchor: 'end'
          }) +
          bar(row.data, 'data', top + 6) +
          bar(row.samples, 'model', top + 12.5)
        )
      })
      .join('')
  )
  return picture(WIDTH, height, name, content)
}

/** The density of a flow on the line beside the histogram of its data. */
export async function linePanels(flow: Flow, quantity: Quantity, data: RealArray): Promise<string[]> {
  // Dequantised rows are shown as the flow has them.
  const view = viewOf({ ...quantity, data: Float64Array.from(data) })
  const { lo, hi, logarithmic } = view
  const points = Float64Array.from({ length: 400 }, (_, i) =>
    logarithmic ? lo * (hi / lo) ** (i / 399) : lo + ((hi - lo) * i) / 399
  )
  // An evaluation takes points outside of the support too.
  const { logProb } = await flow.evaluate({ data: points, shape: [400, 1] }, pictureTolerance(flow))
  const density = Float64Array.from(logProb, (value, i) =>
    logarithmic ? Math.exp(value) * points[i]! * Math.LN10 : Math.exp(value)
  )
  const edges = edgesOf(view, data.length)
  const series = [
    { name: 'data', class: 'data', x: edges, y: histogram(data, edges, view), filled: true, steps: true },
    { name: 'flow', class: 'model', x: points, y: density }
  ] as const
  const notes = view.remarks
  return [
    linePanel('Density', [...series], { width: 560, height: 300, x: view.scale, xName: quantity.name, notes })
  ]
}
