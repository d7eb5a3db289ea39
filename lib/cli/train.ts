import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type Device, type FitOptions, Flow } from '../index'
import { type ArchitectureChoice, addArchitecture, describeComputation, describeFlow } from './architecture'
import { describeContext } from './context'
import { DATA, isToy, moments, openSource, type Source } from './data'
import { WrongCall } from './exit'
import { interruptible } from './interrupt'
import { addDevice, type DeviceChoice, positiveInteger } from './options'
import { trainAndReport } from './run'
import { RunDirectory } from './run-directory'
import {
  addTraining,
  describeLength,
  describeObjective,
  describeOptimizer,
  describeSchedule,
  type TrainingChoice
} from './training-options'

export interface TrainChoice extends DeviceChoice, ArchitectureChoice, TrainingChoice {
  data: string
  out: string
  resume?: boolean
  overwrite?: boolean
  validation: string
  validateEvery: number
  validationRows?: number
  stopAfter?: number
  keepBest?: boolean
  skipFailures?: boolean
  test: string
  testRows: number
  report: boolean
  quiet?: boolean
  json?: boolean
}

/** What a resumed run takes from its command line; everything else is as the run was started. */
const changeable = new Set([
  'out',
  'resume',
  'iterations',
  'device',
  'threads',
  'report',
  'testRows',
  'quiet',
  'json'
])

/** `ffjord train`: trains a flow on data and leaves model, metrics, report and figures in a folder. */
export function addTrain(program: Command): void {
  const command = program
    .command('train')
    .description('train a flow; leaves model.safetensors, metrics.jsonl, report.html and figures in a folder')
    .option('--data <name|file>', DATA)
    .requiredOption('--out <folder>', 'for the results')
    .option('--resume', 'go on with the run in --out, as it was started')
    .option('--overwrite', 'start anew in a folder that holds a run')
    .option('--quiet', 'no progress')
    .option('--json', 'print the result as one JSON object')
  addDevice(command)
  addTraining(addArchitecture(command))
    .optionsGroup('Validation:')
    .option(
      '--validation <share|name|file>',
      'rows to validate on (toy densities, pictures: fresh ones)',
      '0.1'
    )
    .option('--validate-every <n>', 'iterations between validations', positiveInteger, 200)
    .option(
      '--validation-rows <n>',
      'rows of a validation (default: all; 10000 where fresh ones come without end)',
      positiveInteger
    )
    .option('--keep-best', 'end with the weights of the best validation')
    .option('--stop-after <n>', 'stop after so many validations without improvement', positiveInteger)
    .option('--skip-failures', 'go on past a batch whose solve fails')
    .option(
      '--test <share|name|file>',
      'rows to test on in the end (toy densities, pictures: fresh ones)',
      '0.1'
    )
    .option('--test-rows <n>', 'rows of the test on a toy density or picture', positiveInteger, 20_000)
    .option('--no-report', 'no test, no report.html and no figures')
    .action((given: TrainChoice) => {
      const choice = given.resume ? resumed(command, given) : given
      return interruptible((signal) => runTraining(choice, signal))
    })
}

/** The options that the run in the folder was started with, under those of this call that may differ. */
function resumed(command: Command, given: TrainChoice): TrainChoice {
  const stored = new RunDirectory(given.out).readOptions()
  const choice: Record<string, unknown> = { ...given, ...stored, out: given.out, resume: true }
  for (const [key, value] of Object.entries(given)) {
    if (command.getOptionValueSource(key) !== 'cli') continue
    if (!changeable.has(key) && JSON.stringify(value) !== JSON.stringify(stored[key])) {
      throw new WrongCall(
        `a run goes on as it was started: leave out ${key}, or start a new run without --resume in another folder`
      )
    }
    choice[key] = value
  }
  return choice as unknown as TrainChoice
}

/** A run as `choice` says, from its first iteration, or where it was interrupted, to the report. */
export async function runTraining(choice: TrainChoice, signal: AbortSignal): Promise<void> {
  if (!choice.data) throw new WrongCall(`--data is missing; name ${DATA}`)
  const directory = new RunDirectory(choice.out)
  if (directory.holdsRun && !choice.resume && !choice.overwrite) {
    throw new WrongCall(
      `${choice.out} holds a run; go on with --resume, start anew with --overwrite, or name another folder`
    )
  }
  const source = await openSource(choice.data, choice)
  const options: FitOptions = {
    ...describeLength(choice),
    objective: describeObjective(choice),
    ...(choice.accumulate !== undefined && { accumulate: choice.accumulate }),
    batch: choice.batch,
    seed: choice.seed,
    optimizer: describeOptimizer(choice),
    schedule: describeSchedule(choice),
    validation: {
      data: source.validation,
      every: choice.validateEvery,
      ...(choice.validationRows !== undefined && { rows: choice.validationRows }),
      ...(choice.stopAfter !== undefined && { patience: choice.stopAfter })
    },
    keepBest: choice.keepBest ?? false,
    skipFailures: choice.skipFailures ?? false,
    resume: choice.resume ?? false
  }
  const flow = await openFlow(choice, source)
  if (!choice.resume) directory.start(withAbsolutePaths(choice))
  await trainAndReport({ flow, source, directory, options, signal, choice })
  flow.dispose()
}

/** A run may be resumed from another working directory. */
function withAbsolutePaths(choice: TrainChoice): TrainChoice {
  const absolute = (name: string) => (existsSync(name) && !isToy(name) ? resolve(name) : name)
  const { data, validation, test } = choice
  return { ...choice, data: absolute(data), validation: absolute(validation), test: absolute(test) }
}

async function openFlow(choice: TrainChoice, source: Source): Promise<Flow> {
  const { device, threads, seed } = choice
  const where = { device: device as Device, ...(threads !== undefined && { threads }) }
  if (choice.resume) return Flow.load(new RunDirectory(choice.out).model, where)
  const columns = choice.standardize ? await moments(source.train) : undefined
  const context = describeContext(source.train, choice.contextGates)
  const description = describeFlow(choice, source.train.shape, columns, context)
  return Flow.create({ ...description, ...describeComputation(choice), ...where, seed })
}
