import type { Dataset, Vae, VaeEvaluation } from '../index'
import { type RealArray, sizeOf } from '../native/batch'
import { VERSION } from '../native/version'
import { type Facts, number, plusMinus } from './facts'
import { duration } from './highlights'
import { imageSheet } from './image-sheet'
import { columnsOf, tellingDimensions, walk } from './latent'
import { extentOf } from './raster'
import type { Highlight, History, Report, Section } from './report'
import { scatterPanel } from './svg'

export interface VaeReportInput {
  title: string
  vae: Vae
  /** Images that training never saw. */
  test: Dataset
  /** How the model does on them. */
  evaluation: VaeEvaluation
  history?: History
  /** What the table of details says of the images, and of the training run. */
  rows?: Facts
  training?: Facts
  /** A sentence on how training ended. */
  ending?: string
  /** How long training took. */
  seconds?: number
  /** Of the noise. */
  seed?: number
  /** The command that made it. */
  command?: string
}

/** Reconstructed images, ten a line. */
const RECONSTRUCTED = 40
const COLUMNS = 10
const SAMPLES = 64
/** Walks, and their pictures from end to end. */
const WALKS = 6
const STEPS = 10
/** Images whose posterior is shown, and draws of it. */
const POSTERIORS = 2
const DRAWS = 1000
/** Draws a call: an encoder of images keeps its activations. */
const DRAWS_A_CALL = 100

/** Asks an autoencoder for everything its report shows. */
export async function collectVaeReport(input: VaeReportInput): Promise<Report> {
  const { title, vae, test, evaluation, history, ending, command, seed = 1 } = input
  const images = Float32Array.from((await test.take(RECONSTRUCTED)).data)
  return {
    title,
    subtitle: describeVae(vae),
    highlights: highlightsOf(input),
    sections: [
      await reconstructions(vae, images, seed),
      await samples(vae, seed),
      ...(images.length >= 2 * sizeOf(vae.shape) ? [await walks(vae, images, seed)] : []),
      await posteriors(vae, images, seed)
    ],
    ...(history && history.iteration.length > 0 && { history: { ...history, ...(ending && { ending }) } }),
    tables: [
      ...(input.rows ? [{ title: 'Images', rows: input.rows }] : []),
      { title: 'Model', rows: modelRows(vae) },
      ...(input.training ? [{ title: 'Training', rows: input.training }] : []),
      { title: 'Evaluation', rows: evaluationRows(vae, evaluation) }
    ],
    footer: `Made by ffjord ${VERSION} on device ${vae.device}. Nats per image.`,
    ...(command && { command })
  }
}

/** 'bernoulli likelihood of [1, 28, 28] images · 64 latent · posterior cnf_rank' */
function describeVae({ description: { shape, likelihood, latent, posterior } }: Vae): string {
  const { type = 'none', ...sizes } = posterior ?? {}
  const posteriorName = 'basis' in sizes ? `${type}-${sizes.basis}` : type
  return `${likelihood} likelihood of [${shape.join(', ')}] images · z of ${latent} dimensions · posterior ${posteriorName}`
}

function highlightsOf({ vae, evaluation, history, seconds }: VaeReportInput): Highlight[] {
  const { negativeElbo, standardError, reconstruction, kl, n, activeUnits, nll, nllStandardError, samples } =
    evaluation
  return [
    {
      name: 'Test −ELBO',
      value: negativeElbo.toFixed(2),
      note: `± ${standardError.toFixed(2)} nats, ${number(n)} images`
    },
    { name: 'Reconstruction', value: reconstruction.toFixed(2), note: 'nats: −log p(x | zk)' },
    { name: 'KL', value: kl.toFixed(2), note: 'nats, of the posterior from the prior' },
    { name: 'Active units', value: `${activeUnits} of ${vae.latent}`, note: 'that tell images apart' },
    ...(nll === undefined
      ? []
      : [
          {
            name: 'Test NLL',
            value: nll.toFixed(2),
            note: `± ${nllStandardError!.toFixed(2)} nats, ${number(samples!)} draws an image`
          }
        ]),
    ...(seconds === undefined ? [] : [duration(seconds, history?.iteration.at(-1))])
  ]
}

async function reconstructions(vae: Vae, images: Float32Array, seed: number): Promise<Section> {
  const { shape } = vae
  const size = sizeOf(shape)
  const again = (await vae.reconstruct(images, { seed })).data
  const count = images.length / size
  // A line of images, and below it the line of their reconstructions.
  const columns = Math.min(COLUMNS, count)
  const lines: RealArray[] = []
  for (let first = 0; first < count; first += columns) {
    const whole = new Float32Array(columns * size)
    for (const from of [images, again]) {
      const line = whole.slice()
      line.set(from.subarray(first * size, (first + columns) * size))
      lines.push(line)
    }
  }
  const half = 2 * Math.ceil(lines.length / 4)
  const sheets = [lines.slice(0, half), lines.slice(half)].filter((some) => some.length > 0)
  return {
    title: 'Reconstructions',
    note: 'Test images, and below each line of them what the decoder makes of one draw zk of their posteriors: means of pixels.',
    panels: sheets.map((some, i) =>
      imageSheet(i === 0 ? 'Images, and below them reconstructions' : 'More of them', joined(some), shape, {
        columns,
        width: 440
      })
    )
  }
}

async function samples(vae: Vae, seed: number): Promise<Section> {
  const sheet = async (title: string, draw: boolean) =>
    imageSheet(title, (await vae.sample(SAMPLES, { seed, draw })).data, vae.shape, {
      columns: Math.sqrt(SAMPLES)
    })
  return {
    title: 'Samples',
    note: 'What the decoder makes of z drawn from the prior N(0, I): the means of its pixels, and pixels drawn of the same z.',
    panels: [await sheet('Means', false), await sheet('Pixels drawn', true)]
  }
}

