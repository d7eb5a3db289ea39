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

/** Widths of a letter, in px: the fonts of readers differ, and these hold the usual ones. */
const LETTER = { title: 8.4, label: 6.5 }
/** Height of a line below the title. */
const LINE = 15

/** Room around a picture with so many lines below its title, names of axes, and labels of y. */
export function marginFor(
  { notes = [], xName, yName, height }: Pick<Frame, 'notes' | 'xName' | 'yName'> & { height: number },
  y: Scale
): Margin {
  const labels = y.ticks(Math.max(3, (height - 60) / 60)).map((value) => y.label(value).length)
  return {
    ...MARGIN,
    left: Math.max(yName ? 32 : MARGIN.left, 13 + LETTER.label * Math.max(0, ...labels)) + (yName ? 16 : 0),
    top: MARGIN.top + LINE * notes.length,
    bottom: MARGIN.bottom + (xName ? LINE : 0)
  }
}

/** A text element of at most `room` px; of one that is cut short the whole shows where the pointer rests. */
export function textWithin(
  text: string,
  kind: 'title' | 'label',
  { x, y, room, anchor, turn }: { x: number; y: number; room: number; anchor?: string; turn?: boolean }
): string {
  const letters = Math.max(1, Math.floor(room / LETTER[kind]))
  const cut = [...text].length > letters
  const shown = cut ? `${[...text].slice(0, Math.max(1, letters - 1)).join('')}…` : text
  const place = `x="${+x.toFixed(1)}" y="${+y.toFixed(1)}"${anchor ? ` text-anchor="${anchor}"` : ''}`
  const turned = turn ? ` transform="rotate(-90 ${+x.toFixed(1)} ${+y.toFixed(1)})"` : ''
  const whole = cut ? `<title>${escapeText(text)}</title>` : ''
  return `<text class="${kind}" ${place}${turned}>${whole}${escapeText(shown)}</text>`
}

interface Frame {
  width: number
  height: number
  x: Scale
  y: Scale
  title: string
  /** Lines below the title. */
  notes?: readonly string[]
  xName?: string
  yName?: string
  /** Width that the title leaves free at its right. */
  taken?: number
  margin?: Margin
  /** Draw horizontal grid lines. */
  grid?: boolean
}

/** As many ticks as have room for their labels beside each other. */
function ticksAcross(scale: Scale, width: number): number[] {
  const most = Math.max(2, Math.floor(width / 36))
  for (let count = most; count > 1; count--) {
    const found = scale.ticks(count)
    const longest = Math.max(0, ...found.map((value) => scale.label(value).length))
    const gaps = found.slice(1).map((value, i) => (scale.place(value) - scale.place(found[i]!)) * width)
    if (Math.min(width, ...gaps.map(Math.abs)) >= LETTER.label * longest + 10) return found
  }
  // Even the fewest are too many beside each other: every other one.
  const fewest = scale.ticks(1)
  return fewest.length > 2 ? fewest.filter((_, i) => i % 2 === 0) : fewest
}

