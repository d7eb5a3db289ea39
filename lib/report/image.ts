import { PNG } from 'pngjs'
import { MAGMA } from './colormap'

/** Colour levels (height, width), row 0 at the top. */
export interface Levels {
  width: number
  height: number
  levels: Uint8Array
}

/** A PNG in colour, as a data URI. */
export function colourPng({ width, height, levels }: Levels): string {
  const data = Buffer.alloc(3 * width * height)
  levels.forEach((level, pixel) => {
    data[3 * pixel] = MAGMA[3 * level]!
    data[3 * pixel + 1] = MAGMA[3 * level + 1]!
    data[3 * pixel + 2] = MAGMA[3 * level + 2]!
  })
  return encode(width, height, data, 2)
}

/** A PNG of the levels themselves, as a data URI; whoever shows it applies the colours. */
export function greyPng({ width, height, levels }: Levels): string {
  return encode(width, height, Buffer.from(levels.buffer, levels.byteOffset, levels.length), 0)
}

function encode(width: number, height: number, data: Buffer, colorType: 0 | 2): string {
  const png = new PNG({ width, height })
  png.data = data
  const bytes = PNG.sync.write(png, {
    colorType,
    inputColorType: colorType,
    inputHasAlpha: false,
    bitDepth: 8,
    deflateLevel: 9
  })
  return `data:image/png;base64,${bytes.toString('base64')}`
}
