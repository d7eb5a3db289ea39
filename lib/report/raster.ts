import type { Levels } from './image'

/** The square [lo, hi]² or rectangle of the plane that a picture shows. */
export interface Extent {
  x: [number, number]
  y: [number, number]
}

/** Centres of the pixels of a size × size picture of `extent`, (size², 2), row 0 at the top. */
export function pixelCentres({ x, y }: Extent, size: number): Float64Array {
  const points = new Float64Array(2 * size * size)
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      const pixel = row * size + column
      points[2 * pixel] = x[0] + ((column + 0.5) / size) * (x[1] - x[0])
      points[2 * pixel + 1] = y[1] - ((row + 0.5) / size) * (y[1] - y[0])
    }
  }
  return points
}

/** Histogram of points (n, 2) as a density, (size, size), row 0 at the top; points outside count in n. */
export function histogramDensity(points: ArrayLike<number>, { x, y }: Extent, size: number): Float64Array {
  const density = new Float64Array(size * size)
  const count = points.length / 2
  const cell = ((x[1] - x[0]) * (y[1] - y[0])) / (size * size)
  for (let i = 0; i < count; i++) {
    const column = Math.floor(((points[2 * i]! - x[0]) / (x[1] - x[0])) * size)
    const row = Math.floor(((y[1] - points[2 * i + 1]!) / (y[1] - y[0])) * size)
    if (column < 0 || column >= size || row < 0 || row >= size) continue
    density[row * size + column]! += 1 / (count * cell)
  }
  return density
}

/** The value below which the given share of the entries lies. */
export function quantile(values: ArrayLike<number>, share: number): number {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.round(share * (sorted.length - 1))))] ?? 0
}

/** How many times as long one axis may be as the other before each has a scale of its own. */
const UNLIKE = 4

/** All but the outermost points (n, 2) of every list, with a margin: a square, unless one axis is much longer than the other. */
export function extentOf(lists: ArrayLike<number>[]): Extent {
  const bounds = [0, 1].map((axis) => {
    const quantiles = lists.map((points) => {
      const values = Float64Array.from({ length: points.length / 2 }, (_, i) => points[2 * i + axis]!)
      return [quantile(values, 0.001), quantile(values, 0.999)] as const
    })
    return [Math.min(...quantiles.map((q) => q[0])), Math.max(...quantiles.map((q) => q[1]))] as const
  })
  const halves = bounds.map(([lo, hi]) => 0.56 * Math.max(hi - lo, 1e-6))
  const longest = Math.max(...halves)
  const unlike = longest > UNLIKE * Math.min(...halves)
  const [x, y] = bounds.map(([lo, hi], axis): [number, number] => {
    const half = unlike ? halves[axis]! : longest
    return [(lo + hi) / 2 - half, (lo + hi) / 2 + half]
  })
  return { x: x!, y: y! }
}

/** A regular n × n mesh after a flow has carried its nodes: where they are (n·n, 2), and log p there (n·n). */
export interface CarriedMesh {
  n: number
  points: ArrayLike<number>
  logDensity: ArrayLike<number>
}

/**
 * A density known at the nodes of meshes, as a picture: exact at the nodes, since a flow carries densities along its
 * paths, with log p linear between them. Where meshes overlap, the triangle with the shortest longest edge counts: a
 * mesh is fine where the flow has compressed it and coarse where it has been stretched. Outside all meshes p is 0.
 */
export function meshDensity(meshes: readonly CarriedMesh[], { x, y }: Extent, size: number): Float64Array {
  const density = new Float64Array(size * size)
  const coarseness = new Float64Array(size * size).fill(Infinity)
  for (const { n, points, logDensity } of meshes) {
    const nodes = Array.from({ length: n * n }, (_, i): Node => {
      const column = ((points[2 * i]! - x[0]) / (x[1] - x[0])) * size - 0.5
      const row = ((y[1] - points[2 * i + 1]!) / (y[1] - y[0])) * size - 0.5
      return { column, row, logDensity: logDensity[i]! }
    })
    for (let i = 0; i + 1 < n; i++) {
      for (let j = 0; j + 1 < n; j++) {
        const corner = i * n + j
        const [a, b, c, d] = [nodes[corner]!, nodes[corner + 1]!, nodes[corner + n]!, nodes[corner + n + 1]!]
        fillTriangle(density, coarseness, size, a, b, c)
        fillTriangle(density, coarseness, size, b, d, c)
      }
    }
  }
  return density
}

/** A node of a mesh, whose place is given in pixels. */
interface Node {
  column: number
  row: number
  logDensity: number
}

function fillTriangle(
  density: Float64Array,
  coarseness: Float64Array,
  size: number,
  a: Node,
  b: Node,
  c: Node
): void {
  const area = (b.column - a.column) * (c.row - a.row) - (c.column - a.column) * (b.row - a.row)
  if (!(Math.abs(area) > 0)) return
  const longest = Math.max(edge(a, b), edge(b, c), edge(c, a))
  const top = Math.max(0, Math.ceil(Math.min(a.row, b.row, c.row)))
  const bottom = Math.min(size - 1, Math.floor(Math.max(a.row, b.row, c.row)))
  const left = Math.max(0, Math.ceil(Math.min(a.column, b.column, c.column)))
  const right = Math.min(size - 1, Math.floor(Math.max(a.column, b.column, c.column)))
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const pixel = row * size + column
      if (coarseness[pixel]! <= longest) continue
      const [dx, dy] = [column - a.column, row - a.row]
      const wb = (dx * (c.row - a.row) - (c.column - a.column) * dy) / area
      const wc = ((b.column - a.column) * dy - dx * (b.row - a.row)) / area
      const wa = 1 - wb - wc
      if (wa < -1e-9 || wb < -1e-9 || wc < -1e-9) continue
      coarseness[pixel] = longest
      density[pixel] = Math.exp(wa * a.logDensity + wb * b.logDensity + wc * c.logDensity)
    }
  }
}

function edge(a: Node, b: Node): number {
  return Math.hypot(a.column - b.column, a.row - b.row)
}

/** Pictures of one size side by side and below each other, `columns` a row. */
export function sprite(pictures: Levels[], columns: number): Levels {
  const { width, height } = pictures[0]!
  const rows = Math.ceil(pictures.length / columns)
  const levels = new Uint8Array(columns * width * rows * height)
  pictures.forEach((picture, index) => {
    const [left, top] = [(index % columns) * width, Math.floor(index / columns) * height]
    for (let row = 0; row < height; row++) {
      levels.set(
        picture.levels.subarray(row * width, (row + 1) * width),
        (top + row) * columns * width + left
      )
    }
  })
  return { width: columns * width, height: rows * height, levels }
}
