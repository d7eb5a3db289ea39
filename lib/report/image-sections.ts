import type { Dataset } from '../data/dataset'
import { ImageDataset } from '../data/image-dataset'
import { classNames, eachClass } from '../data/labels'
import { frontOf } from '../flow/observe'
import type { Flow } from '../index'
import { type RealArray, sizeOf, type Tensor } from '../native/batch'
import { imageSheet } from './image-sheet'
import { animateImages, type ImageWays, imageWays, someStates } from './image-ways'
import { pictureTolerance } from './plane'
import type { ImageAnimation, Section } from './report'
import { contextOption, firstRows } from './scores'

/** What a report shows of a flow of images. */

/** Images at each end of log p. */
const AT_AN_END = 36
/** Pairs of images with what lies between them, and pictures a pair. */
const [PAIRS, BETWEEN] = [6, 9]
/** Samples that are followed from the noise, and states of each. */
const [FOLLOWED, STATES] = [6, 9]
/** Images with a hole, and fillings of each. */
const [HOLED, FILLINGS] = [6, 3]
/** Classes and samples of each. */
const [CLASSES, EACH] = [10, 10]
/** Test images whose classes are listed. */
const LISTED = 10

interface Seen {
  /** The data that are shown, and samples beside them. */
  rows: RealArray
  samples: RealArray
  test: Dataset
  /** log p of the first rows of `test`. */
  logProb?: Float64Array | undefined
  seed: number
}

/** Still figures; and samples on their way, where states of the dynamics are images. */
interface ImageFigures {
  sections: Section[]
  images?: ImageAnimation
}

export async function imageSections(
  flow: Flow,
  { rows, samples, test, logProb, seed }: Seen
): Promise<ImageFigures> {
  const { shape } = flow
  const front = frontOf(flow.description.blocks)
  const ways = front && (await imageWays(flow, test, front, seed))
  const tested = logProb && (await firstRows(test, logProb.length)).rows
  const sections = [
    {
      title: 'Images',
      note: 'Data and samples of the flow.',
      panels: [imageSheet('Data', rows, shape), imageSheet('Samples', samples, shape)]
    },
    ...(await classSections(flow, test, seed)),
    ...(tested ? [imagesAtTheEnds(tested, logProb, shape)] : []),
    await pathSection(flow, test, ways),
    ...(front ? [await inpaintingSection(flow, test, seed)] : [])
  ]
  return { sections, ...(ways && { images: animateImages(ways, shape) }) }
}

/** Test images that the flow finds most and least likely. */
function imagesAtTheEnds(rows: RealArray, logProb: Float64Array, shape: readonly number[]): Section {
  const order = Array.from(logProb.keys()).sort((a, b) => logProb[b]! - logProb[a]!)
  const chosen = (some: number[]) => joined(some.map((row) => imageOf(rows, row, shape)))
  const shown = Math.min(AT_AN_END, order.length)
  return {
    title: 'Images at the ends',
    note: 'Test images that the flow finds most and least likely. Images with little in them have the largest densities, whatever they show.',
    panels: [
      imageSheet('Most likely', chosen(order.slice(0, shown)), shape),
      imageSheet('Least likely', chosen(order.slice(-shown).reverse()), shape)
    ]
  }
}

/** Lines in the base between pairs of test images; and samples on their way from the base, where states are images. */
async function pathSection(flow: Flow, test: Dataset, ways: ImageWays | undefined): Promise<Section> {
  const { shape } = flow
  const between = imageSheet('Between two test images', await interpolated(flow, test), shape, {
    columns: BETWEEN
  })
  const way =
    ways &&
    imageSheet(
      'From noise to samples',
      someStates(ways, shape, { samples: FOLLOWED, times: STATES }),
      shape,
      {
        columns: STATES
      }
    )
  return {
    title: 'Paths of images',
    note:
      'Each line begins and ends with a test image: both are brought to the base, and points of the straight line between them come back.' +
      (ways
        ? ' Beside it, samples at equal times from the base, left, to the data, right, as the transforms in front of the dynamics show them.'
        : ' The way from noise to samples, and images with holes filled in, are left out: they take a flow of CNF blocks behind transforms of single elements.'),
    panels: [between, ...(way ? [way] : [])]
  }
}

