import type { Extent } from './raster'
import { linear, type Scale } from './scale'

/** Figures as SVG text. Strokes and letters take the colour of the text around (`currentColor`), series have classes. */

const escapes: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

/** Text made safe for HTML and XML. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (letter) => escapes[letter]!)
}

export interface Margin {
  left: number
  right: number
  top: number
  bottom: number
}

const MARGIN: Margin = { left: 44, right: 12, top: 26, bottom: 30 }

interface Frame {
  width: number
  height: number
  x: Scale
  y: Scale
  title: string
  margin?: Margin
  /** Draw horizontal grid lines. */
  grid?: boolean
}

/** Axes around marks; `marks` receives the maps from data to picture coordinates. */
export function axes(
  { width, height, x, y, title, grid, margin = MARGIN }: Frame,
  marks: (toX: (value: number) => number, toY: (value: number) => number) => string
): string {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom }
  const toX = (value: number) => margin.left + x.place(value) * inner.width
  const toY = (value: number) => margin.top + (1 - y.place(value)) * inner.height
  const bottom = margin.top + inner.height
  const parts = [`<text class="title" x="${margin.left}" y="16">${escapeText(title)}</text>`, marks(toX, toY)]
  for (const value of x.ticks(Math.max(3, inner.width / 60))) {
    const at = toX(value).toFixed(1)
    parts.push(`<path class="tick" d="M${at} ${bottom}v4"/>`)
    parts.push(
      `<text class="label" x="${at}" y="${bottom + 17}" text-anchor="middle">${escapeText(x.label(value))}</text>`
    )
  }
  for (const value of y.ticks(Math.max(3, inner.height / 60))) {
    const at = toY(value)
    parts.push(`<path class="tick" d="M${margin.left} ${at.toFixed(1)}h-4"/>`)
    if (grid) parts.push(`<path class="grid" d="M${margin.left} ${at.toFixed(1)}h${inner.width}"/>`)
    parts.push(
      `<text class="label" x="${margin.left - 7}" y="${(at + 3.5).toFixed(1)}" text-anchor="end">${escapeText(y.label(value))}</text>`
    )
  }
  return parts.join('')
}

export function picture(width: number, height: number, title: string, content: string): string {
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
    `role="img" aria-label="${escapeText(title)}">${content}</svg>`
  )
}

/** An image on axes. */
export function imagePanel(title: string, uri: string, extent: Extent, width = 380): string {
  const height = width - MARGIN.left - MARGIN.right + MARGIN.top + MARGIN.bottom
  const content = axes(
    { width, height, x: linear(...extent.x), y: linear(...extent.y), title },
    (toX, toY) => {
      const [left, right, top, bottom] = [
        toX(extent.x[0]),
        toX(extent.x[1]),
        toY(extent.y[1]),
        toY(extent.y[0])
      ]
      return (
        `<image href="${uri}" x="${left}" y="${top}" width="${right - left}" height="${bottom - top}" ` +
        `preserveAspectRatio="none"/>`
      )
    }
  )
  return picture(width, height, title, content)
}

/** A curve or, with `filled`, the area below it. */
export interface Series {
  name: string
  class: 'data' | 'model' | 'validation' | 'reference'
  x: ArrayLike<number>
  y: ArrayLike<number>
  filled?: boolean
  /** Values hold from one x to the next. */
  steps?: boolean
}

/** Curves over common axes, with a legend. Points that are not finite interrupt a curve. */
export function linePanel(
  title: string,
  series: Series[],
  {
    width = 380,
    height = 240,
    x,
    y
  }: { width?: number; height?: number; x?: [number, number]; y?: [number, number] } = {}
): string {
  const range = (pick: (one: Series) => ArrayLike<number>): [number, number] => {
    let [lo, hi] = [Infinity, -Infinity]
    for (const one of series) {
      for (const value of Array.from(pick(one)).filter(Number.isFinite)) {
        lo = Math.min(lo, value)
        hi = Math.max(hi, value)
      }
    }
    if (!(lo <= hi)) return [0, 1]
    return hi > lo ? [lo, hi] : [lo - 0.5, hi + 0.5]
  }
  const xRange = x ?? range((one) => one.x)
  const yRange = y ?? pad(range((one) => one.y))
  const content = axes(
    { width, height, x: linear(...xRange), y: linear(...yRange), title, grid: true },
    (toX, toY) =>
      series
        .map((one) =>
          curve(one, toX, (value) => toY(Math.min(yRange[1], Math.max(yRange[0], value))), toY(yRange[0]))
        )
        .join('')
  )
  return picture(width, height, title, content + legend(series, width))
}

