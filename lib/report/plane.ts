import { type Dataset, type Flow, LawDataset } from '../index'
import type { RealArray } from '../native/batch'
import { isFixedStep } from '../native/methods'
import { calendar } from './calendar'
import { densityLevel } from './colormap'
import { colourPng, type Levels } from './image'
import type { Quantity } from './quantity'
import { extentOf, histogramDensity, pixelCentres, quantile } from './raster'
import { linear } from './scale'
import { imagePanel } from './svg'

/** How finely a report looks at a flow; engines differ in what they can compute in a second. */
export interface Detail {
  /** Pixels a side of the density. */
  grid: number
  /** Nodes a side of the meshes that carry the density through time. */
  mesh: number
  samples: number
  particles: number
  frames: number
}

export const FINE: Detail = { grid: 160, mesh: 90, samples: 20_000, particles: 3000, frames: 41 }
export const COARSE: Detail = { grid: 60, mesh: 50, samples: 2000, particles: 500, frames: 21 }

/** Accuracy that a picture shows; a flow of fixed steps has none to choose. */
export function pictureTolerance({ options: { solver } }: Flow): { rtol?: number; atol?: number } {
  const evaluation = solver?.evaluation
  const method = (evaluation && 'method' in evaluation && evaluation.method) || solver?.method
  return isFixedStep(method) ? {} : { rtol: 1e-4, atol: 1e-4 }
}

/**
 * Data, density and samples of a flow on the plane, on common axes and one colour scale; `data` and `samples` are
 * (n, 2). The true density stands beside them where `law` knows it.
 */
export async function planePanels(
  flow: Flow,
  law: Dataset,
  data: RealArray,
  samples: RealArray,
  detail: Detail,
  [across, up]: readonly [Quantity, Quantity]
): Promise<string[]> {
  const extent = extentOf([data])
  const scale = ({ clock }: Quantity, ends: [number, number]) =>
    clock ? calendar(clock, ...ends) : linear(...ends)
  // Laws are of the plane as such; a table's columns have names.
  const names = law instanceof LawDataset ? {} : { xName: across.name, yName: up.name }
  const axes = { x: scale(across, extent.x), y: scale(up, extent.y), ...names }
  const points = pixelCentres(extent, detail.grid)
  const density = Float64Array.from(await flow.logProb(points, pictureTolerance(flow)), Math.exp)
  const truth = law instanceof LawDataset ? law.logDensity(points).map(Math.exp) : undefined
  const peak = Math.max(quantile(density, 0.998), truth ? quantile(truth, 0.998) : 0, Number.MIN_VALUE)
  const panel = (title: string, values: Float64Array, size: number) =>
    imagePanel(title, colourPng(picture(values, size, peak)), extent, truth ? 268 : 290, axes)
  return [
    panel('Data', histogramDensity(data, extent, bins(data)), bins(data)),
    ...(truth ? [panel('True density', truth, detail.grid)] : []),
    panel('Learned density', density, detail.grid),
    panel('Samples', histogramDensity(samples, extent, bins(samples)), bins(samples))
  ]
}

/** So many bins a side that a bin in the dense part holds some tens of points. */
function bins(points: RealArray): number {
  return Math.max(30, Math.min(120, Math.round(Math.sqrt(points.length / 2) / 2)))
}

export function picture(density: Float64Array, size: number, peak: number): Levels {
  return { width: size, height: size, levels: Uint8Array.from(density, (value) => densityLevel(value, peak)) }
}
