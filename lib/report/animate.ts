import type { Flow } from '../index'
import type { RealArray, Tensor } from '../native/batch'
import { calendar } from './calendar'
import { densityLevel } from './colormap'
import { greyPng } from './image'
import { type Detail, picture, pictureTolerance } from './plane'
import type { Quantity } from './quantity'
import { type Extent, extentOf, meshDensity, pixelCentres, quantile, sprite } from './raster'
import type { Animation } from './report'
import { linear } from './scale'

/** What an axis shows. */
type AxisQuantity = Pick<Quantity, 'name' | 'clock'>

const FRAME_SIZE = 200
const FIELD_SIZE = 19

/**
 * A flow on the plane from base to data. Two regular meshes, one over the base and one over the data, are carried along
 * with their log-densities, so every frame is the density at its time; particles are samples. What the CNF blocks integrate
 * lies behind fixed transforms, which are affine here (standardize, whiten): states are shown as these would have them at the data, so
 * that the last frame is in the data's units, and the base is a Gaussian of the data's covariance.
 */
export async function animate(
  flow: Flow,
  detail: Detail,
  seed: number,
  quantities: readonly [AxisQuantity, AxisQuantity]
): Promise<Animation> {
  const { frames, particles: count, mesh: n } = detail
  const call = { seed, ...pictureTolerance(flow) }
  const units = await unitsOf(flow, (await flow.sample(count, { ...call, precision: 'float64' })).data)
  const moved = await flow.trajectory({ samples: count, times: frames, ...call })
  const states = moved.states.data
  const [start, end] = [states.subarray(0, 2 * count), states.subarray(2 * count * (frames - 1))]
  const extent = extentOf([units.shown(start), units.shown(end)])
  const particleLogDensity = logDensities(moved.deltaLogp, logNormal(start))

  const base = pixelCentres({ x: [-4.5, 4.5], y: [-4.5, 4.5] }, n)
  const fromBase = await flow.trajectory({ z: base, times: frames, ...call })
  const data = pixelCentres(extentOf([units.shown(end)]), n)
  const fromData = await flow.trajectory({ x: data, times: frames, ...call })
  const meshes = [
    { ...fromBase, logDensity: logDensities(fromBase.deltaLogp, logNormal(base)), frame: (k: number) => k },
    {
      ...fromData,
      // The fixed transforms are in Δlogp from the start, so that this is the density of states.
      logDensity: logDensities(fromData.deltaLogp, await flow.logProb(data, call)),
      frame: (k: number) => frames - 1 - k
    }
  ]
  const densities = Array.from({ length: frames }, (_, k) => {
    const carried = meshes.map(({ states, logDensity, frame }) => ({
      n,
      points: units.shown(states.data.subarray(2 * n * n * frame(k), 2 * n * n * (frame(k) + 1))),
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
    names: [axisText(quantities[0], extent.x), axisText(quantities[1], extent.y)],
    density: { png: greyPng(sprite(pictures, columns)), size: FRAME_SIZE, columns },
    particles: {
      count,
      positions: Float32Array.from(units.shown(states)),
      levels: Uint8Array.from(particleLogDensity, (value) => densityLevel(Math.exp(value), peak))
    },
    field: { size: FIELD_SIZE, velocities: await velocities(flow, moved.times, extent, units) }
  }
}

/** 'price from 10,000 to 600,000' */
function axisText({ name, clock }: AxisQuantity, ends: [number, number]): string {
  const scale = clock ? calendar(clock, ...ends) : linear(...ends)
  const ticks = scale.ticks(4)
  const [first = ends[0], last = ends[1]] = [ticks[0], ticks.at(-1)]
  return `${name}, ${scale.label(first)} to ${scale.label(last)}`
}

/** The affine map s = A x + b from data x to the states that the first CNF block takes, and its way back. */
interface Units {
  /** States (n, 2) in the data's units. */
  shown(states: ArrayLike<number>): Float64Array
  /** Points (n, 2) of the data as states. */
  state(points: ArrayLike<number>): Float64Array
  /** A velocity of states in the data's units. */
  turned(u: number, v: number): [number, number]
}

/** Finds the map by three points about the data. */
async function unitsOf(flow: Flow, samples: ArrayLike<number>): Promise<Units> {
  const { x, y } = extentOf([samples])
  const corners = Float64Array.of(x[0], y[0], x[1], y[0], x[0], y[1])
  const { states } = await flow.trajectory({ x: corners, times: [0] })
  const [s, t, ax, ay, bx, by] = states.data as unknown as [number, number, number, number, number, number]
  // Columns of A are what a step along either axis does.
  const [width, height] = [x[1] - x[0], y[1] - y[0]]
  const [a, c, b, d] = [(ax - s) / width, (ay - t) / width, (bx - s) / height, (by - t) / height]
  const determinant = a * d - b * c
  const turned = (u: number, v: number): [number, number] => [
    (d * u - b * v) / determinant,
    (a * v - c * u) / determinant
  ]
  const mapped = (points: ArrayLike<number>, map: (u: number, v: number) => [number, number]) => {
    const found = new Float64Array(points.length)
    for (let i = 0; i < points.length; i += 2) {
      const [u, v] = map(points[i]!, points[i + 1]!)
      found[i] = u
      found[i + 1] = v
    }
    return found
  }
  return {
    shown: (all) =>
      mapped(all, (u, v) => {
        const [dx, dy] = turned(u - s, v - t)
        return [x[0] + dx, y[0] + dy]
      }),
    state: (all) =>
      mapped(all, (u, v) => [s + a * (u - x[0]) + b * (v - y[0]), t + c * (u - x[0]) + d * (v - y[0])]),
    turned
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

/** dz/dt on a grid at each time, in the data's units; times run through the CNF blocks one after the other. */
async function velocities(flow: Flow, times: number[], extent: Extent, units: Units): Promise<Float32Array> {
  const points = units.state(pixelCentres(extent, FIELD_SIZE))
  const all = new Float32Array(times.length * points.length)
  const ends = flow.endTimes
  for (const [frame, time] of times.entries()) {
    let [block, t] = [0, time]
    while (block + 1 < ends.length && t > ends[block]!) t -= ends[block++]!
    const { f } = await flow.velocity(points, { t: Math.min(t, ends[block]!), block })
    for (let i = 0; i < points.length; i += 2)
      all.set(units.turned(f.data[i]!, f.data[i + 1]!), frame * points.length + i)
  }
  return all
}
