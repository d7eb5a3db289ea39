import { extname } from 'node:path'
import { types } from 'node:util'
import type { Command } from 'commander'
import { sizeOf } from '../batch'
import {
  ArrayDataset,
  type Dataset,
  type EvaluationOptions,
  elementNames,
  FfjordError,
  type Flow
} from '../index'
import { dequantize } from '../table/encode'
import { openEncoder } from '../table/load'
import { rankOf } from '../table/quantiles'
import type { RowBatch, TableSource } from '../table/source'
import { conditioned, contextColumns } from './context'
import { interruptible } from './interrupt'
import { evaluationOptions, openModel } from './model'
import { addDevice, addEvaluation, type DeviceChoice, type EvaluationChoice, wholeNumber } from './options'
import { note } from './progress'
import { addReading, type TableChoice, trainedTable } from './table-options'
import { type OutputColumn, openWriter, writing } from './tables'

interface Choice extends DeviceChoice, EvaluationChoice, TableChoice {
  model: string
  data: string
  out: string
  seed: number
  average?: boolean
}

const CHUNK = 16_384

/** `ffjord logprob`: log p of every row of a file, beside the row. */
export function addLogprob(program: Command): void {
  const command = program
    .command('logprob')
    .description(
      'log-density of every row of a table, nats, and the share of training rows below it; a .csv, .tsv or .parquet ' +
        'file holds the rows as well, an .npy file the log-densities alone'
    )
    .requiredOption('--model <file>', 'model.safetensors')
    .requiredOption('--data <file>', 'a table: .csv, .tsv, .parquet, .npy, .npz, .h5, .arrow')
    .requiredOption('--out <file>', 'a .csv, .tsv, .parquet or .npy file, or - for CSV on stdout')
    .option('--seed <n>', 'of the noise that dequantises', wholeNumber, 0)
    .option('--average', 'use the moving average of the weights')
  addDevice(addEvaluation(addReading(command))).action((choice: Choice) =>
    interruptible((signal) => logprob(choice, signal))
  )
}

async function logprob(choice: Choice, signal: AbortSignal): Promise<void> {
  openWriter(choice.out)
  using flow = await openModel(choice.model, choice)
  const table = flow.table
  const { source, columns, encoder } = await openEncoder(
    choice.data,
    trainedTable(choice, table, choice.seed)
  )
  const names = contextColumns(flow)
  const size = sizeOf(flow.shape) + (names?.length ?? 0)
  if (encoder.width !== size)
    throw new FfjordError(
      'INVALID_SHAPE',
      `${choice.data} has rows of ${encoder.width} numbers, and the model takes ${size}; give the columns it was trained on`
    )
  const alone = extname(choice.out).toLowerCase() === '.npy'
  const quantiles = table?.logProbQuantiles
  // One seed and the row's own number: an estimated trace does not depend on how the rows are cut.
  const options = { ...evaluationOptions(choice), seed: flow.seed, signal }
  let rows = 0
  await writing(choice.out, async (writer) => {
    for await (const batch of source.batches()) {
      const encoded = encoder.encode(batch, rows)
      dequantize(columns, encoded, { first: rows, seed: choice.seed })
      const found =
        encoded.kept.length > 0
          ? await logProbs(flow, part(encoded.values, elementNames(columns), names), rows, options)
          : new Float32Array(0)
      // Rows that could not be used stay, with nothing beside them.
      const logProb = new Float32Array(batch.count).fill(Number.NaN)
      encoded.kept.forEach((row, i) => {
        logProb[row] = found[i]!
      })
      const added: OutputColumn[] = [{ name: 'log_prob', values: logProb }]
      if (quantiles && !alone)
        added.push({
          name: 'quantile',
          values: logProb.map((value) => (Number.isNaN(value) ? value : rankOf(quantiles, value)))
        })
      await writer.write(alone ? added : [...original(source, batch), ...added])
      rows += batch.count
    }
  })
  const without = encoder.dropped ? `; ${encoder.dropped} rows without one, which could not be used` : ''
  if (choice.out !== '-') note(`log-densities of ${rows} rows in ${choice.out}${without}`)
}

/** Rows with the context that the flow is conditioned on. */
function part(
  values: Float32Array | Float64Array,
  columns: readonly string[],
  context: readonly string[] | undefined
): ArrayDataset {
  const rows = new ArrayDataset(values, [columns.length], columns)
  return conditioned(rows as Dataset, context) as ArrayDataset
}

async function logProbs(
  flow: Flow,
  { data, rows, context, contextData }: ArrayDataset,
  first: number,
  options: EvaluationOptions
): Promise<Float32Array> {
  const size = sizeOf(flow.shape)
  const all = new Float32Array(rows)
  for (let row = 0; row < rows; row += CHUNK) {
    const last = Math.min(row + CHUNK, rows)
    const condition = context && {
      data: contextData!.subarray(row * context.size, last * context.size),
      shape: [last - row, context.size]
    }
    const found = await flow.logProb(data.subarray(row * size, last * size), {
      ...options,
      rowOffset: first + row,
      ...(condition && { context: condition })
    })
    all.set(found, row)
  }
  return all
}

/** The columns of the file as they are. */
function original({ names }: TableSource, batch: RowBatch): OutputColumn[] {
  if ('columns' in batch) return names.map((name, c) => ({ name, values: batch.columns[c]! }))
  const { matrix, count } = batch
  const kind = types.isFloat32Array(matrix) ? Float32Array : Float64Array
  return names.map((name, c) => {
    const values = new kind(count)
    for (let row = 0; row < count; row++) values[row] = Number(matrix[row * names.length + c])
    return { name, values }
  })
}