function pad([lo, hi]: [number, number]): [number, number] {
  return [lo - 0.04 * (hi - lo), hi + 0.06 * (hi - lo)]
}

function curve(series: Series, toX: (v: number) => number, toY: (v: number) => number, base: number): string {
  let path = ''
  let [first, last] = [Number.NaN, Number.NaN]
  let pen = 'M'
  for (let i = 0; i < series.x.length; i++) {
    const [x, y] = [toX(series.x[i]!), toY(series.y[i]!)]
    if (!Number.isFinite(x) || !Number.isFinite(y)) {
      pen = 'M'
      continue
    }
    path +=
      series.steps && pen === 'L'
        ? `H${x.toFixed(1)}V${y.toFixed(1)}`
        : `${pen}${x.toFixed(1)} ${y.toFixed(1)}`
    if (Number.isNaN(first)) first = x
    last = x
    pen = 'L'
  }
  // A single point shows as a dot.
  if (path && first === last) path += 'h0'
  const area =
    series.filled && path
      ? `<path class="area ${series.class}" d="${path}L${last.toFixed(1)} ${base}L${first.toFixed(1)} ${base}Z"/>`
      : ''
  return `${area}<path class="line ${series.class}" d="${path}"/>`
}

function legend(series: Series[], width: number): string {
  let right = width - MARGIN.right
  return [...series]
    .reverse()
    .map((one) => {
      const left = right - 6.2 * one.name.length
      const entry =
        `<path class="line ${one.class}" d="M${left - 19} 12h14"/>` +
        `<text class="label" x="${left}" y="16">${escapeText(one.name)}</text>`
      right = left - 30
      return entry
    })
    .join('')
}

/** Points (n, 2) on axes. */
export function scatterPanel(
  title: string,
  groups: { class: Series['class']; points: ArrayLike<number> }[],
  extent: Extent,
  width = 220
): string {
  const height = width - MARGIN.left - MARGIN.right + MARGIN.top + MARGIN.bottom
  const content = axes({ width, height, x: linear(...extent.x), y: linear(...extent.y), title }, (toX, toY) =>
    groups
      .map(({ class: name, points }) => {
        let path = ''
        for (let i = 0; i < points.length / 2; i++) {
          const [x, y] = [points[2 * i]!, points[2 * i + 1]!]
          if (x < extent.x[0] || x > extent.x[1] || y < extent.y[0] || y > extent.y[1]) continue
          path += `M${toX(x).toFixed(1)} ${toY(y).toFixed(1)}h0`
        }
        return `<path class="points ${name}" d="${path}"/>`
      })
      .join('')
  )
  return picture(width, height, title, content)
}

/** Panels in rows of up to four, as a figure that stands alone in a file: white ground, own style. */
export function figure(panels: string[], style: string): string {
  let [left, top, width, height] = [0, 0, 0, 0]
  const placed = panels.map((panel, index) => {
    const size = /width="([\d.]+)" height="([\d.]+)"/.exec(panel)!
    if (index > 0 && index % 4 === 0) [left, top] = [0, height]
    const at = panel.replace('<svg ', `<svg x="${left}" y="${top}" `)
    left += Number(size[1])
    width = Math.max(width, left)
    height = Math.max(height, top + Number(size[2]))
    return at
  })
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" color="#1d2129">` +
    `<style>${style}</style><rect width="100%" height="100%" fill="#fff"/>${placed.join('')}</svg>\n`
  )
}
