import { gridPng } from '../image/write-png'
import { type RealArray, sizeOf } from '../native/batch'
import { escapeText, picture, textWithin } from './svg'

/** Room above the pictures for a title, and beside them. */
const HEAD = 26
const SIDE = 10
/** Pixels between two pictures. */
export const GAP = 2
/** No pixel of an image is drawn wider than so many of the page. */
const LARGEST_PIXEL = 6
/** Images a line where nothing is said. */
const MOST_A_SIDE = 10

/**
 * Images (n, channels, height, width) in lines of `columns`, as they are, at most `width` wide and without axes. Without `columns` the
 * first that make a square, of at most ten a side.
 */
export function imageSheet(
  title: string,
  rows: RealArray,
  shape: readonly number[],
  { columns, width = 380 }: { columns?: number; width?: number } = {}
): string {
  const size = sizeOf(shape)
  const all = rows.length / size
  const across = columns ?? Math.min(MOST_A_SIDE, Math.max(1, Math.floor(Math.sqrt(all))))
  const count = columns ? all : Math.min(across ** 2, all)
  const uri = imageGrid(rows.subarray(0, count * size), shape, across)
  const pixels = {
    width: Math.min(across, count) * (shape[2]! + GAP) - GAP,
    height: Math.ceil(count / across) * (shape[1]! + GAP) - GAP
  }
  const scale = Math.min(LARGEST_PIXEL, (width - 2 * SIDE) / pixels.width)
  const shown = { width: scale * pixels.width, height: scale * pixels.height }
  const content =
    textWithin(title, 'title', { x: SIDE, y: 16, room: width - 2 * SIDE }) +
    `<image href="${uri}" x="${SIDE}" y="${HEAD}" width="${shown.width.toFixed(1)}" height="${shown.height.toFixed(1)}" ` +
    `style="image-rendering:pixelated"><title>${escapeText(title)}</title></image>`
  return picture(width, Math.ceil(HEAD + shown.height + SIDE), title, content)
}

/** Images in lines of `columns` as a PNG, a data URI. */
export function imageGrid(rows: RealArray, shape: readonly number[], columns: number): string {
  const [channels = 1, height = 1, width = 1] = shape
  const count = rows.length / sizeOf(shape)
  const shown = channels === 3 ? rows : firstChannel(rows, shape)
  const data = { data: shown, shape: [count, channels === 3 ? 3 : 1, height, width] }
  return `data:image/png;base64,${gridPng(data, { columns, gap: GAP }).toString('base64')}`
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
