import { extname } from 'node:path'
import type { Command } from 'commander'
import { cellsOf, stepsOf } from '../data/cells'
import type { ImageDataset } from '../data/image-dataset'
import { spreadOf, spreadText } from '../evaluation/row-scores'
import {
  ArrayDataset,
  type Column,
  type Dataset,
  type EvaluateOptions,
  elementNames,
  FfjordError,
  type FileOptions
} from '../index'
import { sizeOf } from '../native/batch'
import { dequantize } from '../table/dequantize'
import type { Encoded } from '../table/encode'
import { openEncoder } from '../table/load'
import { profileTable } from '../table/profile'
import { rankOf } from '../table/quantiles'
import { conditioned, contextColumns } from './context'
import { imageSetIn, openTestData } from './data'
import { addImages, type ImageChoice, readAsTrained } from './image-options'
import { interruptible } from './interrupt'
import { scoreImages } from './logprob-images'
import { evaluationOptions, MODEL, openModel } from './model'
import {
  addDevice,
  addDraws,
  addEvaluation,
  type DeviceChoice,
  type DrawsChoice,
  drawsOption,
  type EvaluationChoice,
  wholeNumber
} from './options'
import { freeName, originalColumns, settledTypes } from './original-columns'
import { note } from './progress'
import { withCountingLine } from './scoring'
import { addReading, type TableChoice, trainedTable } from './table-options'
import type { OutputColumn, TableWriter } from './table-writer'
import { openWriter, writing } from './tables'

interface Choice extends DeviceChoice, EvaluationChoice, TableChoice, ImageChoice, DrawsChoice {
  model: string
  data: string
  out: string
  seed?: number
  spread?: boolean
  average?: boolean
  quiet?: boolean
}

const ROWS_AT_ONCE = 16_384

/** `ffjord logprob`: log p of every row of a file, beside the row. */
export function addLogprob(program: Command): void {
  const command = program
    .command('logprob')
    .description(
      'log-density of every row of a table, nats, and the share of training rows below it; a .csv, .tsv or .parquet ' +
        'file holds the rows as well, an .npy file the log-densities alone; of images their numbers, classes and bits per dimension'
    )
    .requiredOption(...MODEL)
    .requiredOption(
      '--data <file>',
      'a table: .csv, .tsv, .parquet, .npy, .npz, .h5, .arrow; - for CSV on stdin; or test images as mnist:FOLDER or images:FOLDER'
    )
    .requiredOption('--out <file>', 'a .csv, .tsv, .parquet or .npy file, or - for CSV on stdout')
    .option('--seed <n>', "of draws and of an estimated trace (default: the model's own)", wholeNumber)
    .option('--spread', 'one more column: the standard error of log_prob over the draws of a dequantised row')
    .option('--average', 'use the moving average of the weights')
    .option('--quiet', 'no progress')
  addDevice(addDraws(addEvaluation(addImages(addReading(command))))).action((choice: Choice) =>
    interruptible((signal) => logprob(choice, signal))
  )
}

