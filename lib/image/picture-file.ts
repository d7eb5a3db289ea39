import type { Alpha } from '../data/picture-reading'
import { damaged } from './file-bytes'
import { jpegHeader, jpegLevels } from './jpeg'
import type { Picture, PictureHeader } from './picture'
import { pngHeader, pngLevels } from './png'

/** A PNG or JPEG file, whatever it is called, as levels. */

/** The most pixels of a picture: a file of a few bytes can claim any number. */
const MOST_PIXELS = 2 ** 28

export function pictureHeader(path: string, bytes: Uint8Array): PictureHeader {
  const header = kindOf(path, bytes) === 'png' ? pngHeader(path, bytes) : jpegHeader(path, bytes)
  const { width, height } = header
  if (width === 0 || height === 0)
    damaged(path, `says that it has ${width} × ${height} pixels`, 'write it anew')
  if (width * height > MOST_PIXELS)
    damaged(
      path,
      `says that it has ${width} × ${height} pixels`,
      `give pictures of at most ${MOST_PIXELS} pixels`
    )
  return header
}

export function readPicture(path: string, bytes: Uint8Array, alpha: Alpha): Picture {
  const header = pictureHeader(path, bytes)
  const levels = kindOf(path, bytes) === 'png' ? pngLevels(path, bytes, alpha) : jpegLevels(path, bytes)
  return { ...header, levels: header.isGrey ? firstChannel(levels) : withoutAlpha(levels) }
}

function kindOf(path: string, bytes: Uint8Array): 'png' | 'jpeg' {
  if (bytes.length === 0) damaged(path, 'is empty', 'write it anew')
  if (bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47) return 'png'
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return 'jpeg'
  return damaged(
    path,
    'is neither a PNG nor a JPEG file, whatever its name says',
    'convert it to one, or leave it out'
  )
}

/** Of (pixels, red green blue alpha) levels. */
function firstChannel(levels: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: levels.length / 4 }, (_, pixel) => levels[4 * pixel]!)
}

function withoutAlpha(levels: Uint8Array): Uint8Array {
  const colours = new Uint8Array((levels.length / 4) * 3)
  for (let pixel = 0; 4 * pixel < levels.length; pixel++)
    colours.set(levels.subarray(4 * pixel, 4 * pixel + 3), 3 * pixel)
  return colours
}
