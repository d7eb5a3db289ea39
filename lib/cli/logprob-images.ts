import { extname } from 'node:path'
import type { ImageDataset } from '../data/image-dataset'
import { bitsPerDim } from '../data/level-noise'
import { meanDensities } from '../evaluation/image-bits'
import type { Flow } from '../index'
import { sizeOf } from '../native/batch'
import { evaluationOptions } from './model'
import type { DrawsChoice, EvaluationChoice } from './options'
import { note } from './progress'
import { imagesACall, withScoringLine } from './scoring'
import type { OutputColumn } from './table-writer'
import { writing } from './tables'

interface Choice extends EvaluationChoice, DrawsChoice {
  out: string
  threads?: number
  seed?: number
  spread?: boolean
  quiet?: boolean
}

/**
 * `ffjord logprob` of images: a line an image with its number in the set, its class where there are classes, log p less the noise's
 * log q (nats) and bits per dimension; of several draws, those of their mean density.
 */
export async function scoreImages(
  flow: Flow,
  images: ImageDataset,
  choice: Choice,
  signal: AbortSignal
): Promise<void> {
  const { draws, seed, out, quiet = false } = choice
  const { logProb, rows, dequantize, ...found } = await withScoringLine(quiet, (onProgress) =>
    flow.bitsPerDim(images, {
      ...evaluationOptions(choice),
      batch: imagesACall(choice.threads),
      ...(draws !== undefined && { draws }),
      ...(seed !== undefined && { seed }),
      onProgress,
      signal
    })
  )
  const { bound, spread } = meanDensities(logProb, found.draws)
  const size = sizeOf(flow.shape)
  const { labels } = images
  const scores: OutputColumn = { name: 'log_prob', values: bound }
  const columns: OutputColumn[] = [
    { name: 'image', values: Array.from({ length: rows }, (_, image) => image), whole: true },
    ...(labels ? [{ name: 'label', values: Array.from(labels.values, (at) => labels.names[at]) }] : []),
    scores,
    { name: 'bits_per_dim', values: bound.map((value) => bitsPerDim(-value, size)) },
    ...(choice.spread ? [{ name: 'spread', values: spread }] : [])
  ]
  const alone = extname(out).toLowerCase() === '.npy'
  await writing(out, (writer) => writer.write(alone ? [scores] : columns))
  const how = found.draws > 1 ? `mean density of ${found.draws} draws` : 'one draw'
  if (out !== '-') note(`log-densities of ${rows} images in ${out} (${dequantize} noise, ${how})`)
}