async function logprob(choice: Choice, signal: AbortSignal): Promise<void> {
  openWriter(choice.out)
  using flow = await openModel(choice.model, choice)
  if (imageSetIn(choice.data)) {
    const images = await openTestData(choice.data, {}, contextColumns(flow), readAsTrained(flow, choice))
    return await scoreImages(flow, images as ImageDataset, choice, signal)
  }
  const table = flow.table
  const options: FileOptions = { ...trainedTable(choice, table, 0), outside: 'keep' }
  const { source, columns, encoder, settings } = await openEncoder(choice.data, options, { verbatim: true })
  for (const guess of source.guesses ?? []) note(guess)
  const names = contextColumns(flow)
  const size = sizeOf(flow.shape) + (names?.length ?? 0)
  if (encoder.width !== size)
    throw new FfjordError(
      'INVALID_SHAPE',
      `${choice.data} has rows of ${encoder.width} numbers, and the model takes ${size}; give the columns it was trained on`
    )
  const alone = extname(choice.out).toLowerCase() === '.npy'
  const quantiles = table?.logProbQuantiles
  const evaluation: EvaluateOptions = {
    ...evaluationOptions(choice),
    ...drawsOption(choice),
    ...(choice.seed !== undefined && { seed: choice.seed }),
    batch: ROWS_AT_ONCE,
    signal
  }
  // Files with types are told them before the first row.
  const typed = ['.csv', '.tsv', ''].includes(extname(choice.out).toLowerCase()) || alone
  const untold = source.types.some(({ kind }) => kind === 'written')
  const settled = !typed && untold ? settledTypes(source, await profileTable(source)) : undefined
  const taken = new Set(source.names)
  const addedNames = ['log_prob', 'quantile', 'spread'].map((name) => freeName(name, taken))
  const [logProbName, quantileName, spreadName] = addedNames as [string, string, string]
  let rows = 0
  const spreads: Float64Array[] = []
  const work = async (writer: TableWriter, count: (rows: number) => void) => {
    for await (const batch of encoder.batches()) {
      const encoded = encoder.encode(batch, rows)
      const scores =
        encoded.kept.length > 0
          ? await flow.evaluate(part(encoded, columns, names, rows, choice.seed ?? 0), evaluation)
          : undefined
      // Rows that could not be used stay, with nothing beside them.
      const beside = (of: (row: number) => number) => {
        const all = new Float32Array(batch.count).fill(Number.NaN)
        encoded.kept.forEach((row, i) => {
          all[row] = of(i)
        })
        return all
      }
      const logProb = scores?.logProb ?? []
      const added: OutputColumn[] = [{ name: logProbName, values: beside((i) => logProb[i]!) }]
      if (quantiles && !alone)
        added.push({ name: quantileName, values: beside((i) => rankOf(quantiles, logProb[i]!)) })
      if (choice.spread && !alone)
        added.push({ name: spreadName, values: beside((i) => scores?.spread?.[i] ?? 0) })
      if (scores?.spread) spreads.push(scores.spread)
      await writer.write(alone ? added : [...originalColumns(source, batch, settled), ...added])
      rows += batch.count
      count(rows)
    }
  }
  await withCountingLine({ quiet: choice.quiet ?? false, doing: 'Scoring' }, (count) =>
    writing(choice.out, (writer) => work(writer, count), settings.open.decimal)
  )
  const scoreless = encoder.unusable
    ? `; ${encoder.unusable} rows without one, which ${lacking(encoder)}`
    : ''
  const ragged = source.ragged
    ? `; ${source.ragged} rows of ${choice.data} are left out, which have more or fewer cells than the first`
    : ''
  const without = scoreless + ragged
  const spread = spreadOf(spreads)
  const told = spread.rows > 0 ? `; lower bounds, ${spreadText(spread)}` : ''
  if (choice.out !== '-') note(`log-densities of ${rows} rows in ${choice.out}${without}${told}`)
  else if (without !== '') note(`log-densities of ${rows} rows${without}`)
  if (choice.out === '-' && spread.above > 0)
    note(`log-densities are lower bounds, ${spreadText(spread)}; more --draws bring it down`)
}

/** Why rows have no score. */
function lacking({ unusable, missing }: { unusable: number; missing: number }): string {
  if (missing === unusable) return 'lack cells'
  return missing > 0 ? 'lack cells or have some that cannot be used' : 'could not be used'
}

/** Rows, and their cells, with the context that the flow is conditioned on; `first` is the number of the first row. */
function part(
  encoded: Encoded,
  columns: readonly Column[],
  context: readonly string[] | undefined,
  first: number,
  seed: number
): Dataset {
  const names = elementNames(columns)
  const cells = cellsOf(encoded.values, stepsOf(columns))
  dequantize(columns, encoded, { first, seed })
  return conditioned(new ArrayDataset(encoded.values, [names.length], names, undefined, cells), context)
}
