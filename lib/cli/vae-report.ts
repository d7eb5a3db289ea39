import type { Command } from 'commander'
import { type Device, Vae, type VaeFitResult } from '../index'
import { number } from '../report/facts'
import { WrongCall } from './exit'
import { interruptible } from './interrupt'
import { addDevice, type DeviceChoice } from './options'
import { note } from './progress'
import { commandLine, writeVaeReport } from './report'
import { RunDirectory } from './run-directory'
import { type ImageSource, openImages } from './vae-data'

/** What a report says of how a run was started. */
export interface ReportedRun {
  data: string
  batch: number
  optimizer: string
  lr: number
  warmup: number
  seed: number
  keepBest: boolean
  binarize?: boolean
  quiet?: boolean
}
type RunResult = Pick<VaeFitResult, 'iterations' | 'seconds' | 'best' | 'skipped'>

interface Choice extends DeviceChoice {
  run: string
  quiet?: boolean
  json?: boolean
}

/** `ffjord vae report`. */
export function addVaeReport(group: Command): void {
  const command = group
    .command('report')
    .description('test the model of a run as it stands, and write its report.html and figures')
    .requiredOption('--run <folder>', 'that vae train has left, of a finished training or not')
    .option('--quiet', 'no progress')
    .option('--json', 'print the result as one JSON object')
  addDevice(command).action((choice: Choice) => interruptible((signal) => report(choice, signal)))
}

async function report(choice: Choice, signal: AbortSignal): Promise<void> {
  const directory = new RunDirectory(choice.run)
  if (!directory.holdsModel)
    throw new WrongCall(`${choice.run} holds no model; name the folder of a run of ffjord vae train`)
  const started = directory.readOptions() as unknown as ReportedRun
  const { binarize, seed } = started
  const images = await openImages(started.data, { binarize: binarize ?? false, seed })
  using vae = await Vae.load(directory.model, {
    device: choice.device as Device,
    ...(choice.threads !== undefined && { threads: choice.threads })
  })
  const run = { ...started, quiet: choice.quiet ?? false }
  const { summary, lines } = await reportRun(vae, images, directory, run, directory.vaeProgress(), signal)
  console.log(choice.json ? JSON.stringify(summary) : lines.join('\n'))
}

/** Tests the model and writes what it shows; gives what is said of both. */
export async function reportRun(
  vae: Vae,
  { name, train, validation, test }: ImageSource,
  directory: RunDirectory,
  { quiet, keepBest, batch, optimizer, lr, warmup, seed }: ReportedRun,
  { iterations, seconds, best, skipped }: RunResult,
  signal: AbortSignal
): Promise<{ summary: object; lines: string[] }> {
  if (!quiet) note('Testing, and writing the report …')
  const evaluation = await vae.evaluate(test, { batch, seed, signal })
  const kept = keepBest ? best : undefined
  const epochOf = (iteration: number) => Math.ceil(iteration / Math.ceil(train.rows / batch))
  const files = await writeVaeReport(directory.path, {
    title: `An autoencoder of ${name}`,
    vae,
    test,
    evaluation,
    history: { ...directory.vaeHistory(), ...(kept && { kept: kept.iteration }) },
    rows: [
      ['Training', number(train.rows)],
      ...(validation ? [['Validation', number(validation.rows)] as [string, string]] : []),
      ['Test', number(test.rows)]
    ],
    training: [
      ['Epochs', number(epochOf(iterations))],
      ['Iterations', number(iterations)],
      ['Images an iteration', String(batch)],
      ['Optimizer', `${optimizer}, learning rate ${lr}`],
      ['Warm-up of KL', `${warmup} epochs`],
      ['Seed', String(vae.seed)],
      ...(skipped ? [['Batches skipped', String(skipped)] as [string, string]] : [])
    ],
    ...(kept && {
      ending: `The weights of epoch ${epochOf(kept.iteration)} (iteration ${kept.iteration}) were kept, whose validation was the best, ${kept.validation.toFixed(2)} nats.`
    }),
    seconds,
    seed,
    command: commandLine()
  })
  const { negativeElbo, standardError, reconstruction, kl, n, activeUnits } = evaluation
  return {
    summary: {
      test: { negativeElbo, standardError, reconstruction, kl, n, activeUnits },
      files: ['model.safetensors', 'metrics.jsonl', ...files]
    },
    lines: [
      `Test     ${negativeElbo.toFixed(2)} ± ${standardError.toFixed(2)} nats = ${reconstruction.toFixed(2)} + ${kl.toFixed(2)} (${n} images)`,
      `Report   ${directory.report}`
    ]
  }
}
