import type { Command } from 'commander'
import { ImageDataset } from '../data/image-dataset'
import { supportOf } from '../data/schema'
import { spreadOf, spreadText } from '../evaluation/row-scores'
import { ArrayDataset, type Baseline, type Dataset, type FileOptions, type Flow } from '../index'
import { assess } from '../report/assess'
import { compare } from './compare'
import { contextColumns } from './context'
import { DATA, openData, openTestData } from './data'
import { evaluateImages } from './eval-images'
import { WrongCall } from './exit'
import { addImages, type ImageChoice, readAsTrained } from './image-options'
import { interruptible } from './interrupt'
import { evaluationOptions, MODEL, openModel } from './model'
import {
  addDevice,
  addDraws,
  addEvaluation,
  type DeviceChoice,
  type DrawsChoice,
  drawsOption,
  type EvaluationChoice,
  positiveInteger,
  wholeNumber
} from './options'
import { TABLE_PATIENCE, withScoringLine } from './scoring'
import { addReading, type TableChoice, trainedTable } from './table-options'

interface Choice extends TableChoice, ImageChoice, DeviceChoice, EvaluationChoice, DrawsChoice {
  model: string
  data: string
  rows?: number
  batch?: number
  certify?: number
  average?: boolean
  against?: string
  centre?: boolean
  quiet?: boolean
  json?: boolean
}

/** `ffjord eval`: mean −log p of data under a model. */
export function addEval(program: Command): void {
  const command = program
    .command('eval')
    .description('negative log-likelihood of data under a model, nats per sample')
    .requiredOption(...MODEL)
    .requiredOption('--data <name|file>', DATA)
    .option('--rows <n>', 'rows to use (default: all of a table, 10000 of others)', positiveInteger)
    .option(
      '--batch <n>',
      'rows a call (default: 4096; of images 64 a thread, at least 256)',
      positiveInteger
    )
    .option(
      '--certify <n>',
      'rows to estimate the errors of log p on (default: 1000; 10 images)',
      wholeNumber
    )
    .option('--average', 'use the moving average of the weights')
    .option(
      '--against <file>',
      'training rows: what plain densities fitted to them reach on --data; of images: mnist:FOLDER and so on'
    )
    .option('--centre', 'of images: also at the centres of their levels, as RNODE evaluates')
    .option('--quiet', 'no progress')
    .option('--json', 'print one JSON object')
  addDevice(addDraws(addEvaluation(addImages(addReading(command))))).action((choice: Choice) =>
    interruptible((signal) => evaluate(choice, signal))
  )
}

async function evaluate(choice: Choice, signal: AbortSignal): Promise<void> {
  const { rows, batch, certify, quiet = false, json } = choice
  using flow = await openModel(choice.model, choice)
  const table: FileOptions = { ...trainedTable(choice, flow.table, 0), outside: 'keep' }
  const reading = readAsTrained(flow, choice)
  const data = await openTestData(choice.data, table, contextColumns(flow), reading)
  if (data instanceof ImageDataset) return await evaluateImages(flow, data, { ...choice, reading }, signal)
  if (choice.centre) throw new WrongCall('--centre goes with images')
  const found = await withScoringLine(
    quiet,
    (onProgress) =>
      assess(flow, data, {
        ...evaluationOptions(choice),
        ...drawsOption(choice),
        ...(rows !== undefined && { rows }),
        ...(batch !== undefined && { batch }),
        certify: certify ?? 1000,
        onProgress,
        signal
      }),
    TABLE_PATIENCE
  )
  const { nll, standardError, nfe, entropy, klGap, errors, bound } = found
  const spread = found.spread && spreadOf([found.spread])
  const trace = [...new Set(found.traces)].join(', ')
  const others = choice.against ? await compareAgainst(choice, choice.against, flow, data, signal) : undefined
  if (json) {
    const gap = klGap && { entropy, klGap: klGap.value, klGapStderr: klGap.standardError }
    console.log(
      JSON.stringify({
        nll: found.outside > 0 ? null : nll,
        stderr: standardError,
        n: found.rows,
        bound,
        ...(spread && { spread }),
        ...(found.outside > 0 && { outside: found.outside, nllInside: found.nllInside }),
        nfe,
        trace,
        device: flow.device,
        ...gap,
        ...(errors && { errors }),
        ...(others && { baselines: others })
      })
    )
    return
  }
  if (found.outside > 0)
    console.log(
      `NLL      infinite: ${found.outside} of ${found.rows} rows lie outside of the model's support; ` +
        `the others have ${found.nllInside.toFixed(4)} ± ${standardError.toFixed(4)} nats`
    )
  else console.log(`NLL      ${nll.toFixed(4)} ± ${standardError.toFixed(4)} nats (${found.rows} rows)`)
  console.log(`Bound    ${bound}${spread ? `; ${spreadText(spread)}` : ''}`)
  if (entropy !== undefined) console.log(`Entropy  ${entropy.toFixed(4)}`)
  if (klGap) console.log(`KL gap   ${klGap.value.toFixed(4)} ± ${klGap.standardError.toFixed(4)}`)
  for (const { name, nll, standardError } of others ?? [])
    console.log(`${name}: ${nll.toFixed(4)} ± ${standardError.toFixed(4)}`)
  console.log(`NFE      ${nfe.toFixed(1)}`)
  console.log(`Trace    ${trace}`)
  if (!errors) return
  const small = (value: number) => (value === 0 ? '0' : value.toExponential(1))
  console.log(
    `Errors   of a row's log p: probes ${small(errors.probe)}, solver ${small(errors.solver)}; way back ${small(errors.roundTrip)} ` +
      `(root mean squares, ${errors.rows} rows)`
  )
}

async function compareAgainst(
  choice: Choice,
  file: string,
  flow: Flow,
  data: Dataset,
  signal: AbortSignal
): Promise<Baseline[]> {
  const train = await openData(file, 0, trainedTable(choice, flow.table, 0), contextColumns(flow))
  if (!(train instanceof ArrayDataset) || !(data instanceof ArrayDataset))
    throw new WrongCall('--against goes with tables: name the training rows, and rows to test on')
  const support = supportOf(flow.table?.columns ?? [])
  return compare(train, data, { ...(support && { support }), signal, quiet: choice.quiet ?? false })
}
