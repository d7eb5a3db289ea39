import type { Command } from 'commander'
import { type Clock, countedIn, sameClock } from '../data/clock'
import { ImageDataset } from '../data/image-dataset'
import { modelColumns } from '../data/matching'
import type { Block } from '../flow/options'
import {
  type Device,
  elementNames,
  FfjordError,
  type FitOptions,
  Flow,
  type Group,
  type TableSchema
} from '../index'
import { sizeOf } from '../native/batch'
import { tableBlocks } from '../table/blocks'
import { addArchitecture, describeComputation, describeFlow } from './architecture'
import { describeContext } from './context'
import { absoluteData, DATA, openSource, type Source } from './data'
import { estimate } from './estimate'
import { WrongCall } from './exit'
import { addImages, type ImageChoice } from './image-options'
import { inspectionLines } from './inspection'
import { interruptible } from './interrupt'
import {
  addDevice,
  addDraws,
  type DeviceChoice,
  type DrawsChoice,
  oneOf,
  positive,
  positiveInteger
} from './options'
import { preset, presetNames } from './presets'
import { note } from './progress'
import { placeOf, withRanks } from './ranks'
import type { Recipe } from './recipe'
import { followed, recipeFor, recipesInWords } from './recipes'
import { resumed } from './resumed'
import { trainAndReport } from './run'
import { RunDirectory } from './run-directory'
import { addTable, type TableChoice } from './table-options'
import {
  addTraining,
  describeLength,
  describeObjective,
  describeOptimizer,
  describeSchedule
} from './training-options'

/** All options of a run. */
export interface TrainChoice extends DeviceChoice, TableChoice, ImageChoice, DrawsChoice, Recipe {
  data: string
  seed: number
  preset?: string
  out: string
  resume?: boolean
  overwrite?: boolean
  validation: string
  skipFailures?: boolean
  nfeBudget?: number
  test: string
  testRows: number
  report: boolean
  quiet?: boolean
  json?: boolean
}

/** What the command line says; a recipe fills in the rest. */
export type GivenChoice = Omit<TrainChoice, keyof Recipe> & Partial<Recipe>

/** What a resumed run takes from its command line; everything else is as the run was started. */
const changeable = new Set([
  'out',
  'resume',
  'iterations',
  'device',
  'threads',
  'report',
  'testRows',
  'draws',
  'quiet',
  'json'
])

/** `ffjord train`: trains a flow on data and leaves model, metrics, report and figures in a folder. `defaults` are for its help. */
export function addTrain(program: Command, defaults?: string): void {
  const command = program
    .command('train')
    .description('train a flow; leaves model.safetensors, metrics.jsonl, report.html and figures in a folder')
    .option('--data <name|file>', DATA)
    .requiredOption('--out <folder>', 'for the results')
    .addOption(
      oneOf(
        '--preset <name>',
        'architecture, tolerances, batch and end of training as in the FFJORD paper, or of images as published (docs/images.md)',
        presetNames
      )
    )
    .option('--resume', 'go on with the run in --out, as it was started')
    .option('--overwrite', 'start anew in a folder that holds a run')
    .option('--quiet', 'no progress')
    .option('--json', 'print the result as one JSON object')
  addDevice(command)
  addDraws(command)
  addTraining(addArchitecture(addImages(addTable(command), true)))
    .optionsGroup('Validation:')
    .option(
      '--validation <share|name|file>',
      'rows to validate on (toy densities, pictures: fresh ones)',
      '0.1'
    )
    .option('--validate-every <n>', 'iterations between validations', positiveInteger)
    .option(
      '--validation-rows <n>',
      'rows of a validation (default: all; 10000 where fresh ones come without end)',
      positiveInteger
    )
    .option('--keep-best', 'end with the weights of the best validation')
    .option('--stop-after <n>', 'stop after so many validations without improvement', positiveInteger)
    .option(
      '--nfe-budget <n>',
      'evaluations of a solve above which to warn (default: four times those of the start)',
      positive
    )
    .option('--skip-failures', 'go on past a batch whose solve fails')
    .option(
      '--test <share|name|file>',
      'rows to test on in the end (toy densities, pictures: fresh ones)',
      '0.1'
    )
    .option('--test-rows <n>', 'rows of the test on a toy density or picture', positiveInteger, 20_000)
    .option('--no-report', 'no test, no report.html and no figures')
    .addHelpText(
      'after',
      () => `\n${defaults ? `Defaults for the data at hand:\n${defaults}` : recipesInWords()}`
    )
    .action((given: GivenChoice) => {
      const choice = given.resume
        ? resumed(command, given, { changeable, absolute: withAbsolutePaths })
        : given
      return interruptible((signal) => withRanks((group) => runTraining(choice, signal, { group })))
    })
}

/**
 * A run as `given` says, and a recipe where that says nothing (default: of the preset, or of the data), from its first
 * iteration, or where it was interrupted, to the report.
 */
