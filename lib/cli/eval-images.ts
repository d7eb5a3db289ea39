import type { ImageDataset } from '../data/image-dataset'
import { classNames } from '../data/labels'
import { type Bits, type Flow, type ImageBaseline, imageBaselines } from '../index'
import { classification, classLines } from './classes'
import { contextColumns } from './context'
import { openImageParts } from './data'
import type { ImagesRead } from './image-options'
import { evaluationOptions } from './model'
import type { DrawsChoice, EvaluationChoice } from './options'
import { progressLine } from './progress'
import { imagesACall, withScoringLine } from './scoring'

interface Choice extends EvaluationChoice, DrawsChoice {
  rows?: number
  batch?: number
  threads?: number
  certify?: number
  centre?: boolean
  against?: string
  /** How the images, and those of `against`, are read. */
  reading: ImagesRead
  quiet?: boolean
  json?: boolean
}

/** Images whose errors of probes and solver are estimated, unless a call says otherwise: on one the float64 engine takes as long as the test of a hundred. */
const CERTIFIED = 10
/** Images whose classes are asked for, which takes a density a class. */
const LABELLED = 1000
/** Training images that plain densities are fitted to. */
const FITTED = 20_000

/** `ffjord eval` of images: bits per dimension, and what they depend on. */
export async function evaluateImages(
  flow: Flow,
  images: ImageDataset,
  choice: Choice,
  signal: AbortSignal
): Promise<void> {
  const { rows, batch = imagesACall(choice.threads), draws, quiet = false } = choice
  const { centre = false, certify = CERTIFIED } = choice
  const call = { ...evaluationOptions(choice), batch, ...(draws !== undefined && { draws }), signal }
  const found = await withScoringLine(quiet, (onProgress) =>
    flow.bitsPerDim(images, { ...call, ...(rows !== undefined && { rows }), centre, certify, onProgress })
  )
  const tested = rows === undefined ? images : images.first(rows)
  const others = choice.against
    ? await compareImages((await openImageParts(choice.against, choice.reading)).train, tested, quiet)
    : undefined
  const labels = classNames(contextColumns(flow))
    ? await withScoringLine(quiet, (onProgress) =>
        flow.labelProbabilities(tested, { ...call, rows: Math.min(tested.rows, LABELLED), onProgress })
      )
    : undefined
  const { logProb: _, rows: n, traces, standardError: stderr, ...bits } = found
  const trace = [...new Set(traces)].join(', ')
  if (choice.json) {
    console.log(
      JSON.stringify({
        n,
        stderr,
        ...bits,
        trace,
        device: flow.device,
        ...(others && { baselines: others }),
        ...(labels && { labels: classification(labels) })
      })
    )
    return
  }
  const text = ({ bitsPerDim, standardError }: Bits) =>
    `${bitsPerDim.toFixed(4)} ± ${standardError.toFixed(4)}`
  const { bound, errors } = found
  console.log(
    `Bits/dim ${text(found)} (${n} images, ${found.dequantize} noise${found.draws > 1 ? `, mean of ${found.draws} draws` : ''})`
  )
  if (bound) console.log(`Bound    ${text(bound)} (mean density of ${found.draws} draws: tighter)`)
  if (found.centre)
    console.log(
      `Centre   ${text(found.centre)} (without noise, as RNODE evaluates: no bound, and not comparable with the above)`
    )
  for (const other of others ?? []) console.log(`${other.name}: ${text(other)}`)
  if (labels) for (const line of classLines(labels)) console.log(line)
  console.log(`NFE      ${found.nfe.toFixed(1)}`)
  console.log(`Trace    ${trace}`)
  const names = { draws: 'draws', probes: 'probes', solver: 'solver' } as const
  const parts = Object.entries(names).flatMap(([key, name]) => {
    const value = errors[key as keyof typeof errors]
    return value === undefined ? [] : [`${name} ${value === 0 ? '0' : value.toExponential(1)}`]
  })
  if (parts.length > 0) console.log(`Errors   of an image's bits: ${parts.join(', ')} (root mean squares)`)
}

function compareImages(train: ImageDataset, test: ImageDataset, quiet: boolean): Promise<ImageBaseline[]> {
  const line = progressLine(quiet)
  line.update(0, 'Fitting plain densities to compare with')
  return imageBaselines(train, test, { rows: FITTED }).finally(() => line.done())
}
