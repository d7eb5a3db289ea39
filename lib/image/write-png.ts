import { types } from 'node:util'
import { PNG } from 'pngjs'
import { writeAtomically } from '../file/whole-file'
import { isBytes, isReal, type RealArray } from '../native/batch'
import { fail, filePath, integer, isArray, isObject, object, show } from '../native/check'

/** Images as a PNG file, side by side. */

export interface GridOptions {
  /** Images a line. Default: as many as make a square. */
  columns?: number
  /** Pixels between two images. Default: 2. */
  gap?: number
}

/** Levels of 0 … 255, or numbers of [0, 1] as data sets and flows have them: (rows, channels, height, width). */
export interface ImageGrid {
  data: Uint8Array | RealArray
  shape: readonly number[]
}

/** The level whose cell a number of [0, 1] lies in, as (b + u) / 256 does in that of b. */
export function levelOf(value: number): number {
  return Math.min(255, Math.max(0, Math.floor(256 * value)))
}

/** Images in lines of `columns`, grey or in colours, from left to right and down. */
export function gridPng(images: ImageGrid, options: GridOptions = {}): Buffer {
  const given = object(options, 'grid options', ['columns', 'gap'])
  const { data, shape } = checked(images)
  const [rows, channels, height, width] = shape
  const columns = integer(given.columns ?? Math.ceil(Math.sqrt(rows)), 'columns', 1, 2 ** 16)
  const gap = integer(given.gap ?? 2, 'gap', 0, 2 ** 10)
  const lines = Math.ceil(rows / columns)
  const across = Math.min(rows, columns)
  const whole = { width: across * (width + gap) - gap, height: lines * (height + gap) - gap }
  if (whole.width > 2 ** 16 || whole.height > 2 ** 16)
    fail(
      'INVALID_OPTION',
      `the grid would have ${whole.width} × ${whole.height} pixels; give fewer images, or other columns`
    )
  const png = new PNG(whole)
  png.data = Buffer.alloc(channels * whole.width * whole.height)
  const pixels = height * width
  for (let image = 0; image < rows; image++) {
    const top = Math.floor(image / columns) * (height + gap)
    const left = (image % columns) * (width + gap)
    for (let pixel = 0; pixel < pixels; pixel++) {
      const place = (top + Math.floor(pixel / width)) * whole.width + left + (pixel % width)
      for (let channel = 0; channel < channels; channel++) {
        const value = data[(image * channels + channel) * pixels + pixel]!
        png.data[place * channels + channel] = types.isUint8Array(data) ? value : levelOf(value)
      }
    }
  }
  const colorType = channels === 1 ? 0 : 2
  return PNG.sync.write(png, {
    colorType,
    inputColorType: colorType,
    inputHasAlpha: false,
    bitDepth: 8,
    deflateLevel: 9
  })
}

/** The same as a file. */
export async function writePng(path: string, images: ImageGrid, options: GridOptions = {}): Promise<void> {
  filePath(path)
  const bytes = gridPng(images, options)
  await writeAtomically(path, [bytes])
}

function checked(images: ImageGrid): {
  data: Uint8Array | RealArray
  shape: [number, 1 | 3, number, number]
} {
  const { data, shape } = isObject(images) ? images : ({} as Partial<ImageGrid>)
  if (!(isBytes(data) || isReal(data)) || !isArray(shape))
    fail('INVALID_INPUT', `images is ${show(images)}; give { data, shape: [rows, channels, height, width] }`)
  const sizes = Array.from(shape, (size, i) => integer(size, `shape[${i}]`, 1, 2 ** 24))
  if (sizes.length !== 4 || (sizes[1] !== 1 && sizes[1] !== 3))
    fail(
      'INVALID_SHAPE',
      `images have the shape [${sizes}]; give [rows, channels, height, width] with 1 or 3 channels`
    )
  const size = sizes.reduce((product, length) => product * length, 1)
  if (size !== data.length)
    fail('INVALID_SHAPE', `images holds ${data.length} numbers, and its shape says ${size}; make them agree`)
  if (isReal(data) && data.some((value) => Number.isNaN(value)))
    fail('NOT_FINITE', 'images holds NaN, which is no level; give numbers of [0, 1]')
  return { data, shape: sizes as [number, 1 | 3, number, number] }
}
