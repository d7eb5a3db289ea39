import { PNG } from 'pngjs'
import type { Alpha } from '../data/picture-reading'
import { FfjordError } from '../native/errors'
import { damaged } from './file-bytes'
import type { PictureHeader } from './picture'

/** PNG files, decoded by pngjs. */

/** Bits of the colour type. */
const PALETTE = 1
const COLOUR = 2

/** Width, height, depth and colour type stand in the first chunk, of which every PNG has one. */
export function pngHeader(path: string, bytes: Uint8Array): PictureHeader {
  if (bytes.length < 26) damaged(path, 'ends within its header', 'write it anew')
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const [depth, type] = [view.getUint8(24), view.getUint8(25)]
  if (depth === 16)
    damaged(
      path,
      'has 16 bits a level, and images here have 8',
      'convert it (convert IN.png -depth 8 OUT.png)'
    )
  return {
    width: view.getUint32(16),
    height: view.getUint32(20),
    isGrey: (type & (COLOUR | PALETTE)) === 0
  }
}

/** (pixels, red green blue alpha) levels; palettes are looked up, and fewer than 8 bits are spread over 0 … 255. */
export function pngLevels(path: string, bytes: Uint8Array, alpha: Alpha): Uint8Array {
  let levels: Uint8Array
  try {
    levels = PNG.sync.read(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).data
  } catch (cause) {
    throw new FfjordError(
      'INVALID_FILE',
      `${path} cannot be decoded (${(cause as Error).message}): it is cut short or damaged; write it anew`,
      { cause }
    )
  }
  for (let at = 0; at < levels.length; at += 4) {
    const opacity = levels[at + 3]!
    if (opacity === 255) continue
    if (alpha === 'refuse')
      damaged(
        path,
        `has a transparent pixel, number ${at / 4}`,
        "choose what shows through, alpha: 'white' or 'black' (--alpha)"
      )
    const ground = alpha === 'white' ? 255 : 0
    for (let channel = at; channel < at + 3; channel++)
      levels[channel] = Math.round((opacity * levels[channel]! + (255 - opacity) * ground) / 255)
  }
  return levels
}
