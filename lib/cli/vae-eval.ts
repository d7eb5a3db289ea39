import type { Command } from 'commander'
import { type Device, Vae } from '../index'
import { sizeOf } from '../native/batch'
import { interruptible } from './interrupt'
import { MODEL, modelFile } from './model'
import { addDevice, type DeviceChoice, positiveInteger, wholeNumber } from './options'
import { note } from './progress'
import { openWriter, writing } from './tables'
import { IMAGES, openImages } from './vae-data'

interface Choice extends DeviceChoice {
  model: string
  data: string
  samples?: number
  images?: number
  batch: number
  binarize?: boolean
  seed: number
  out?: string
  json?: boolean
}

export function addVaeEval(group: Command): void {
  const command = group
    .command('eval')
    .description('−ELBO of test images and its parts, active units, and −log p by importance sampling')
    .requiredOption(...MODEL)
    .requiredOption('--data <set:folder|file>', IMAGES)
    .option('--samples <n>', 'draws of z an image for −log p (default: none, no −log p)', positiveInteger)
    .option('--images <n>', 'the first test images alone', positiveInteger)
    .option('--batch <n>', 'images a call', positiveInteger, 100)
    .option('--binarize', 'images are levels, whose pixels are drawn')
    .option('--seed <n>', 'of the noise', wholeNumber, 0)
    .option(
      '--out <file>',
      'a row an image: −ELBO, and −log p where it is asked for; .csv, .tsv, .npy or .parquet'
    )
    .option('--json', 'print one JSON object')
  addDevice(command).action((choice: Choice) => interruptible((signal) => evaluate(choice, signal)))
}

async function evaluate(choice: Choice, signal: AbortSignal): Promise<void> {
  const { samples, images: count, batch, seed, out, json } = choice
  if (out !== undefined) openWriter(out)
  using vae = await Vae.load(modelFile(choice.model), {
    device: choice.device as Device,
    ...(choice.threads !== undefined && { threads: choice.threads })
  })
  const { test } = await openImages(choice.data, { binarize: choice.binarize ?? false, seed })
  const found = await vae.evaluate(test, {
    batch,
    seed,
    ...(samples !== undefined && { samples }),
    ...(count !== undefined && { images: count }),
    signal
  })
  const { negativeElbos, nlls, ...numbers } = found
  if (out !== undefined) {
    const columns = [
      { name: 'negative_elbo', values: negativeElbos },
      ...(nlls ? [{ name: 'nll', values: nlls }] : [])
    ]
    await writing(out, (writer) => writer.write(columns))
    if (out !== '-') note(`${found.n} images in ${out}`)
  }
  const bits = found.negativeElbo / sizeOf(vae.shape) / Math.LN2
  const { trace, control } = vae.evaluationMethod
  if (json) {
    console.log(JSON.stringify({ ...numbers, bitsPerDim: bits, trace, control, device: vae.device }))
    return
  }
  const { negativeElbo, standardError, reconstruction, kl, n, activeUnits, nll, nllStandardError } = found
  console.log(`−ELBO    ${negativeElbo.toFixed(3)} ± ${standardError.toFixed(3)} nats (${n} images)`)
  console.log(`         ${reconstruction.toFixed(3)} reconstruction + ${kl.toFixed(3)} KL`)
  console.log(`Bits     ${bits.toFixed(4)} a dimension, of −ELBO`)
  console.log(`Active   ${activeUnits} of ${vae.latent} units`)
  if (nll !== undefined)
    console.log(
      `NLL      ${nll.toFixed(3)} ± ${nllStandardError!.toFixed(3)} nats (${samples} samples an image)`
    )
  console.log(`Solved   ${trace}; steps: ${control}`)
}
