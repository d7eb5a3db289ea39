import { categorical, linear, logarithmic, type Scale } from './scale'
import { FIGURE_STYLE } from './style'
import { axes, escapeText, figure, type Margin, picture } from './svg'

export interface ChartSeries {
  name: string
  points: readonly { x: number; y: number }[]
  /** Dots without a line through them. */
  scattered?: boolean
}

export interface Chart {
  title: string
  xName: string
  yName?: string
  logX?: boolean
  logY?: boolean
  /** Names of the lines that y counts, in place of a scale. */
  categories?: readonly string[]
  series: readonly ChartSeries[]
  width?: number
  height?: number
}

/** Height of a row of the legend. */
const LEGEND_ROW = 17

/** Measured points on axes with names, each series in a colour of its own, as an SVG file that stands alone. */
export function chart(charts: readonly Chart[]): string {
  return figure(charts.map(chartPanel), FIGURE_STYLE)
}

export function chartPanel({ categories, ...panel }: Chart): string {
  const { title, series, width = 360, height = 280 } = panel
  const left = categories
    ? 24 + 7 * Math.max(...categories.map(({ length }) => length))
    : panel.yName
      ? 62
      : 44
  const right = 14
  const entries = series.length > 1 ? legendEntries(series, left, width - right) : []
  const legendRows = entries.length > 0 ? entries.at(-1)!.row + 1 : 0
  const margin: Margin = { left, right, top: 28 + LEGEND_ROW * legendRows, bottom: 46 }
  const visible = ({ x, y }: { x: number; y: number }) =>
    Number.isFinite(x) && Number.isFinite(y) && !(panel.logX && x <= 0) && !(panel.logY && y <= 0)
  const points = series.flatMap((one) => one.points.filter(visible))
  const x = scale(
    points.map((point) => point.x),
    panel.logX
  )
  const y = categories
    ? categorical(categories)
    : scale(
        points.map((point) => point.y),
        panel.logY
      )
  const content = axes({ width, height, x, y, title, grid: true, margin }, (toX, toY) =>
    series
      .map(({ points, scattered }, index) => {
        const placed = points
          .filter(visible)
          .map((point) => `${toX(point.x).toFixed(1)} ${toY(point.y).toFixed(1)}`)
        const line = scattered ? '' : `<path class="line hue${index}" d="M${placed.join('L')}"/>`
        return `${line}<path class="dots hue${index}" d="${placed.map((at) => `M${at}h0`).join('')}"/>`
      })
      .join('')
  )
  const names = [
    axisName(panel.xName, (margin.left + width - margin.right) / 2, height - 8),
    panel.yName ? axisName(panel.yName, 13, (margin.top + height - margin.bottom) / 2, true) : '',
    legend(entries)
  ]
  return picture(width, height, title, content + names.join(''))
}

/** Around the values, with a margin. */
function scale(values: readonly number[], log = false): Scale {
  const [lo, hi] = [Math.min(...values), Math.max(...values)]
  if (!(lo <= hi)) return linear(0, 1)
  if (log) {
    const margin = (hi / lo) ** 0.05 * 1.1
    return logarithmic(lo / margin, hi * margin)
  }
  const margin = 0.06 * (hi - lo) || 0.5
  return linear(lo >= 0 ? Math.max(0, lo - margin) : lo - margin, hi + margin)
}

function axisName(text: string, x: number, y: number, vertical = false): string {
  const turn = vertical ? ` transform="rotate(-90 ${x} ${y})"` : ''
  return `<text class="label" x="${x}" y="${y}" text-anchor="middle"${turn}>${escapeText(text)}</text>`
}

interface LegendEntry {
  text: string
  x: number
  /** Row of the legend. */
  row: number
}

/** Where the names of the series go: in rows from `left` to `right`. */
function legendEntries(series: readonly ChartSeries[], left: number, right: number): LegendEntry[] {
  let [x, row] = [left, 0]
  return series.map(({ name }) => {
    const width = 19 + 6.1 * name.length
    if (x > left && x + width > right) [x, row] = [left, row + 1]
    const entry = { text: name, x, row }
    x += width + 12
    return entry
  })
}

function legend(entries: readonly LegendEntry[]): string {
  return entries
    .map(({ text, x, row }, index) => {
      const y = 32 + LEGEND_ROW * row
      return (
        `<path class="line hue${index}" d="M${x} ${y}h14"/>` +
        `<text class="label" x="${x + 19}" y="${y + 4}">${escapeText(text)}</text>`
      )
    })
    .join('')
}
