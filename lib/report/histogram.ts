import type { Quantity } from './quantity'
import type { View } from './view'

/** Bins of a column's histogram, and densities in them. */

const MOST_BINS = 40

/**
 * Edges of bins over a view, as many as so many values fill. Bins of whole numbers hold as many of them each, and begin with the first
 * that the view shows.
 */
export function edgesOf({ lo, hi, logarithmic }: View, rows: number, step?: number): Float64Array {
  const bins = Math.max(10, Math.min(MOST_BINS, Math.round(Math.sqrt(rows))))
  if (step !== undefined && !logarithmic && (hi - lo) / step < 1e6) {
    const width = step * Math.max(1, Math.ceil((hi - lo) / (bins * step)))
    const first = Math.ceil(lo / step) * step - step / 2
    return Float64Array.from({ length: Math.ceil((hi - first) / width) + 1 }, (_, bin) => first + bin * width)
  }
  return Float64Array.from({ length: bins + 1 }, (_, bin) =>
    logarithmic ? lo * (hi / lo) ** (bin / bins) : lo + ((hi - lo) * bin) / bins
  )
}

/** Density in bins, of all values but `atom`; on a logarithmic axis a decade. The last entry repeats, for a curve drawn in steps. */
export function histogram(
  values: ArrayLike<number>,
  edges: Float64Array,
  { logarithmic, atom }: { logarithmic?: boolean; atom?: Quantity['atom'] } = {}
): Float64Array {
  const map = logarithmic ? Math.log10 : (value: number) => value
  const bins = edges.length - 1
  const [lo, hi] = [map(edges[0]!), map(edges[bins]!)]
  const density = new Float64Array(bins + 1)
  for (let i = 0; i < values.length; i++) {
    if (values[i] === atom) continue
    const bin = Math.floor(((map(values[i]!) - lo) / (hi - lo)) * bins)
    if (bin >= 0 && bin < bins) density[bin]! += bins / (values.length * (hi - lo))
  }
  density[bins] = density[bins - 1]!
  return density
}