export async function runTraining(
  asked: GivenChoice,
  signal: AbortSignal,
  { recipe, group }: { recipe?: Recipe; group?: Group } = {}
): Promise<void> {
  const writes = !group || group.rank === 0
  const given = { ...asked, quiet: (asked.quiet ?? false) || !writes }
  if (!given.data) throw new WrongCall(`--data is missing; name ${DATA}`)
  const directory = new RunDirectory(given.out, writes)
  if (directory.writes && directory.holdsRun && !given.resume && !given.overwrite) {
    throw new WrongCall(
      `${given.out} holds a run; go on with --resume, start anew with --overwrite, or name another folder`
    )
  }
  if (given.stream && given.epochs !== undefined)
    throw new WrongCall(
      '--stream goes through the file again and again: give --iterations in place of --epochs'
    )
  if (given.shard && !given.stream)
    throw new WrongCall(
      '--shard deals out the rows of a stream to the ranks of a group: give --stream as well'
    )
  const source = await openSource(given.data, given, group)
  // A run that was ended before its first checkpoint starts again.
  const resume = (given.resume ?? false) && directory.holdsModel
  const choice = given.resume
    ? (given as TrainChoice)
    : followed(recipe ?? (given.preset ? preset(given.preset) : recipeFor(given.data, source.seen)), given)
  const options: FitOptions = {
    ...describeLength(choice),
    objective: describeObjective(choice),
    ...(choice.accumulate !== undefined && { accumulate: choice.accumulate }),
    ...(choice.sharedSteps !== undefined && { sharedSteps: choice.sharedSteps }),
    ...(choice.shard !== undefined && { shard: choice.shard }),
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
    ...(choice.nfeBudget !== undefined && { nfeBudget: choice.nfeBudget }),
    ...(group && { group }),
    resume
  }
  if (!resume && !choice.quiet && source.inspection)
    for (const line of inspectionLines(source.inspection, choice)) note(line)
  const flow = await openFlow(placeOf(choice, group), source, resume)
  if (resume) checkSameTable(given.data, flow.table, source.table)
  if (given.preset && !resume && !choice.quiet && source.seen instanceof ImageDataset) {
    const { threads } = choice
    note(await estimate(flow, source.seen, options, { signal, ...(threads !== undefined && { threads }) }))
  }
  if (!given.resume) directory.start(withAbsolutePaths(choice))
  await trainAndReport({ flow, source, directory, options, signal, choice })
  flow.dispose()
}

/** A run may be resumed from another working directory. */
function withAbsolutePaths<C extends Partial<Pick<TrainChoice, 'data' | 'validation' | 'test'>>>(
  choice: C
): C {
  const { data, validation, test } = choice
  return {
    ...choice,
    ...(data && { data: absoluteData(data) }),
    ...(validation && { validation: absoluteData(validation) }),
    ...(test && { test: absoluteData(test) })
  }
}

/** A run goes on with the columns it was started on, in their order. */
function checkSameTable(file: string, before: TableSchema | undefined, now: TableSchema | undefined): void {
  if (!before || !now) return
  const list = ({ columns, context = [] }: TableSchema) =>
    [...elementNames(columns), ...elementNames(context).map((name) => `given ${name}`)].join(', ')
  if (list(before) !== list(now))
    throw new FfjordError(
      'INVALID_FILE',
      `${file} has the columns ${list(now)}, and the run was started on ${list(before)}; resume with the table as it was, ` +
        'or start a new run'
    )
  const columns = modelColumns(now)
  for (const [i, { name, clock }] of modelColumns(before).entries()) {
    const other = columns[i]?.clock
    if (sameClock(clock, other)) continue
    const counted = (one: Clock | undefined) => (one ? countedIn(one) : 'no dates or times')
    throw new FfjordError(
      'INVALID_FILE',
      `${file} has '${name}' in ${counted(other)}, and the run was started on ${counted(clock)}; resume with the table as it ` +
        'was, or start a new run'
    )
  }
}

async function openFlow(choice: TrainChoice, source: Source, resume: boolean): Promise<Flow> {
  const { device, threads, seed } = choice
  const where = { device: device as Device, ...(threads !== undefined && { threads }) }
  if (resume) return Flow.load(new RunDirectory(choice.out).model, where)
  const context = describeContext(source.seen, choice.contextGates)
  const description = describeFlow(choice, source.seen.shape, await fixedBlocks(choice, source), context)
  const flow = await Flow.create({ ...description, ...describeComputation(choice), ...where, seed })
  if (source.table) flow.table = source.table
  return flow
}

/** The maps before the dynamics, as the rows to train on ask for. */
async function fixedBlocks(
  { scale, standardize, logit }: TrainChoice,
  { seen, table }: Source
): Promise<readonly Block[]> {
  const scaling = scale ?? (standardize ? 'standardize' : 'none')
  if (!table && scaling === 'none') return []
  if (seen instanceof ImageDataset) return [await pixelStandardisation(seen, logit)]
  const size = sizeOf(seen.shape)
  const columns =
    table?.columns ?? Array.from({ length: size }, (_, i) => ({ name: `x${i + 1}`, type: 'real' as const }))
  const rows = Number.isFinite(seen.rows) ? seen.rows : 100_000
  return tableBlocks(columns, (await seen.take(rows)).data, scaling)
}

/** Images whose pixels give one mean and one deviation. */
const MEASURED_IMAGES = 1000

/** Brings all pixels alike to mean 0 and deviation 1, behind the logit where there is one: a mean a pixel would have deviations near 0. */
async function pixelStandardisation(images: ImageDataset, alpha: number | undefined): Promise<Block> {
  const { data } = await images.take(MEASURED_IMAGES)
  const values = Float64Array.from(data, (x) => {
    if (alpha === undefined) return x
    const s = alpha + (1 - 2 * alpha) * x
    return Math.log(s) - Math.log1p(-s)
  })
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  const size = sizeOf(images.shape)
  const all = (value: number) => Array<number>(size).fill(value)
  return { type: 'standardize', mean: all(mean), scale: all(Math.sqrt(variance) || 1) }
}
