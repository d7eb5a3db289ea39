import { existsSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { ArrayDataset, type Dataset, fromFile, type ImageSetName, imageSet, imageSetNames } from '../index'
import { imageSetIn, suggestion } from './data'
import { WrongCall } from './exit'

/** Images for autoencoders, by what `--data` says. */

export const IMAGES = `a set with its folder (${imageSetNames.join(', ')}: NAME:FOLDER), or a file with a row an image, pixels in [0, 1] (FILE:HEIGHTxWIDTH)`

export interface ImageSource {
  name: string
  /** [channels, height, width] */
  shape: number[]
  train: Dataset
  validation?: Dataset
  test: Dataset
}

/** Shares of a file to train on, to validate on and to test on; of a set without a validation part, of its training images. */
const shares = [0.8, 0.1, 0.1] as const
const setShares = [0.9, 0.1] as const

export async function openImages(
  data: string,
  { binarize, seed }: { binarize: boolean; seed: number }
): Promise<ImageSource> {
  const set = imageSetIn(data)
  return set && set.name !== 'images'
    ? openSet(set.name, set.folder, binarize, seed)
    : openFile(data, binarize, seed)
}

/** The same images, from any working directory. */
export function absoluteImages(data: string): string {
  const set = imageSetIn(data)
  return set ? `${set.name}:${resolve(set.folder)}` : resolve(data)
}

async function openSet(
  name: ImageSetName,
  folder: string,
  binarize: boolean,
  seed: number
): Promise<ImageSource> {
  const set = await imageSet(name, folder, binarize ? { binarize, seed } : { dequantize: 'none', seed })
  const [train, validation] = set.validation
    ? [set.train, set.validation]
    : set.train.split(setShares, { seed })
  return { name, shape: [...set.train.shape], train, validation, test: set.test }
}

async function openFile(data: string, binarize: boolean, seed: number): Promise<ImageSource> {
  const sized = /^(.*):(\d+)x(\d+)$/.exec(data)
  const path = sized?.[1] ?? data
  if (binarize)
    throw new WrongCall('--binarize goes with sets of images; give their folder, or binary pixels')
  if (!existsSync(path))
    throw new WrongCall(
      `--data ${data} is neither a file nor a set with its folder${suggestion(data)}; give ${IMAGES}`
    )
  const table = await fromFile(path)
  if (!(table instanceof ArrayDataset)) throw new WrongCall(`${path} is no file of images; give ${IMAGES}`)
  const width = table.data.length / table.rows
  const side = Math.sqrt(width)
  if (!Number.isInteger(side) && !sized)
    throw new WrongCall(`${path} has ${width} numbers a row, which is no square; say ${path}:HEIGHTxWIDTH`)
  if (sized && Number(sized[2]) * Number(sized[3]) !== width)
    throw new WrongCall(
      `${path} has ${width} numbers a row, which are no ${sized[2]} × ${sized[3]}; name its sides`
    )
  const shape = [1, ...(sized ? [Number(sized[2]), Number(sized[3])] : [side, side])]
  const images = new ArrayDataset(Float32Array.from(table.data), shape)
  const [train, validation, test] = images.split(shares, { seed })
  return { name: basename(path), shape, train, validation, test }
}
