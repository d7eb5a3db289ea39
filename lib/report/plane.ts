import { type Dataset, type Flow, LawDataset } from '../index'
import type { RealArray, Tensor } from '../native/batch'
import { isFixedStep } from '../native/methods'
import { densityLevel } from './colormap'
import { colourPng, greyPng, type Levels } from './image'
import {
  type Extent,
  extentOf,
  histogramDensity,
  meshDensity,
  pixelCentres,
  quantile,
  sprite
} from './raster'
import type { Animation } from './report'
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

const FRAME_SIZE = 200
const FIELD_SIZE = 19

/**
 * Data, density and samples of a flow on the plane, on common axes and one colour scale; `data` and `samples` are
 * (n, 2). The true density stands beside them where `law` knows it.
 */
export async function planePanels(
  flow: Flow,
  law: Dataset,
  data: RealArray,
  samples: RealArray,
  detail: Detail
): Promise<string[]> {
  const extent = extentOf([data])
  const points = pixelCentres(extent, detail.grid)
  const density = Float64Array.from(await flow.logProb(points, pictureTolerance(flow)), Math.exp)
  const truth = law instanceof LawDataset ? law.logDensity(points).map(Math.exp) : undefined
  const peak = Math.max(quantile(density, 0.998), truth ? quantile(truth, 0.998) : 0, Number.MIN_VALUE)
  const panel = (title: string, values: Float64Array, size: number) =>
    imagePanel(title, colourPng(picture(values, size, peak)), extent, truth ? 290 : 380)
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

function picture(density: Float64Array, size: number, peak: number): Levels {
  return { width: size, height: size, levels: Uint8Array.from(density, (value) => densityLevel(value, peak)) }
}

/**
 * A flow on the plane from base to data. Two regular meshes, one over the base and one over the data, are carried along
 * with their log-densities, so every frame is the density at its time; particles are samples.
 */
export async function animate(flow: Flow, detail: Detail, seed: number): Promise<Animation> {
  const { frames, particles: count, mesh: n } = detail
  const call = { seed, ...pictureTolerance(flow) }
  const moved = await flow.trajectory({ samples: count, times: frames, ...call })
  const start = moved.states.data.subarray(0, 2 * count)
  const end = moved.states.data.subarray(2 * count * (frames - 1))
  const extent = extentOf([start, end])
  const particleLogDensity = logDensities(moved.deltaLogp, logNormal(start))

  const base = pixelCentres({ x: [-4.5, 4.5], y: [-4.5, 4.5] }, n)
  const fromBase = await flow.trajectory({ z: base, times: frames, ...call })
  const data = pixelCentres(extentOf([(await flow.sample(count, call)).data]), n)
  const fromData = await flow.trajectory({ x: data, times: frames, ...call })
  const meshes = [
    { ...fromBase, logDensity: logDensities(fromBase.deltaLogp, logNormal(base)), frame: (k: number) => k },
    {
      ...fromData,
      logDensity: logDensities(fromData.deltaLogp, await flow.logProb(data, call)),
      frame: (k: number) => frames - 1 - k
    }
  ]
  const densities = Array.from({ length: frames }, (_, k) => {
    const carried = meshes.map(({ states, logDensity, frame }) => ({
      n,
      points: states.data.subarray(2 * n * n * frame(k), 2 * n * n * (frame(k) + 1)),
      logDensity: logDensity.subarray(n * n * frame(k), n * n * (frame(k) + 1))
    }))
    return meshDensity(carried, extent, FRAME_SIZE)
  })
  const peak = Math.max(...densities.map((density) => quantile(density, 0.998)), Number.MIN_VALUE)
  const columns = Math.ceil(Math.sqrt(frames))
  const pictures = densities.map((density) => picture(density, FRAME_SIZE, peak))
  return {
    times: moved.times,
    extent,
    density: { png: greyPng(sprite(pictures, columns)), size: FRAME_SIZE, columns },
    particles: {
      count,
      positions: Float32Array.from(moved.states.data),
      levels: Uint8Array.from(particleLogDensity, (value) => densityLevel(Math.exp(value), peak))
    },
    field: { size: FIELD_SIZE, velocities: await velocities(flow, moved.times, extent) }
  }
}

/** log p_t along paths: that where they start (B), plus Δlogp on the way. (times, B) */
function logDensities(deltaLogp: Tensor, start: ArrayLike<number>): Float64Array {
  return Float64Array.from(deltaLogp.data, (delta, i) => start[i % start.length]! + delta)
}

/** log N(z; 0, I) of points (n, 2). */
function logNormal(points: RealArray): Float64Array {
  return Float64Array.from(
    { length: points.length / 2 },
    (_, i) => -Math.log(2 * Math.PI) - (points[2 * i]! ** 2 + points[2 * i + 1]! ** 2) / 2
  )
}

/** dz/dt on a grid at each time; times run through the CNF blocks one after the other. */
async function velocities(flow: Flow, times: number[], extent: Extent): Promise<Float32Array> {
  const points = pixelCentres(extent, FIELD_SIZE)
  const all = new Float32Array(times.length * points.length)
  const ends = flow.endTimes
  for (const [frame, time] of times.entries()) {
    let [block, t] = [0, time]
    while (block + 1 < ends.length && t > ends[block]!) t -= ends[block++]!
    const { f } = await flow.velocity(points, { t: Math.min(t, ends[block]!), block })
    all.set(f.data, frame * points.length)
  }
  return all
}
