import { gridPng } from '../image/write-png'
import { type RealArray, sizeOf } from '../native/batch'
import { escapeText, picture, textWithin } from './svg'

/** Room above the pictures for a title, and beside them. */
const HEAD = 26
const SIDE = 10
/** Pixels between two pictures. */
const GAP = 2
/** No pixel of an image is drawn wider than so many of the page. */
const LARGEST_PIXEL = 6

/** Images (n, channels, height, width) in lines of `columns`, as they are, at most `width` wide and without axes. */
export function imageSheet(
  title: string,
  rows: RealArray,
  shape: readonly number[],
  { columns, width = 380 }: { columns: number; width?: number }
): string {
  const [channels = 1, height = 1, across = 1] = shape
  const count = rows.length / sizeOf(shape)
  const shown = channels === 3 ? rows : firstChannel(rows, shape)
  const data = { data: shown, shape: [count, channels === 3 ? 3 : 1, height, across] }
  const uri = `data:image/png;base64,${gridPng(data, { columns, gap: GAP }).toString('base64')}`
  const pixels = {
    width: Math.min(columns, count) * (across + GAP) - GAP,
    height: Math.ceil(count / columns) * (height + GAP) - GAP
  }
  const scale = Math.min(LARGEST_PIXEL, (width - 2 * SIDE) / pixels.width)
  const size = { width: scale * pixels.width, height: scale * pixels.height }
  const content =
    textWithin(title, 'title', { x: SIDE, y: 16, room: width - 2 * SIDE }) +
    `<image href="${uri}" x="${SIDE}" y="${HEAD}" width="${size.width.toFixed(1)}" height="${size.height.toFixed(1)}" ` +
    `style="image-rendering:pixelated"><title>${escapeText(title)}</title></image>`
  return picture(width, Math.ceil(HEAD + size.height + SIDE), title, content)
}

/** Of channels that are no colours the first is shown. */
function firstChannel(rows: RealArray, shape: readonly number[]): RealArray {
  const [channels = 1] = shape
  if (channels === 1) return rows
  const size = sizeOf(shape)
  const each = size / channels
  return Float64Array.from(
    { length: rows.length / channels },
    (_, i) => rows[Math.floor(i / each) * size + (i % each)]!
  )
}
