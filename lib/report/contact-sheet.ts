import type { RealArray } from '../native/batch'
import { photographPng } from './image'
import { imagePanel } from './svg'

/** The first images of rows (n, channels, height, width) as one picture. */
export function contactSheet(
  title: string,
  rows: RealArray,
  [channels = 1, height = 1, width = 1]: readonly number[]
): string {
  const side = Math.min(8, Math.floor(Math.sqrt(rows.length / (channels * height * width))))
  const [tall, wide] = [side * height, side * width]
  const sheet = new Float32Array(channels * tall * wide)
  for (let image = 0; image < side * side; image++) {
    for (let i = 0; i < channels * height * width; i++) {
      const [channel, y, x] = [Math.floor(i / (height * width)), Math.floor(i / width) % height, i % width]
      const [top, left] = [Math.floor(image / side) * height, (image % side) * width]
      sheet[(channel * tall + top + y) * wide + left + x] = rows[image * channels * height * width + i]!
    }
  }
  return imagePanel(title, photographPng(sheet, channels, wide, tall), { x: [0, wide], y: [0, tall] })
}
