import { basename } from 'node:path'
import type { Command } from 'commander'
import { type Dataset, type Device, type Group, Vae, type VaeFitOptions, type VaeProgress } from '../index'
import { sizeOf } from '../native/batch'
import { Interrupted, WrongCall } from './exit'
import { follow } from './follow'
import { interruptible } from './interrupt'
import {
  addDevice,
  type DeviceChoice,
  nonNegative,
  oneOf,
  positive,
  positiveInteger,
  wholeNumber,
  widths
} from './options'
import { duration, note, progressLine } from './progress'
import { placeOf, ranksLine, withRanks } from './ranks'
import { resumed } from './resumed'
import { RunDirectory } from './run-directory'
import { absoluteImages, IMAGES, openImages } from './vae-data'
import {
  denseNets,
  describePosterior,
  likelihoodOf,
  type PosteriorChoice,
  posteriorNames,
  type VaePresetName,
  vaePresetNames
} from './vae-presets'
import { reportRun } from './vae-report'

interface Choice extends DeviceChoice, PosteriorChoice {
  data: string
  out: string
  preset?: VaePresetName
  likelihood?: 'bernoulli' | 'categorical'
  latent: number
  dense?: number[]
  epochs: number
  warmup: number
  batch: number
  lr: number
  schedule: 'constant' | 'cosine'
  optimizer: 'adam' | 'adamax'
  stopAfter?: number
  seed: number
  binarize?: boolean
  keepBest: boolean
  report: boolean
  resume?: boolean
  overwrite?: boolean
  quiet?: boolean
  json?: boolean
}

/** What a resumed run takes from its command line; everything else is as the run was started. */
const changeable = new Set([
  'out',
  'resume',
  'epochs',
  'schedule',
  'device',
  'threads',
  'stopAfter',
  'report',
  'quiet',
  'json'
])

export function addVaeTrain(group: Command): void {
  const command = group
    .command('train')
    .description(
      'train an autoencoder; leaves model.safetensors, metrics.jsonl, report.html and figures in a folder'
    )
    .option('--data <set:folder|file>', IMAGES)
    .requiredOption('--out <folder>', 'for the results')
    .addOption(oneOf('--preset <name>', 'sizes of the posterior as in the FFJORD paper', vaePresetNames))
    .addOption(oneOf('--posterior <name>', 'the flow behind the Gaussian', posteriorNames).default('none'))
    .option('--flows <n>', 'of planar, iaf and sylvester (default: 4)', positiveInteger)
    .option('--vectors <n>', 'columns, or reflections, of sylvester (default: 8)', positiveInteger)
    .option('--width <n>', 'units of iaf (default: 5 times the latent size)', positiveInteger)
    .option('--hidden <widths>', 'of the field of a cnf (default: 128,128, or the preset)', widths)
    .option('--blocks <n>', 'of a cnf (default: 1, or the preset)', positiveInteger)
    .option('--rank <n>', 'of cnf_rank (default: 20, or the preset)', positiveInteger)
    .addOption(
      oneOf('--likelihood <law>', 'of pixels (default: bernoulli, of Frey faces categorical)', [
        'bernoulli',
        'categorical'
      ])
    )
    .option('--latent <n>', 'dimension of z', positiveInteger, 64)
    .option(
      '--dense <widths>',
      'gated dense layers as encoder and, in reverse, as decoder (default: the convolutions of the paper)',
      widths
    )
    .option('--epochs <n>', 'passes over the images', positiveInteger, 2000)
    .option('--warmup <n>', 'epochs in which the weight of KL rises to 1', nonNegative, 100)
    .option('--batch <n>', 'images a batch', positiveInteger, 100)
    .addOption(oneOf('--optimizer <name>', 'of the weights', ['adamax', 'adam']).default('adamax'))
    .option('--lr <x>', 'learning rate', positive, 5e-4)
    .addOption(
      oneOf('--schedule <type>', 'of the learning rate; cosine: to zero over all epochs', [
        'constant',
        'cosine'
      ]).default('constant')
    )
    .option(
      '--stop-after <n>',
      'end after so many validations without a new best, counted after the warm-up',
      positiveInteger
    )
    .option('--binarize', 'images are levels, whose pixels are drawn anew at every visit')
    .option('--no-keep-best', 'end with the last weights, not those of the best validation')
    .option('--no-report', 'no test, no report.html and no figures')
    .option('--seed <n>', 'of weights, noise and order', wholeNumber, 0)
    .option('--resume', 'go on with the run in --out, as it was started')
    .option('--overwrite', 'start anew in a folder that holds a run')
    .option('--quiet', 'no progress')
    .option('--json', 'print the result as one JSON object')
  addDevice(command).action((choice: Choice, self: Command) =>
    interruptible((signal) => withRanks((group) => train(choice, self, signal, group)))
  )
}

