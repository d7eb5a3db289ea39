import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { PNG } from 'pngjs'
import { unreadable } from '../file/file-errors'
import { regularFile } from '../file/pipe'
import { fail, integer, object, text } from '../native/check'
import { FfjordError } from '../native/errors'
import { LawDataset } from './law-dataset'
import { type Ink, pictureLaw } from './picture-law'

export interface ImageOptions {
  /** Default: 0. */
  seed?: number
  /** Longest side that is kept; a larger picture is averaged down. Default: 256. */
  pixels?: number
}

/**
 * Fresh points without end from a picture, a .png file: the darker a pixel, the more of them, and none where it is as light as
 * the lightest. Points lie in [−4, 4] along the longer side; transparent parts count as white.
 */
export async function fromImage(path: string, options: ImageOptions = {}): Promise<LawDataset> {
  const given = object(options, 'fromImage options', ['seed', 'pixels'])
  text(path, 'path', "a picture's path")
  const seed = integer(given.seed ?? 0, 'seed')
  const pixels = integer(given.pixels ?? 256, 'pixels', 2)
  if (extname(path).toLowerCase() !== '.png')
    fail('UNSUPPORTED_FILE', `${path} is no .png file; convert it to one`)
  const bytes = await readFile(await regularFile(path)).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  const ink = inkOf(reduced(greys(path, bytes), pixels))
  if (ink.weights.length < 2 || ink.weights.every((weight) => weight === 0))
    fail('INVALID_FILE', `${path} is of one shade throughout, so it has no density; give another picture`)
  return new LawDataset(basename(path), pictureLaw(ink), seed)
}

interface Greys {
  width: number
  height: number
  /** (height, width), 0 black to 255 white. */
  levels: Float64Array
}

/** Luma of ITU-R BT.601, over white. */
function greys(path: string, bytes: Buffer): Greys {
  let png: PNG
  try {
    png = PNG.sync.read(bytes)
  } catch (error) {
    throw new FfjordError(
      'INVALID_FILE',
      `${path} is no readable PNG (${(error as Error).message}); write it anew`,
      {
        cause: error
      }
    )
  }
  const { width, height, data } = png
  const levels = Float64Array.from({ length: width * height }, (_, pixel) => {
    const [red, green, blue, alpha] = data.subarray(4 * pixel, 4 * pixel + 4) as unknown as [
      number,
      number,
      number,
      number
    ]
    const luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return 255 + (alpha / 255) * (luma - 255)
  })
  return { width, height, levels }
}

/** Averages squares of pixels, so that the longer side has at most `most`; what is left over at right and bottom is a part of one. */
function reduced({ width, height, levels }: Greys, most: number): Greys {
  const side = Math.ceil(Math.max(width, height) / most)
  if (side === 1) return { width, height, levels }
  const [columns, rows] = [Math.ceil(width / side), Math.ceil(height / side)]
  const sums = new Float64Array(columns * rows)
  const counts = new Float64Array(columns * rows)
  levels.forEach((level, pixel) => {
    const square = Math.floor(pixel / width / side) * columns + Math.floor((pixel % width) / side)
    sums[square]! += level
    counts[square]! += 1
  })
  return { width: columns, height: rows, levels: sums.map((sum, square) => sum / counts[square]!) }
}

function inkOf({ width, height, levels }: Greys): Ink {
  const lightest = levels.reduce((most, level) => Math.max(most, level), 0)
  return { width, height, weights: levels.map((level) => lightest - level) }
}
