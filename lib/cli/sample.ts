import { extname } from 'node:path'
import type { Command } from 'commander'
import { classNames, eachClass } from '../data/labels'
import { orderedContext } from '../data/schema'
import { decodeColumns, type FileColumns, type Flow, type NamedColumn, writePng } from '../index'
import { sizeOf, type TensorLike } from '../native/batch'
import { contextColumns, samplingContext } from './context'
import { WrongCall } from './exit'
import { interruptible } from './interrupt'
import { evaluationOptions, MODEL, openModel } from './model'
import {
  addDevice,
  addEvaluation,
  type DeviceChoice,
  type EvaluationChoice,
  nonNegative,
  positiveInteger,
  wholeNumber
} from './options'
import { note } from './progress'
import { withCountingLine } from './scoring'
import type { TableWriter } from './table-writer'
import { openWriter, writing } from './tables'
import { NumpyWriter } from './write-numpy'

interface Choice extends DeviceChoice, EvaluationChoice {
  model: string
  number: number
  out: string
  seed: number
  temperature?: number
  context?: string
  average?: boolean
}

/** Rows of one call; a long job ends soon after a signal. */
const CHUNK = 16_384

/** `ffjord sample`: draws from a model. */
export function addSample(program: Command): void {
  const command = program
    .command('sample')
    .description('draw samples from a model')
    .requiredOption(...MODEL)
    .requiredOption('-n, --number <n>', 'how many', positiveInteger)
    .requiredOption(
      '--out <file>',
      'a .csv, .tsv, .parquet or .npy file, or - for CSV on stdout; of images also a .png picture of all'
    )
    .option('--seed <n>', 'the same seed gives the same samples', wholeNumber, 0)
    .option('--temperature <x>', 'scale of the base samples', nonNegative)
    .option(
      '--context <values|file>',
      'of a conditional model: values, name=value or JSON for all samples, or a table of one row each; left out, a .png of images has a line a class'
    )
    .option('--average', 'use the moving average of the weights')
  addDevice(addEvaluation(command)).action((choice: Choice) =>
    interruptible((signal) => sample(choice, signal))
  )
}

async function sample(choice: Choice, signal: AbortSignal): Promise<void> {
  if (extname(choice.out).toLowerCase() === '.png') return samplePicture(choice, signal)
  openWriter(choice.out)
  const { number: count, seed, temperature } = choice
  using flow = await openModel(choice.model, choice)
  const size = sizeOf(flow.shape)
  const context = await samplingContext(flow, choice.context)
  const columns =
    flow.table?.columns ??
    Array.from({ length: size }, (_, i) => ({ name: `x${i + 1}`, type: 'real' as const }))
  const work = async (writer: TableWriter, tell: (rows: number) => void) => {
    if (writer instanceof NumpyWriter && flow.shape.length > 1) writer.shape = flow.shape
    for (let first = 0; first < count; first += CHUNK) {
      const { data } = await flow.sample(Math.min(CHUNK, count - first), {
        ...evaluationOptions(choice),
        seed,
        precision: 'float64',
        rowOffset: first,
        ...(temperature !== undefined && { temperature }),
        ...(context && { context: rowsOf(context, first, Math.min(CHUNK, count - first)) }),
        signal
      })
      const rows = Math.min(CHUNK, count - first)
      const given = context && contextCells(flow, context, first, rows)
      const decoded = [...(given ?? []), ...decodeColumns(columns, data)]
      const ordered = given || writer instanceof NumpyWriter
      await writer.write(ordered ? inFileOrder(decoded, flow.table?.file) : decoded)
      tell(first + rows)
    }
  }
  await withCountingLine({ doing: 'Sampling', total: count }, (tell) =>
    writing(choice.out, (writer) => work(writer, tell), flow.table?.reading?.decimal)
  )
  if (choice.out !== '-') note(`${count} samples in ${choice.out}`)
}

/** Samples of images side by side, as one picture. */
async function samplePicture(choice: Choice, signal: AbortSignal): Promise<void> {
  const { number: count, seed, temperature, out } = choice
  using flow = await openModel(choice.model, choice)
  if (flow.shape.length !== 3 || ![1, 3].includes(flow.shape[0]!))
    throw new WrongCall(
      `${out} would show images, and samples of this model have the shape [${flow.shape}]; name a .csv, .parquet or .npy file`
    )
  const classes = choice.context === undefined ? classNames(contextColumns(flow))?.length : undefined
  if (classes) return sampleClasses(choice, flow, classes, signal)
  const context = await samplingContext(flow, choice.context)
  const { data, shape } = await flow.sample(count, {
    ...evaluationOptions(choice),
    seed,
    ...(temperature !== undefined && { temperature }),
    ...(context && { context: rowsOf(context, 0, count) }),
    signal
  })
  await writePng(out, { data, shape })
  note(`${count} samples in ${out}`)
}

/** A line of samples of each class. */
async function sampleClasses(
  choice: Choice,
  flow: Flow,
  classes: number,
  signal: AbortSignal
): Promise<void> {
  const { seed, temperature, out } = choice
  const each = Math.ceil(choice.number / classes)
  const { data, shape } = await flow.sample(each * classes, {
    ...evaluationOptions(choice),
    seed,
    ...(temperature !== undefined && { temperature }),
    context: eachClass(classes, each),
    signal
  })
  await writePng(out, { data, shape }, { columns: each })
  const names = classNames(contextColumns(flow))!
  note(`${each} samples of each class in ${out}, a line a class: ${names.join(', ')}`)
}

/** The columns that the samples are conditioned on, as they stand in a file; none of contexts without names. */
function contextCells(
  flow: Flow,
  context: TensorLike,
  first: number,
  count: number
): NamedColumn[] | undefined {
  const elements = contextColumns(flow)
  const columns = elements && orderedContext(flow.table, elements)
  if (!columns) return undefined
  const { data, shape } = rowsOf(context, first, count)
  const repeated = new Float64Array(count * shape[1]!)
  for (let at = 0; at < repeated.length; at += data.length) repeated.set(data, at)
  return decodeColumns(columns, repeated)
}

/** Columns that lose their names stand as in the training file, which is how a file without names is read. */
function inFileOrder(columns: NamedColumn[], file: FileColumns | undefined): NamedColumn[] {
  if (!file) return columns
  const place = ({ name }: NamedColumn) => file.names.indexOf(name)
  return [...columns].sort((a, b) => place(a) - place(b))
}

/** The rows of a context that belong to a part of the samples: all of a single one. */
function rowsOf({ data, shape }: TensorLike, first: number, count: number): TensorLike {
  const [rows = 1, width = 1] = shape
  if (rows === 1) return { data, shape }
  return {
    data: data.subarray(first * width, (first + count) * width),
    shape: [Math.min(count, rows - first), width]
  }
}