async function interpolated(flow: Flow, test: Dataset): Promise<RealArray> {
  const { rows, context } = await firstRows(test, 2 * PAIRS)
  const size = sizeOf(flow.shape)
  const count = rows.length / size
  const { z } = await flow.forward(tensor(rows, flow.shape), {
    ...pictureTolerance(flow),
    ...contextOption(context, count)
  })
  const pairs = Math.max(1, Math.floor(count / 2))
  // A conditional density goes from one context to the other on the way.
  const onLines = (ends: RealArray, width: number) => {
    const points = new Float64Array(pairs * BETWEEN * width)
    points.forEach((_, at) => {
      const [row, element] = [Math.floor(at / width), at % width]
      const share = (row % BETWEEN) / (BETWEEN - 1)
      const first = 2 * Math.floor(row / BETWEEN)
      const last = Math.min(first + 1, count - 1)
      points[at] = (1 - share) * ends[first * width + element]! + share * ends[last * width + element]!
    })
    return points
  }
  const given = context && {
    columns: context.columns,
    data: onLines(context.data, context.columns.length)
  }
  const { x } = await flow.inverse(tensor(onLines(z.data, size), flow.shape), {
    ...pictureTolerance(flow),
    ...contextOption(given, pairs * BETWEEN)
  })
  return x.data
}

/** Test images, a hole in their middle, and what the flow fills in. */
async function inpaintingSection(flow: Flow, test: Dataset, seed: number): Promise<Section> {
  const { shape } = flow
  const { rows, context } = await firstRows(test, HOLED)
  const count = rows.length / sizeOf(shape)
  const hole = holeOf(shape)
  const fillings: RealArray[] = []
  for (let filling = 0; filling < FILLINGS; filling++) {
    const observe = { mask: hole.map((one) => 1 - one), values: rows }
    const call = { seed, rowOffset: filling * count, ...contextOption(context, count) }
    fillings.push((await flow.sample(count, { ...call, observe })).data)
  }
  const holed = Float64Array.from(rows, (value, at) => (hole[at % hole.length] ? GREY : value))
  const lines = Array.from({ length: count }, (_, row) =>
    [rows, holed, ...fillings].map((images) => imageOf(images, row, shape))
  )
  return {
    title: 'Holes filled in',
    note:
      'Test images, the same with their middle taken out, and fillings by flow.sample with observe, without training for it: likely ones, and no exact ' +
      'draws from the conditional density.',
    panels: [imageSheet('Image, hole, fillings', joined(lines.flat()), shape, { columns: 2 + FILLINGS })]
  }
}

/** What a hole is shown in. */
const GREY = 0.5

/** Ones in the middle of an image, half as wide and high, in all channels. */
function holeOf([channels, height, width]: readonly number[]): Uint8Array {
  const inside = (place: number, side: number) =>
    place >= Math.floor(side / 4) && place < Math.ceil((3 * side) / 4)
  return Uint8Array.from({ length: channels! * height! * width! }, (_, at) =>
    inside(Math.floor(at / width!) % height!, height!) && inside(at % width!, width!) ? 1 : 0
  )
}

/** Of a flow that is conditioned on classes: samples of each, and what it makes of test images. */
async function classSections(flow: Flow, test: Dataset, seed: number): Promise<Section[]> {
  const { context } = flow.description
  const names = classNames(typeof context === 'object' ? context.columns : undefined)
  if (!names) return []
  const given = eachClass(names.length, EACH)
  const shown = Math.min(CLASSES, names.length)
  const { data } = await flow.sample(shown * EACH, {
    seed,
    ...pictureTolerance(flow),
    context: {
      data: given.data.subarray(0, shown * EACH * names.length),
      shape: [shown * EACH, names.length]
    }
  })
  const found =
    test instanceof ImageDataset
      ? await flow.labelProbabilities(test, { rows: LISTED, ...pictureTolerance(flow) })
      : undefined
  const labels = test instanceof ImageDataset ? test.labels : undefined
  const percent = (share: number) => (share < 0.0005 ? '' : share.toFixed(3))
  return [
    {
      title: 'Classes',
      note: `Samples of each class, a line a class: ${names.slice(0, shown).join(', ')}.${
        found
          ? " Below, p(class | image) of the first test images by Bayes' theorem; an empty cell has less than 0.0005."
          : ''
      }`,
      panels: [imageSheet('Samples by class', data, flow.shape, { columns: EACH })],
      ...(found && {
        listings: [
          {
            title: 'p(class | image)',
            header: ['Image', 'Class', ...names],
            rows: Array.from({ length: found.rows }, (_, row) => [
              String(row + 1),
              labels ? labels.names[labels.values[row]!]! : '',
              ...names.map((_, label) => percent(found.probabilities[row * names.length + label]!))
            ])
          }
        ]
      })
    }
  ]
}

function tensor(data: RealArray, shape: readonly number[]): Tensor<RealArray> {
  return { data, shape: [data.length / sizeOf(shape), ...shape] }
}

function imageOf(rows: RealArray, row: number, shape: readonly number[]): RealArray {
  const size = sizeOf(shape)
  return rows.subarray(row * size, (row + 1) * size)
}

function joined(images: readonly RealArray[]): Float64Array {
  const size = images[0]!.length
  const all = new Float64Array(images.length * size)
  images.forEach((image, at) => {
    all.set(image, at * size)
  })
  return all
}