async function train(given: Choice, command: Command, signal: AbortSignal, group: Group): Promise<void> {
  const directory = new RunDirectory(given.out, group.rank === 0)
  const asked = given.resume ? resumed(command, given, { changeable, absolute: withAbsolutePaths }) : given
  const choice = { ...asked, quiet: (asked.quiet ?? false) || !directory.writes }
  if (!choice.data) throw new WrongCall(`--data is missing; give ${IMAGES}`)
  if (directory.writes && !choice.resume && directory.holdsRun && !choice.overwrite)
    throw new WrongCall(
      `${given.out} holds a run; go on with --resume, or start anew with --overwrite, or in another folder`
    )
  const images = await openImages(choice.data, { binarize: choice.binarize ?? false, seed: choice.seed })
  const likelihood = choice.likelihood ?? likelihoodOf(images.name, choice.preset)
  const { seed, latent } = choice
  // A run that was ended before its first checkpoint starts again.
  const resume = (choice.resume ?? false) && directory.holdsModel
  const { device, threads } = placeOf(choice, group)
  const computing = { device: device as Device, ...(threads !== undefined && { threads }) }
  using vae = resume
    ? await Vae.load(directory.model, computing)
    : await Vae.create({
        shape: images.shape,
        likelihood,
        latent,
        ...denseNets(choice.dense, images.shape, likelihood),
        posterior: describePosterior(choice),
        seed,
        ...computing
      })
  if (!choice.resume) directory.start(withAbsolutePaths(choice))
  else directory.goOn({ ...directory.readOptions(), epochs: choice.epochs, schedule: choice.schedule })
  if (!choice.quiet)
    note(`Training on ${images.name} (${images.train.rows} images); ${vae}; results in ${directory.path}`)
  if (!choice.quiet && likelihood === 'bernoulli' && !choice.binarize && (await hasGrey(images.train)))
    note(
      'The images are grey, and a Bernoulli likelihood takes their values for probabilities: −ELBO is that of no picture, and compares with no other. ' +
        '--binarize draws black and white pixels, --likelihood categorical takes 256 levels'
    )
  const { epochs, warmup, batch, optimizer, lr, schedule, keepBest, stopAfter: patience } = choice
  const options: VaeFitOptions = {
    epochs,
    warmup,
    batch,
    seed,
    schedule: { type: schedule },
    ...(!resume && { optimizer: { type: optimizer, lr, epsilon: 1e-7 } }),
    ...(images.validation && {
      validation: { data: images.validation, ...(patience !== undefined && { patience }) },
      keepBest
    }),
    resume,
    group,
    signal
  }
  const result = await fitWithProgress(vae, images.train, directory, options, choice)
  await group.leave()
  if (result.stopped === 'signal')
    throw new Interrupted(
      `Interrupted at iteration ${result.iterations}. Go on with: ffjord vae train --resume --out ${directory.path}`
    )
  if (!directory.writes) return
  const reported = choice.report ? await reportRun(vae, images, directory, choice, result, signal) : undefined
  const { iterations, seconds, negativeElbo, validation, best, stopped } = result
  const summary = {
    out: directory.path,
    model: directory.model,
    iterations,
    stopped,
    seconds,
    negativeElbo,
    ...(validation !== undefined && { validation }),
    ...(best && { best }),
    ...reported?.summary
  }
  const lines = [
    `Trained  ${iterations} iterations in ${duration(seconds)}`,
    ...ranksLine(group),
    `−ELBO    ${negativeElbo.toFixed(2)} nats on the last training images`,
    ...(best
      ? [`Best     validation ${best.validation.toFixed(2)} nats, after iteration ${best.iteration}`]
      : []),
    ...(reported?.lines ?? []),
    `Model    ${directory.model}`
  ]
  console.log(choice.json ? JSON.stringify(summary) : lines.join('\n'))
}

/** Whether some of the first images have pixels that are neither black nor white. */
async function hasGrey(images: Dataset): Promise<boolean> {
  const { data } = await images.take(LOOKED_AT)
  return data.some((value) => value !== 0 && value !== 1)
}

const LOOKED_AT = 64

/** A run may be resumed, and reported on, from another working directory. */
function withAbsolutePaths(choice: Choice): Choice {
  return choice.data ? { ...choice, data: absoluteImages(choice.data) } : choice
}

/** The time between two checkpoints, in ms. */
const CHECKPOINT_INTERVAL = 30_000

function fitWithProgress(
  vae: Vae,
  data: Parameters<Vae['fit']>[0],
  directory: RunDirectory,
  options: VaeFitOptions,
  { quiet, data: name }: Choice
) {
  const line = progressLine(quiet ?? false)
  let validation: number | undefined
  return follow(vae.fit(data, options), {
    directory,
    line,
    interval: CHECKPOINT_INTERVAL,
    resumes: options.resume ?? false,
    async save() {
      vae.provenance = { ...vae.provenance, data: basename(name) }
      await vae.save(directory.model)
    },
    tell(progress) {
      validation = progress.validation ?? validation
      line.update(progress.iteration / progress.iterations, text(progress, validation, sizeOf(vae.shape)))
    }
  })
}

function text(progress: VaeProgress, validation: number | undefined, dimensions: number): string {
  const { epoch, epochs, negativeElbo, reconstruction, kl, beta, nfe, etaSeconds } = progress
  const bits = (negativeElbo / dimensions / Math.LN2).toFixed(3)
  return [
    `epoch ${epoch}/${epochs}`,
    `−ELBO ${negativeElbo.toFixed(2)} = ${reconstruction.toFixed(2)} + ${kl.toFixed(2)} (${bits} bits/dim)`,
    ...(beta < 1 ? [`β ${beta.toFixed(2)}`] : []),
    ...(validation === undefined ? [] : [`validation ${validation.toFixed(2)}`]),
    ...(nfe > 0 ? [`nfe ${nfe.toFixed(0)}`] : []),
    `eta ${duration(etaSeconds)}`
  ].join('  ')
}
