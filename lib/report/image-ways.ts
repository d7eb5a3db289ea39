import type { Dataset } from '../data/dataset'
import { type Block, Flow } from '../index'
import { type RealArray, sizeOf, type Tensor } from '../native/batch'
import { GAP, imageGrid } from './image-sheet'
import { pictureTolerance } from './plane'
import type { ImageAnimation } from './report'
import { contextOption, firstRows } from './scores'

/** Samples of images on their way from the base to the data. */

/** Samples that are followed, and a line of them. */
const [FOLLOWED, LINE] = [36, 6]
/** Times that a way is cut in, one more than a multiple of those that a still figure shows; and numbers that a page may hold. */
const [FRAMES, FEWEST] = [25, 9]
const MOST_NUMBERS = 1_500_000

/** States of samples as the transforms in front of the dynamics show them, the base first. */
export interface ImageWays {
  times: number[]
  samples: number
  /** (times, samples, shape) */
  states: RealArray
}

export async function imageWays(
  flow: Flow,
  test: Dataset,
  front: readonly Block[],
  seed: number
): Promise<ImageWays> {
  const { shape } = flow
  const { context } = await firstRows(test, FOLLOWED)
  const samples = context ? context.data.length / context.columns.length : FOLLOWED
  const times = samples * sizeOf(shape) * FRAMES > MOST_NUMBERS ? FEWEST : FRAMES
  const way = await flow.trajectory({
    samples,
    times,
    seed,
    ...pictureTolerance(flow),
    ...contextOption(context, samples)
  })
  const states = way.states.data
  if (front.length === 0) return { times: way.times, samples, states }
  using transforms = await Flow.create({ shape, blocks: front, device: 'reference' })
  const rows: Tensor<RealArray> = { data: states, shape: [times * samples, ...shape] }
  return { times: way.times, samples, states: (await transforms.inverse(rows)).x.data }
}

/** (samples, times, shape): the first samples at so many of the times, the base first. */
export function someStates(
  { times, samples, states }: ImageWays,
  shape: readonly number[],
  wanted: { samples: number; times: number }
): Float64Array {
  const size = sizeOf(shape)
  const rows = Math.min(samples, wanted.samples)
  const found = new Float64Array(rows * wanted.times * size)
  for (let row = 0; row < rows; row++)
    for (let i = 0; i < wanted.times; i++) {
      const time = Math.round((i * (times.length - 1)) / (wanted.times - 1))
      const from = (time * samples + row) * size
      found.set(states.subarray(from, from + size), (row * wanted.times + i) * size)
    }
  return found
}

/** One picture of all states, a frame below the other. */
export function animateImages(
  { times, samples, states }: ImageWays,
  shape: readonly number[]
): ImageAnimation {
  const [, height = 1, width = 1] = shape
  const size = sizeOf(shape)
  const columns = Math.min(LINE, samples)
  // Frames of whole lines alone: what is left of the last one is not shown.
  const lines = Math.max(1, Math.floor(samples / columns))
  const each = lines * columns
  const shown = new Float64Array(times.length * each * size)
  for (let time = 0; time < times.length; time++)
    shown.set(states.subarray(time * samples * size, (time * samples + each) * size), time * each * size)
  return {
    times,
    png: imageGrid(shown, shape, columns),
    width: columns * (width + GAP) - GAP,
    height: lines * (height + GAP) - GAP,
    step: lines * (height + GAP)
  }
}
