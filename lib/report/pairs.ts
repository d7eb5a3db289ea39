import { matchText } from './marginals'
import type { Match } from './match'
import type { Quantity } from './quantity'
import { categorical, label } from './scale'
import { axes, type Margin, marginFor, picture, scatterPanel, textWithin } from './svg'
import { type View, viewOf } from './view'

/** Two columns beside each other, of data and of samples. */

const WIDTH = 268
const POINTS = 500
const MOST_LEVELS = 7
const BAND = 26

export interface Pair {
  a: Quantity
  b: Quantity
  /** Strength of their dependence in data and samples. */
  dependence: { data: number; samples: number }
  match: Match
}

/** Numbers as points, numbers by levels as bands of quantiles, levels by levels as squares. */
export function pairPanel({ a, b, dependence, match }: Pair): string {
  const notes = [
    `dependence ${signed(dependence.data)}, of samples ${signed(dependence.samples)}`,
    `total variation ${matchText(match)}`
  ]
  const title = `${nameOf(a)} × ${nameOf(b)}`
  if (a.levels && b.levels) return squares(a, b, title, notes)
  if (a.levels) return bands(b, a, title, notes)
  if (b.levels) return bands(a, b, title, notes)
  const [x, y] = [viewOf(a), viewOf(b)]
  const points = (of: 'data' | 'samples') => {
    const count = Math.min(POINTS, a[of].length)
    return Float64Array.from({ length: 2 * count }, (_, i) => (i % 2 ? b : a)[of][i >> 1]!)
  }
  return scatterPanel(
    title,
    [
      { class: 'data', points: points('data') },
      { class: 'model', points: points('samples') }
    ],
    { x: [x.lo, x.hi], y: [y.lo, y.hi] },
    { width: WIDTH, notes, x: x.scale, y: y.scale, xName: axisName(a, x), yName: axisName(b, y) }
  )
}

function signed(value: number): string {
  return label(+value.toFixed(2))
}

function nameOf({ name, given }: Quantity): string {
  return given ? `given ${name}` : name
}

function axisName(quantity: Quantity, { logarithmic, outside }: View): string {
  const { atom } = quantity
  if (logarithmic && atom !== undefined && atom <= 0) return `${nameOf(quantity)} (without ${label(atom)})`
  return nameOf(quantity) + (!logarithmic && outside.data > 0.01 ? ' (cut)' : '')
}

/** The levels with most rows, and their places; rows of the others are not shown. */
function mainLevels({ levels = [], data }: Quantity): { name: string; place: number }[] {
  const counts = new Float64Array(levels.length)
  for (const place of data) counts[place]!++
  return [...levels.keys()]
    .sort((a, b) => counts[b]! - counts[a]!)
    .slice(0, MOST_LEVELS)
    .map((place) => ({ name: levels[place]!, place }))
}

/** Quantiles of a column of numbers at each level: a line from 5 to 95 %, thick between the quartiles, a dot at the median. */
function bands(numbers: Quantity, category: Quantity, title: string, notes: string[]): string {
  const view = viewOf(numbers)
  const levels = mainLevels(category)
  const left = Math.min(104, 18 + 6.5 * Math.max(...levels.map(({ name }) => name.length)))
  const margin: Margin = { left, right: 14, top: 26 + 15 * notes.length, bottom: 45 }
  const height = margin.top + margin.bottom + BAND * levels.length
  const empty = { place: () => 0, ticks: () => [], label: () => '' }
  const frame = {
    width: WIDTH,
    height,
    x: view.scale,
    y: empty,
    title,
    notes,
    xName: axisName(numbers, view)
  }
  const content = axes({ ...frame, margin }, (toX) =>
    levels
      .map(({ name, place }, i) => {
        const middle = margin.top + BAND * (i + 0.5)
        return (
          textWithin(name, 'label', { x: left - 6, y: middle + 4, room: left - 8, anchor: 'end' }) +
          band('data', middle - 4.5) +
          band('samples', middle + 4.5)
        )

        function band(of: 'data' | 'samples', y: number): string {
          const values = numbers[of].filter((_, row) => category[of][row] === place).sort()
          if (values.length === 0) return ''
          const at = (share: number) => {
            const value = values[Math.round(share * (values.length - 1))]!
            return toX(Math.min(view.hi, Math.max(view.lo, value))).toFixed(1)
          }
          const tone = of === 'data' ? 'data' : 'model'
          return (
            `<path class="line ${tone}" d="M${at(0.05)} ${y}H${at(0.95)}"/>` +
            `<path class="box ${tone}" d="M${at(0.25)} ${y}H${at(0.75)}"/>` +
            `<path class="dots ${tone}" d="M${at(0.5)} ${y}h0"/>`
          )
        }
      })
      .join('')
  )
  return picture(WIDTH, height, title, content)
}

/** Shares of two categories' levels together, as areas: data filled, samples outlined. */
function squares(a: Quantity, b: Quantity, title: string, notes: string[]): string {
  const [across, down] = [mainLevels(a), mainLevels(b)]
  const x = categorical(across.map(({ name }) => shortened(name, Math.floor(34 / across.length) + 1)))
  const y = categorical(down.map(({ name }) => shortened(name, 12)))
  // The first level of an axis across is at its left.
  const flipped = { ...x, place: (value: number) => 1 - x.place(value) }
  const margin = marginFor({ notes, xName: a.name, yName: b.name, height: WIDTH }, y)
  const height = WIDTH - margin.left - margin.right + margin.top + margin.bottom
  const share = (of: 'data' | 'samples', one: number, other: number) =>
    a[of].reduce((sum, place, row) => sum + (place === one && b[of][row] === other ? 1 : 0), 0) / a[of].length
  const cells = across.flatMap((one, i) =>
    down.map((other, j) => ({
      i,
      j,
      data: share('data', one.place, other.place),
      samples: share('samples', one.place, other.place)
    }))
  )
  const most = Math.max(...cells.flatMap((cell) => [cell.data, cell.samples]), 1e-9)
  const side = Math.min(
    (WIDTH - margin.left - margin.right) / across.length,
    (height - margin.top - margin.bottom) / down.length
  )
  const frame = {
    width: WIDTH,
    height,
    x: flipped,
    y,
    title,
    notes,
    xName: nameOf(a),
    yName: nameOf(b),
    margin
  }
  const content = axes(frame, (toX, toY) =>
    cells
      .map((cell) => {
        const square = (share: number, tone: string) => {
          const size = 0.92 * side * Math.sqrt(share / most)
          const [left, top] = [toX(cell.i) - size / 2, toY(cell.j) - size / 2]
          return `<rect class="square ${tone}" x="${left.toFixed(1)}" y="${top.toFixed(1)}" width="${size.toFixed(1)}" height="${size.toFixed(1)}"/>`
        }
        return square(cell.data, 'data') + square(cell.samples, 'model')
      })
      .join('')
  )
  return picture(WIDTH, height, title, content)
}

function shortened(text: string, letters: number): string {
  return text.length > letters ? `${text.slice(0, Math.max(1, letters - 1))}…` : text
}
