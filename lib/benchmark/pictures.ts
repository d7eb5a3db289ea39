import { checkLabels, type Labels } from '../data/labels'
import { damaged } from '../image/file-bytes'

/** Images and their classes as files hold them, before it is said how they are read. */

export interface Pictures {
  /** (rows, shape) */
  levels: Uint8Array
  shape: readonly [number, number, number]
  labels?: Labels
  /** Levels are 0 and 255 alone, and nothing is left to be drawn. */
  isDrawn?: boolean
}

export interface SetOfPictures {
  train: Pictures
  validation?: Pictures
  test: Pictures
  /** What else sets the images apart from the published ones. */
  remark?: string
}

/** How a level is read where the caller says nothing. */
export type UsualLaw = 'uniform' | 'none' | 'bernoulli'

export interface SetReader {
  /** Images of the published parts. */
  rows: { train: number; validation?: number; test: number }
  shape: readonly [number, number, number]
  law: UsualLaw
  /** `isBinarized`: parts that are drawn once are drawn; `split` is the seed of a shuffle. */
  read(folder: string, options: { isBinarized: boolean; split: number }): Promise<SetOfPictures>
}

/** Classes of `rows` images, of the file that they come from, counted from `first` there. */
export function labelled(
  path: string,
  values: ArrayLike<number>,
  names: readonly string[],
  rows: number,
  first = 0
): Labels {
  if (values.length !== rows)
    damaged(
      path,
      `has ${values.length} labels, and there are ${rows} images`,
      'give the labels of these images'
    )
  const places = Array.from(values, (value) => value - first)
  const outside = places.findIndex(
    (place) => !(Number.isInteger(place) && place >= 0 && place < names.length)
  )
  if (outside >= 0)
    damaged(
      path,
      `says class ${values[outside]} of image ${outside}, and classes go from ${first} to ${names.length - 1 + first}`
    )
  return checkLabels(places, names, rows)
}

/** Levels of images, each of which is transposed: programs that read these sets reshape by columns. */
export function transposed(levels: Uint8Array, height: number, width: number): Uint8Array {
  const size = height * width
  const turned = new Uint8Array(levels.length)
  for (let image = 0; image < levels.length; image += size)
    for (let row = 0; row < height; row++)
      for (let column = 0; column < width; column++)
        turned[image + column * height + row] = levels[image + row * width + column]!
  return turned
}

/** Some of the pictures, by their numbers. */
export function picked({ levels, shape, ...rest }: Pictures, rows: Uint32Array): Pictures {
  const size = shape[0] * shape[1] * shape[2]
  const some = new Uint8Array(rows.length * size)
  rows.forEach((row, i) => {
    some.set(levels.subarray(row * size, (row + 1) * size), i * size)
  })
  return { ...rest, levels: some, shape }
}
