import { gridPng } from '../image/write-png'
import type { RealArray } from '../native/batch'
import { sizeOf } from '../native/batch'
import { imagePanel } from './svg'

const MOST_A_SIDE = 10

/** The first images of rows (n, channels, height, width) as a panel. */
export function contactSheet(title: string, rows: RealArray, shape: readonly number[]): string {
  const size = sizeOf(shape)
  const side = Math.min(MOST_A_SIDE, Math.max(1, Math.floor(Math.sqrt(rows.length / size))))
  const count = Math.min(side * side, rows.length / size)
  const [channels = 1, height = 1, width = 1] = shape
  // Of channels that are no colours the first is shown.
  const shown = channels === 3 ? 3 : 1
  const data = new Float64Array(count * shown * height * width)
  for (let image = 0, each = shown * height * width; image < count; image++)
    data.set(rows.subarray(image * size, image * size + each), image * each)
  const png = gridPng({ data, shape: [count, shown, height, width] }, { columns: side, gap: 1 })
  const uri = `data:image/png;base64,${png.toString('base64')}`
  return imagePanel(title, uri, { x: [0, side * width], y: [0, side * height] })
}
