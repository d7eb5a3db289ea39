import type { Command } from 'commander'
import { type Device, type Tensor, Vae } from '../index'
import { sizeOf } from '../native/batch'
import { interruptible } from './interrupt'
import { MODEL, modelFile } from './model'
import { addDevice, type DeviceChoice, positiveInteger, wholeNumber } from './options'
import { note } from './progress'
import { writing } from './tables'
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

const OUT = ['--out <file>', 'a .npy, .csv, .tsv or .parquet file'] as const

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

async function write(path: string, { data, shape }: Tensor): Promise<void> {
  const [rows = 0, ...image] = shape
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
