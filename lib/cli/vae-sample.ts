import { extname } from 'node:path'
import type { Command } from 'commander'
import { writePng } from '../image/write-png'
import { type Device, type Tensor, Vae } from '../index'
import { sizeOf } from '../native/batch'
import { WrongCall } from './exit'
import { interruptible } from './interrupt'
import { MODEL, modelFile } from './model'
import { addDevice, type DeviceChoice, positiveInteger, wholeNumber } from './options'
import { note } from './progress'
import { openWriter, writing } from './tables'
import { IMAGES, openImages } from './vae-data'
import { NumpyWriter } from './write-numpy'

interface Choice extends DeviceChoice {
  model: string
  number: number
  out: string
  seed: number
  draw?: boolean
  data: string
  binarize?: boolean
}

const OUT = ['--out <file>', 'a .npy, .csv, .tsv or .parquet file, or a .png picture of all'] as const

/** `ffjord vae sample` and `ffjord vae reconstruct`. */
export function addVaeSample(group: Command): void {
  const sampling = group
    .command('sample')
    .description('images of z drawn from the prior')
    .requiredOption(...MODEL)
    .requiredOption('-n, --number <n>', 'how many', positiveInteger)
    .requiredOption(...OUT)
    .option('--draw', 'draw pixels in place of their means')
    .option('--seed <n>', 'the same seed gives the same images', wholeNumber, 0)
  addDevice(sampling).action((choice: Choice) =>
    interruptible(async (signal) => {
      using vae = await open(choice)
      checkOut(choice.out, vae.shape)
      const { number, seed, draw } = choice
      await write(choice.out, await vae.sample(number, { seed, draw: draw ?? false, signal }))
    })
  )
  const reconstructing = group
    .command('reconstruct')
    .description('the first test images as the model gives them back')
    .requiredOption(...MODEL)
    .requiredOption('--data <set:folder|file>', IMAGES)
    .requiredOption('-n, --number <n>', 'how many', positiveInteger)
    .requiredOption(...OUT)
    .option('--binarize', 'images are levels, whose pixels are drawn')
    .option('--seed <n>', 'of the noise', wholeNumber, 0)
  addDevice(reconstructing).action((choice: Choice) =>
    interruptible(async (signal) => {
      using vae = await open(choice)
      checkOut(choice.out, vae.shape)
      const { number, seed, binarize } = choice
      const { test } = await openImages(choice.data, { binarize: binarize ?? false, seed })
      const { data, shape } = await test.take(number)
      const images = { data: Float32Array.from(data), shape: [data.length / sizeOf(shape), ...shape] }
      await write(choice.out, await vae.reconstruct(images, { seed, signal }))
    })
  )
}

function open({ model, device, threads }: Choice): Promise<Vae> {
  return Vae.load(modelFile(model), {
    device: device as Device,
    ...(threads !== undefined && { threads })
  })
}

const isPicture = (path: string) => extname(path).toLowerCase() === '.png'

/** Refuses a file that could not be written, before work starts. */
function checkOut(path: string, shape: readonly number[]): void {
  if (!isPicture(path)) openWriter(path)
  else if (shape.length !== 3 || ![1, 3].includes(shape[0]!))
    throw new WrongCall(
      `${path} would show images, and this model has rows of the shape [${shape}]; name a .csv, .parquet or .npy file`
    )
}

async function write(path: string, { data, shape }: Tensor): Promise<void> {
  const [rows = 0, ...image] = shape
  if (isPicture(path)) {
    await writePng(path, { data, shape })
    note(`${rows} images in ${path}`)
    return
  }
  const size = sizeOf(image)
  const columns = Array.from({ length: size }, (_, i) => ({
    name: `x${i + 1}`,
    values: Float32Array.from({ length: rows }, (_, row) => data[row * size + i]!)
  }))
  await writing(path, async (writer) => {
    if (writer instanceof NumpyWriter && image.length > 1) writer.shape = image
    await writer.write(columns)
  })
  note(`${rows} images in ${path}`)
}
