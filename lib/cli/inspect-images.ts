import { createHash } from 'node:crypto'
import type { ImageDataset } from '../data/image-dataset'
import { sizeOf } from '../native/batch'
import { openImageParts } from './data'
import { type ImageChoice, trainedImages } from './image-options'

/** What a part of a set of images holds. */
interface PartInspection {
  part: string
  images: number
  /** Images that are the same, level by level, as an earlier one of any part. */
  repeated: number
  /** Lowest and highest level, and the share of the commonest. */
  levels: { lowest: number; highest: number; commonest: number; share: number }
  /** Images of each class, where there are classes. */
  classes?: Record<string, number>
}

/** `ffjord inspect` of images: their size, and what each part of the set holds. */
export async function inspectImages(name: string, choice: ImageChoice & { json?: boolean }): Promise<void> {
  const parts = await openImageParts(name, trainedImages(choice))
  const seen = new Set<string>()
  const found = (['train', 'validation', 'test'] as const).flatMap((part) => {
    const images = parts[part]
    return images ? [inspectPart(part, images, seen)] : []
  })
  const shape = parts.train.shape
  if (choice.json) return console.log(JSON.stringify({ path: name, shape, parts: found }))
  const [channels, height, width] = shape
  console.log(`${name}: images of ${height} × ${width} ${channels === 1 ? 'in grey' : 'in colours'}`)
  for (const { part, images, repeated, levels, classes } of found) {
    const { lowest, highest, commonest, share } = levels
    console.log(
      `  ${part}: ${images} images, levels ${lowest} … ${highest}, ${(100 * share).toFixed(1)} % of them ${commonest}` +
        (repeated > 0 ? `; ${repeated} are the same as one before` : '')
    )
    if (classes)
      console.log(
        `    classes: ${Object.entries(classes)
          .map(([label, count]) => `${label} ${count}`)
          .join(', ')}`
      )
  }
}

function inspectPart(
  part: string,
  { levels, rows, shape, labels }: ImageDataset,
  seen: Set<string>
): PartInspection {
  const counts = new Float64Array(256)
  for (const level of levels) counts[level]!++
  const present = [...counts.keys()].filter((level) => counts[level]! > 0)
  const commonest = counts.indexOf(Math.max(...counts))
  const size = sizeOf(shape)
  let repeated = 0
  for (let row = 0; row < rows; row++) {
    const image = createHash('sha1')
      .update(levels.subarray(row * size, (row + 1) * size))
      .digest('base64')
    if (seen.has(image)) repeated++
    seen.add(image)
  }
  const classes = labels && Object.fromEntries(labels.names.map((name) => [name, 0]))
  if (labels) for (const at of labels.values) classes![labels.names[at]!]!++
  return {
    part,
    images: rows,
    repeated,
    levels: {
      lowest: present[0]!,
      highest: present.at(-1)!,
      commonest,
      share: counts[commonest]! / levels.length
    },
    ...(classes && { classes })
  }
}
