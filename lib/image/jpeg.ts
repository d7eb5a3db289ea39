import { decode } from 'jpeg-js'
import { FfjordError } from '../native/errors'
import { damaged } from './file-bytes'
import type { PictureHeader } from './picture'

/** JPEG files, decoded by jpeg-js, whose levels are within a few of those of other decoders: the standard leaves them open. */

/** Markers, which follow a byte 0xFF. */
const START_OF_SCAN = 0xda
const END_OF_IMAGE = 0xd9
/** Frames of all kinds, but for the tables among their numbers. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)

/** The frame says width, height, depth and channels. */
export function jpegHeader(path: string, bytes: Uint8Array): PictureHeader {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  let frame: PictureHeader | undefined
  for (let at = 2; at + 4 <= bytes.length; ) {
    if (bytes[at] !== 0xff) damaged(path, `has no marker at byte ${at}`, 'write it anew')
    const marker = bytes[at + 1]!
    if (marker === 0xff) {
      at++
      continue
    }
    if (marker === START_OF_SCAN) {
      if (!frame) return damaged(path, 'begins its pixels before it says how many there are', 'write it anew')
      if (!endsAfter(bytes, at)) damaged(path, 'is cut short: its end is missing', 'write it anew')
      return frame
    }
    if (isFrame(marker)) {
      if (at + 10 > bytes.length) break
      const [depth, channels] = [view.getUint8(at + 4), view.getUint8(at + 9)]
      if (depth !== 8) damaged(path, `has ${depth} bits a level, and images here have 8`, 'convert it')
      if (channels !== 1 && channels !== 3)
        damaged(
          path,
          `has ${channels} channels, as for print`,
          'convert it to grey, or to red, green and blue'
        )
      frame = { width: view.getUint16(at + 7), height: view.getUint16(at + 5), isGrey: channels === 1 }
    }
    at += 2 + view.getUint16(at + 2)
  }
  return damaged(path, 'ends within its header', 'write it anew')
}

function endsAfter(bytes: Uint8Array, scan: number): boolean {
  for (let at = bytes.length - 2; at > scan; at--)
    if (bytes[at] === 0xff && bytes[at + 1] === END_OF_IMAGE) return true
  return false
}

/** (pixels, red green blue alpha) levels. */
export function jpegLevels(path: string, bytes: Uint8Array): Uint8Array {
  try {
    return decode(bytes, {
      useTArray: true,
      tolerantDecoding: false,
      maxResolutionInMP: 2 ** 10,
      maxMemoryUsageInMB: 2 ** 13
    }).data
  } catch (cause) {
    throw new FfjordError(
      'INVALID_FILE',
      `${path} cannot be decoded (${(cause as Error).message ?? String(cause)}): it is damaged; write it anew`,
      { cause }
    )
  }
}