/** Axes around marks; `marks` receives the maps from data to picture coordinates. */
export function axes(
  { width, height, x, y, title, notes = [], xName, yName, taken = 0, grid, margin = MARGIN }: Frame,
  marks: (toX: (value: number) => number, toY: (value: number) => number) => string
): string {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom }
  const toX = (value: number) => margin.left + x.place(value) * inner.width
  const toY = (value: number) => margin.top + (1 - y.place(value)) * inner.height
  const bottom = margin.top + inner.height
  const room = width - 10
  const parts = [textWithin(title, 'title', { x: 10, y: 16, room: room - taken }), marks(toX, toY)]
  notes.forEach((note, i) => {
    parts.push(textWithin(note, 'label', { x: 10, y: 16 + LINE * (i + 1), room }))
  })
  if (xName)
    parts.push(
      textWithin(xName, 'label', {
        x: margin.left + inner.width / 2,
        y: height - 5,
        room: inner.width,
        anchor: 'middle'
      })
    )
  if (yName)
    parts.push(
      textWithin(yName, 'label', {
        x: 13,
        y: margin.top + inner.height / 2,
        room: inner.height,
        anchor: 'middle',
        turn: true
      })
    )
  for (const value of ticksAcross(x, inner.width)) {
    const at = toX(value)
    const label = x.label(value)
    // A label at the end of an axis does not leave the picture.
    const beyond = at + (LETTER.label * label.length) / 2 > width
    const [place, anchor] = beyond ? [width - 1, 'end'] : [at, 'middle']
    parts.push(`<path class="tick" d="M${at.toFixed(1)} ${bottom}v4"/>`)
    parts.push(
      `<text class="label" x="${place.toFixed(1)}" y="${bottom + 17}" text-anchor="${anchor}">${escapeText(label)}</text>`
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

/** The axes of a panel, and their names. */
export interface Axes {
  x: Scale
  y: Scale
  xName: string
  yName: string
}

/** An image on axes. */
export function imagePanel(
  title: string,
  uri: string,
  extent: Extent,
  width = 380,
  { x = linear(...extent.x), y = linear(...extent.y), xName, yName }: Partial<Axes> = {}
): string {
  const names = { ...(xName && { xName }), ...(yName && { yName }) }
  const margin = marginFor({ ...names, height: width }, y)
  const height = width - margin.left - margin.right + margin.top + margin.bottom
  const content = axes({ width, height, x, y, title, ...names, margin }, (toX, toY) => {
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
  })
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

/** How a panel of curves looks. */
export interface LineOptions {
  width?: number
  height?: number
  /** An axis, or its ends. Default: the ends of the values. */
  x?: Scale | [number, number]
  y?: [number, number]
  /** Lines below the title. */
  notes?: readonly string[]
  xName?: string
  /** Values of x at which a line is drawn, with a name each. */
  marks?: { x: number; name: string }[]
  /** Names of the series at the top. Default: true. */
  legend?: boolean
}

/** Curves over common axes, with a legend. Points that are not finite interrupt a curve. */
export function linePanel(
  title: string,
  series: Series[],
  { width = 380, height = 240, x, y, notes = [], xName, marks = [], legend = true }: LineOptions = {}
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
  const xScale = x && 'place' in x ? x : linear(...(x ?? range((one) => one.x)))
  const [least, most] = range((one) => one.y)
  // Areas tell shares from 0 on.
  const yRange = y ?? pad([series.some(({ filled }) => filled) ? Math.min(0, least) : least, most])
  const yScale = linear(...yRange)
  const names = legend ? legendOf(series, width) : { width: 0, marks: '' }
  // A title that the legend leaves no room for has the legend below it.
  const below = names.width + LETTER.title * title.length + 20 > width
  const margin = marginFor({ notes, ...(xName && { xName }), height }, yScale)
  if (below && legend) margin.top += LINE
  const frame = { width, height, x: xScale, y: yScale, title, grid: true, margin }
  const content = axes(
    { ...frame, notes, ...(xName && { xName }), taken: below ? 0 : names.width },
    (toX, toY) =>
      series
        .map((one) =>
          curve(one, toX, (value) => toY(Math.min(yRange[1], Math.max(yRange[0], value))), toY(yRange[0]))
        )
        .concat(marks.map((mark) => markLine(mark, toX(mark.x), margin.top, height - margin.bottom, width)))
        .join('')
  )
  const moved = below
    ? `<g transform="translate(0 ${LINE * (notes.length + 1)})">${names.marks}</g>`
    : names.marks
  return picture(width, height, title, content + moved)
}

/** A line across the height, its name beside it on the side that has room. */
function markLine({ name }: { name: string }, x: number, top: number, bottom: number, width: number): string {
  const right = x + 6 + LETTER.label * name.length < width
  const at = right ? x + 5 : x - 5
  return (
    `<path class="line mark" d="M${x.toFixed(1)} ${top}V${bottom}"/>` +
    `<text class="label" x="${at.toFixed(1)}" y="${top + 11}"${right ? '' : ' text-anchor="end"'}>${escapeText(name)}</text>`
  )
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

/** Names of the series with a stroke each, to the right of the title, and their width. */
function legendOf(series: Series[], width: number): { width: number; marks: string } {
  let right = width - MARGIN.right
  const entries = [...series].reverse().map((one) => {
    const left = right - 6.2 * one.name.length
    const entry =
      `<path class="line ${one.class}" d="M${left - 19} 12h14"/>` +
      `<text class="label" x="${left}" y="16">${escapeText(one.name)}</text>`
    right = left - 30
    return entry
  })
  return { width: width - right - 10, marks: entries.join('') }
}

/** Points (n, 2) on axes. */
export function scatterPanel(
  title: string,
  groups: { class: Series['class']; points: ArrayLike<number> }[],
  extent: Extent,
  {
    width = 270,
    notes = [],
    x = linear(...extent.x),
    y = linear(...extent.y),
    xName,
    yName
  }: Partial<Axes> & {
    width?: number
    notes?: readonly string[]
  } = {}
): string {
  const names = { notes, ...(xName && { xName }), ...(yName && { yName }) }
  const margin = marginFor({ ...names, height: width }, y)
  const height = width - margin.left - margin.right + margin.top + margin.bottom
  const content = axes({ width, height, x, y, title, ...names, margin }, (toX, toY) =>
    groups
      .map(({ class: name, points }) => {
        let path = ''
        for (let i = 0; i < points.length / 2; i++) {
          const [x, y] = [points[2 * i]!, points[2 * i + 1]!]
          if (!(x >= extent.x[0] && x <= extent.x[1] && y >= extent.y[0] && y <= extent.y[1])) continue
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
