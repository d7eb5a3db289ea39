import { gridPng } from '../image/write-png'
import type { RealArray } from '../native/batch'
import { sizeOf } from '../native/batch'
import { escapeText, picture } from './svg'

const MOST_A_SIDE = 10

const WIDTH = 380
/** The title above the images, and the room around them. */
const [TOP, MARGIN] = [28, 10]

/** The first images of rows (n, channels, height, width) as a panel, `columns` a line: as many as make a square, at most ten, where that is left out. */
export function contactSheet(
  title: string,
  rows: RealArray,
  shape: readonly number[],
  columns?: number
): string {
  const size = sizeOf(shape)
  const side = columns ?? Math.min(MOST_A_SIDE, Math.max(1, Math.floor(Math.sqrt(rows.length / size))))
  const count = columns ? rows.length / size : Math.min(side * side, rows.length / size)
  const [channels = 1, height = 1, width = 1] = shape
  // Of channels that are no colours the first is shown.
  const shown = channels === 3 ? 3 : 1
  const data = new Float64Array(count * shown * height * width)
  for (let image = 0, each = shown * height * width; image < count; image++)
    data.set(rows.subarray(image * size, image * size + each), image * each)
  const png = gridPng({ data, shape: [count, shown, height, width] }, { columns: side, gap: 1 })
  const uri = `data:image/png;base64,${png.toString('base64')}`
  // Pixels stay square, and sharp.
  const lines = Math.ceil(count / side)
  const inner = WIDTH - 2 * MARGIN
  const tall = (inner * (lines * (height + 1) - 1)) / (Math.min(side, count) * (width + 1) - 1)
  return picture(
    WIDTH,
    Math.ceil(TOP + tall + MARGIN),
    title,
    `<text class="title" x="${MARGIN}" y="16">${escapeText(title)}</text>` +
      `<image href="${uri}" x="${MARGIN}" y="${TOP}" width="${inner}" height="${tall.toFixed(1)}" ` +
      'preserveAspectRatio="none" style="image-rendering: pixelated"/>'
  )
}