async function walks(vae: Vae, images: Float32Array, seed: number): Promise<Section> {
  const { shape, latent } = vae
  const size = sizeOf(shape)
  const zk = (await vae.elbo(images, { seed, latent: true })).zk!.data
  const count = Math.min(WALKS, Math.floor(images.length / size / 2))
  const lines: RealArray[] = []
  for (let pair = 0; pair < count; pair++) {
    const [from, to] = [2 * pair, 2 * pair + 1]
    const point = (row: number) => zk.subarray(row * latent, (row + 1) * latent)
    const decoded = await vae.decode({
      data: walk(point(from), point(to), STEPS),
      shape: [STEPS, latent]
    })
    const image = (row: number) => images.subarray(row * size, (row + 1) * size)
    lines.push(image(from), decoded.data, image(to))
  }
  return {
    title: 'Walks through the latent space',
    note:
      `Each line begins and ends with a test image; between them the means of pixels at ${STEPS} points zk, from a draw for the one to a draw for ` +
      'the other, on the great circle through both.',
    panels: [imageSheet('From image to image', joined(lines), shape, { columns: STEPS + 2, width: 620 })]
  }
}

async function posteriors(vae: Vae, images: Float32Array, seed: number): Promise<Section> {
  const { shape, latent, description } = vae
  const size = sizeOf(shape)
  const none = (description.posterior?.type ?? 'none') === 'none'
  const panels: string[] = []
  for (let image = 0; image < Math.min(POSTERIORS, images.length / size); image++) {
    const one = images.subarray(image * size, (image + 1) * size)
    const { z0, zk } = await draws(vae, one, seed)
    const [first, second] = tellingDimensions(z0, zk, latent)
    const name = `image ${image + 1}`
    panels.push(imageSheet(`Image ${image + 1}`, one, shape, { columns: 1, width: 270 }))
    if (latent === 1) {
      const points = columnsOf([z0, 0], [zk, 0], 1)
      const axes = { xName: 'z0', yName: 'zk' }
      panels.push(scatterPanel(`The flow at ${name}`, [{ class: 'model', points }], extentOf([points]), axes))
      continue
    }
    const [before, after] = [z0, zk].map((z) => columnsOf([z, first], [z, second], latent)) as [
      Float64Array,
      Float64Array
    ]
    // On one scale, so that the eye sees how far the flow moves and what it stretches.
    const extent = extentOf([before, after])
    const axes = { xName: `z${subscript(first + 1)}`, yName: `z${subscript(second + 1)}` }
    panels.push(
      scatterPanel(`z0 of ${name}: the encoder's`, [{ class: 'data', points: before }], extent, axes),
      scatterPanel(`zk of ${name}: behind the flow`, [{ class: 'model', points: after }], extent, axes)
    )
  }
  return {
    title: 'Posteriors of single images',
    note: none
      ? `${number(DRAWS)} draws for an image. There is no flow: zk is z0. Shown are the two dimensions that the image says most of.`
      : `${number(DRAWS)} draws for an image, in the two dimensions that the flow moves most: before it a Gaussian with independent elements, behind it ` +
        'what the flow bends it into. Axes are those of both.',
    panels
  }
}

/** Draws of the posterior of one image, (DRAWS, latent) each. */
async function draws(
  vae: Vae,
  image: Float32Array,
  seed: number
): Promise<{ z0: Float32Array; zk: Float32Array }> {
  const copies = joined(Array.from({ length: DRAWS_A_CALL }, () => image))
  const parts: { z0: Float32Array; zk: Float32Array }[] = []
  for (let first = 0; first < DRAWS; first += DRAWS_A_CALL) {
    const { z0, zk } = await vae.elbo(copies, { seed, rowOffset: first, latent: true })
    parts.push({ z0: z0!.data, zk: zk!.data })
  }
  return { z0: joined(parts.map((part) => part.z0)), zk: joined(parts.map((part) => part.zk)) }
}

function modelRows(vae: Vae): Facts {
  const { shape, likelihood, latent, posterior } = vae.description
  const weights = Object.values(vae.parameters()).reduce((sum, { data }) => sum + data.length, 0)
  const { type = 'none', ...sizes } = posterior ?? {}
  const { trace, control } = vae.evaluationMethod
  return [
    ['Shape of an image', `[${shape.join(', ')}]`],
    ['Likelihood of pixels', likelihood],
    ['Dimensions of z', String(latent)],
    ['Posterior', type],
    ...Object.entries(sizes).map(([name, value]): [string, string] => [
      `Its ${name}`,
      Array.isArray(value) ? value.join(', ') : String(value)
    ]),
    ['Parameters', number(weights)],
    ['Solved', `${trace}; steps: ${control}`],
    ['Device', vae.device]
  ]
}

function evaluationRows(vae: Vae, evaluation: VaeEvaluation): Facts {
  const { negativeElbo, standardError, reconstruction, kl, n, activeUnits } = evaluation
  return [
    ['−ELBO, nats per image', plusMinus(negativeElbo, standardError, 3)],
    ['Reconstruction', reconstruction.toFixed(3)],
    ['KL', kl.toFixed(3)],
    ['Bits per dimension, of −ELBO', (negativeElbo / sizeOf(vae.shape) / Math.LN2).toFixed(4)],
    ['Active units', `${activeUnits} of ${vae.latent}`],
    ['Images', number(n)]
  ]
}

function joined(parts: readonly RealArray[]): Float32Array {
  const whole = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

function subscript(value: number): string {
  return String(value).replace(/\d/g, (digit) => '₀₁₂₃₄₅₆₇₈₉'[Number(digit)]!)
}
