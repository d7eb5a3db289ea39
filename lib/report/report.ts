import type { LevelNoise } from '../data/level-noise'
import type { Extent } from './raster'

/** What a page shows: figures and numbers, no flow. Made by collect.ts, laid out by page.ts. */
export interface Report {
  title: string
  /** One sentence on the flow. */
  subtitle: string
  highlights: Highlight[]
  sections: Section[]
  animation?: Animation
  images?: ImageAnimation
  history?: History
  tables: { title: string; rows: [name: string, value: string][] }[]
  footer: string
  /** The command that made it, as a shell takes it. */
  command?: string
}

/** Still figures, each an SVG text, and tables. */
export interface Section {
  title: string
  note: string
  panels: string[]
  /** Whether colours stand for data and samples in all panels. */
  key?: boolean
  listings?: Listing[]
}

/** Rows of a table, below a line of names. */
export interface Listing {
  title: string
  header: string[]
  rows: string[][]
}

export interface Highlight {
  name: string
  value: string
  note?: string
}

/** A flow on the plane from base to data, frame by frame. */
export interface Animation {
  /** Flow time of each frame: T at the base first, 0 at the data last. */
  times: number[]
  /** In the units of the data, which the base is shown in too. */
  extent: Extent
  /** What the axes are. */
  names: [string, string]
  /** log p_t on a size × size grid: one PNG of all frames as colour levels, `columns` a row. */
  density: { png: string; size: number; columns: number }
  /** (frames, count, 2), and the colour level of each particle's density (frames, count). */
  particles: { count: number; positions: Float32Array; levels: Uint8Array }
  /** Velocity dz/dt (frames, size², 2) at the centres of a size × size grid, row 0 at the top. */
  field: { size: number; velocities: Float32Array }
}

/** Samples of images from base to data: frames of one picture, one below the other. */
export interface ImageAnimation {
  /** Flow time of each frame: T at the base first, 0 at the data last. */
  times: number[]
  /** A data URI. */
  png: string
  /** Of a frame, in pixels of the picture; `step` from the top of one to that of the next. */
  width: number
  height: number
  step: number
}

/** One entry an iteration recorded; `null` where a quantity was not measured. */
export interface History {
  iteration: number[]
  loss: (number | null)[]
  /** What is drawn as the loss, where that is no negative log-density. */
  lossTitle?: string
  /** What the loss is the sum of. */
  parts?: { name: string; values: (number | null)[] }[]
  validation: (number | null)[]
  evaluations: (number | null)[]
  backwardEvaluations: (number | null)[]
  accepted: (number | null)[]
  rejected: (number | null)[]
  gradientNorm: (number | null)[]
  learningRate: (number | null)[]
  /** Means over the batch of those that were tracked, without their weights. */
  regularisers?: { name: string; values: (number | null)[] }[]
  /** Elements of an image, where losses are shown in bits of each. */
  dimensions?: number
  /** The noise of its levels. Default: uniform. */
  noise?: LevelNoise
  /** Entropy of the data where it is known: the lowest loss in the long run. */
  entropy?: number
  /** The iteration whose weights were kept. */
  kept?: number
  /** A sentence on how training ended, where that says something of the flow. */
  ending?: string
}
