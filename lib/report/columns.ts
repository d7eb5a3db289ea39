import type { Flow } from '../flow'
import type { RealArray } from '../native/batch'
import { photographPng } from './image'
import { pictureTolerance } from './plane'
import { quantile } from './raster'
import { imagePanel, linePanel, scatterPanel } from './svg'

const MOST_COLUMNS = 12
const PAIRED_COLUMNS = 4
const MOST_BINS = 40

/** Values of column `index` of rows (n, width). */
function column(rows: ArrayLike<number>, width: number, index: number): Float64Array {
  return Float64Array.from({ length: rows.length / width }, (_, row) => rows[row * width + index]!)
}

/** Histograms of data and samples, column by column; (n, names.length) each. */
export function marginalPanels(data: RealArray, samples: RealArray, names: string[]): string[] {
  return names.slice(0, MOST_COLUMNS).map((name, index) => {
    const [ours, theirs] = [column(samples, names.length, index), column(data, names.length, index)]
    const [lo, hi] = range(theirs)
    const edges = edgesOf(theirs, lo, hi)
    const heights = (values: Float64Array) => histogram(values, edges)
    return linePanel(
      name,
      [
        { name: 'data', class: 'data', x: edges, y: heights(theirs), filled: true, steps: true },
        { name: 'flow', class: 'model', x: edges, y: heights(ours), steps: true }
      ],
      { width: 270, height: 190, x: [lo, hi] }
    )
  })
}

/** The density of a flow on the line beside the histogram of its data. */
export async function linePanels(flow: Flow, data: RealArray): Promise<string[]> {
  const [lo, hi] = range(Float64Array.from(data))
  const points = Float64Array.from({ length: 400 }, (_, i) => lo + ((hi - lo) * i) / 399)
  const density = Float64Array.from(await flow.logProb(points, pictureTolerance(flow)), Math.exp)
  const edges = edgesOf(data, lo, hi)
  const series = [
    { name: 'data', class: 'data', x: edges, y: histogram(data, edges), filled: true, steps: true },
    { name: 'flow', class: 'model', x: points, y: density }
  ] as const
  return [linePanel('Density', [...series], { width: 560, height: 300, x: [lo, hi] })]
}

/** Data and samples in the planes of the first columns. */
export function pairPanels(data: RealArray, samples: RealArray, names: string[]): string[] {
  const shown = Math.min(PAIRED_COLUMNS, names.length)
  const width = names.length
  const plane = (rows: RealArray, a: number, b: number) => {
    const count = Math.min(500, rows.length / width)
    return Float64Array.from({ length: 2 * count }, (_, i) => rows[(i >> 1) * width + (i % 2 ? b : a)]!)
  }
  const panels: string[] = []
  for (let a = 0; a < shown; a++) {
    for (let b = a + 1; b < shown; b++) {
      const points = plane(data, a, b)
      panels.push(
        scatterPanel(
          `${names[a]} × ${names[b]}`,
          [
            { class: 'data', points },
            { class: 'model', points: plane(samples, a, b) }
          ],
          { x: range(column(points, 2, 0)), y: range(column(points, 2, 1)) },
          270
        )
      )
    }
  }
  return panels
}

/** The first images of data and samples as contact sheets. */
export function imagePanels(data: RealArray, samples: RealArray, shape: readonly number[]): string[] {
  return [
    ['Data', data],
    ['Samples', samples]
  ].map(([title, rows]) => contactSheet(title as string, rows as Float32Array, shape))
}

function contactSheet(
  title: string,
  rows: RealArray,
  [channels = 1, height = 1, width = 1]: readonly number[]
): string {
  const side = Math.min(8, Math.floor(Math.sqrt(rows.length / (channels * height * width))))
  const [tall, wide] = [side * height, side * width]
  const sheet = new Float32Array(channels * tall * wide)
  for (let image = 0; image < side * side; image++) {
    for (let i = 0; i < channels * height * width; i++) {
      const [channel, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width]
      const [top, left] = [Math.floor(image / side) * height, (image % side) * width]
      sheet[(channel * tall + top + y) * wide + left + x] = rows[image * channels * height * width + i]!
    }
  }
  return imagePanel(title, photographPng(sheet, channels, wide, tall), { x: [0, wide], y: [0, tall] })
}

function range(values: Float64Array): [number, number] {
  const [lo, hi] = [quantile(values, 0.002), quantile(values, 0.998)]
  const margin = 0.08 * (hi - lo) || 0.5
  return [lo - margin, hi + margin]
}

/** Edges of equal bins over [lo, hi], as many as so many values fill. */
function edgesOf(values: ArrayLike<number>, lo: number, hi: number): Float64Array {
  const bins = Math.max(10, Math.min(MOST_BINS, Math.round(Math.sqrt(values.length))))
  return Float64Array.from({ length: bins + 1 }, (_, bin) => lo + ((hi - lo) * bin) / bins)
}

/** Density in equal bins; the last entry repeats, for a curve drawn in steps. */
function histogram(values: ArrayLike<number>, edges: Float64Array): Float64Array {
  const bins = edges.length - 1
  const [lo, hi] = [edges[0]!, edges[bins]!]
  const density = new Float64Array(bins + 1)
  for (let i = 0; i < values.length; i++) {
    const bin = Math.floor(((values[i]! - lo) / (hi - lo)) * bins)
    if (bin >= 0 && bin < bins) density[bin]! += bins / (values.length * (hi - lo))
  }
  density[bins] = density[bins - 1]!
  return density
}
