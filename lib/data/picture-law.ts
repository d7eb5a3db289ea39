import type { Law, Point } from './law-dataset'
import type { RowRandom } from './random'

/** Weights of the pixels of a picture (height, width), row 0 at the top. */
export interface Ink {
  width: number
  height: number
  weights: Float64Array
}

/** Pixels whose normal a point may come from: ten standard deviations each way, further than any draw goes. */
const REACH = 5

/**
 * The density that a picture is: each pixel holds its share of the ink as a normal about its centre. Centres are spaced evenly,
 * those of the longer side over [−4, 4], and the standard deviation is half of their distance, as in FFJORD's
 * train_img2d. Upright, and as wide for its height as the picture is.
 */
export function pictureLaw(ink: Ink): Law {
  const { width, height, weights } = ink
  const spacing = 8 / (Math.max(width, height) - 1)
  const deviation = spacing / 2
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const upTo = new Float64Array(weights.length) // ink of this pixel and those before it
  let sum = 0
  weights.forEach((weight, pixel) => {
    sum += weight / total
    upTo[pixel] = sum
  })
  const [left, top] = [(-(width - 1) * spacing) / 2, ((height - 1) * spacing) / 2]

  const draw = (random: RowRandom): Point => {
    const pixel = firstAtLeast(upTo, random.uniform() * sum)
    const [row, column] = [Math.floor(pixel / width), pixel % width]
    return [
      left + column * spacing + deviation * random.normal(),
      top - row * spacing + deviation * random.normal()
    ]
  }

  const density = (x: number, y: number): number => {
    const [column, row] = [(x - left) / spacing, (top - y) / spacing]
    const columns = nearby(column, width)
    const rows = nearby(row, height)
    let mass = 0
    for (let i = rows.first; i <= rows.last; i++) {
      let line = 0
      for (let j = columns.first; j <= columns.last; j++) line += weights[i * width + j]! * bump(column - j)
      mass += line * bump(row - i)
    }
    return mass / (total * 2 * Math.PI * deviation ** 2)
  }

  return { draw, density, entropy: { nats: entropy(ink, total, spacing), error: 1e-4 } }
}

/** exp(−d²/2) for a distance of so many pixels. */
function bump(pixels: number): number {
  return Math.exp(-2 * pixels * pixels)
}

function nearby(at: number, count: number): { first: number; last: number } {
  return { first: Math.max(0, Math.ceil(at - REACH)), last: Math.min(count - 1, Math.floor(at + REACH)) }
}

/** The first index whose entry, of a list that does not fall, is not below `value`. */
function firstAtLeast(list: Float64Array, value: number): number {
  let [first, last] = [0, list.length - 1]
  while (first < last) {
    const middle = (first + last) >> 1
    if (list[middle]! < value) first = middle + 1
    else last = middle
  }
  return first
}

/** −∫ p log p by the trapezoidal rule, four points a pixel: p is so smooth that this is exact to 1e-4. */
function entropy({ width, height, weights }: Ink, total: number, spacing: number): number {
  const FINE = 4
  const [columns, rows] = [width, height].map((count) => (count - 1 + 2 * REACH) * FINE + 1) as [
    number,
    number
  ]
  // Normals are products: first along the rows of pixels, then across them.
  const along = new Float64Array(height * columns)
  for (let column = 0; column < columns; column++) {
    const at = column / FINE - REACH
    const { first, last } = nearby(at, width)
    for (let j = first; j <= last; j++) {
      const share = bump(at - j) / total
      for (let i = 0; i < height; i++) along[i * columns + column]! += weights[i * width + j]! * share
    }
  }
  const peak = 1 / (2 * Math.PI * (spacing / 2) ** 2)
  const cell = (spacing / FINE) ** 2
  let nats = 0
  const line = new Float64Array(columns)
  for (let row = 0; row < rows; row++) {
    const at = row / FINE - REACH
    const { first, last } = nearby(at, height)
    line.fill(0)
    for (let i = first; i <= last; i++) {
      const share = bump(at - i) * peak
      for (let column = 0; column < columns; column++) line[column]! += along[i * columns + column]! * share
    }
    for (const p of line) if (p > 0) nats -= p * Math.log(p) * cell
  }
  return nats
}
