import { choice, fail, integer, isArray, object, show } from '../native/check'
import { checkDequantization, type Dequantization } from './visit'

/** What transparent pixels become. */
export type Alpha = 'refuse' | 'white' | 'black'

/** How pictures of any size and kind become images of one shape. */
export interface PictureReading {
  /**
   * Height and width, or one number for both: pictures are cut around their middle to these proportions, and averaged to this size.
   * Default: all have the size of the first.
   */
  resize?: number | readonly [number, number]
  /** 1 turns colours into grey (luma of ITU-R BT.601), 3 repeats grey in all colours. Default: those of the first file. */
  channels?: 1 | 3
  /** What shows through transparent pixels. Default: 'refuse', an error where there are any. */
  alpha?: Alpha
}

/** What a flow remembers of the images that it was trained on, so that others are read alike. */
export interface ImageReading extends PictureReading {
  /** How levels became numbers. */
  dequantize?: Dequantization
}

export const pictureKeys = ['resize', 'channels', 'alpha'] as const

export interface CheckedReading {
  size?: { height: number; width: number }
  channels?: 1 | 3
  alpha: Alpha
}

export function checkPictureReading({
  resize,
  channels,
  alpha
}: { [key in keyof PictureReading]: unknown }): CheckedReading {
  if (channels !== undefined && channels !== 1 && channels !== 3)
    fail('INVALID_OPTION', `channels is ${show(channels)}; give 1 for grey, or 3 for red, green and blue`)
  return {
    ...(resize !== undefined && { size: checkSize(resize) }),
    ...(channels !== undefined && { channels }),
    alpha: choice(alpha ?? 'refuse', 'alpha', ['refuse', 'white', 'black'])
  }
}

function checkSize(value: unknown): { height: number; width: number } {
  const [height, width] = isArray(value) ? value : [value, value]
  return { height: integer(height, 'resize', 1, 2 ** 14), width: integer(width, 'resize', 1, 2 ** 14) }
}

/** A copy. */
export function checkImageReading(value: unknown, name: string): ImageReading {
  const { dequantize, ...given } = object(value, name, [...pictureKeys, 'dequantize'])
  const { size, channels } = checkPictureReading(given)
  return {
    ...(size && { resize: [size.height, size.width] as const }),
    ...(channels && { channels }),
    ...(given.alpha !== undefined && { alpha: given.alpha as Alpha }),
    ...(dequantize !== undefined && { dequantize: checkDequantization(dequantize, `${name}.dequantize`) })
  }
}
