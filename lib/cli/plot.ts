import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Command } from 'commander'
import { noiseOf } from '../data/level-noise'
import { assess } from '../report/assess'
import { contextColumns } from './context'
import { DATA, openTestData } from './data'
import { addImages, type ImageChoice, readAsTrained } from './image-options'
import { interruptible } from './interrupt'
import { MODEL, modelFile, openModel } from './model'
import { addDevice, type DeviceChoice, positiveInteger } from './options'
import { note } from './progress'
import { commandLine, writeReport } from './report'
import { makeFolder, RunDirectory } from './run-directory'
import { addReading, type TableChoice, trainedTable } from './table-options'

interface Choice extends TableChoice, ImageChoice, DeviceChoice {
  model: string
  data: string
  out?: string
  rows?: number
  average?: boolean
  against?: string
}

/** `ffjord plot`: report and figures of a model. */
export function addPlot(program: Command): void {
  const command = program
    .command('plot')
    .description('write report.html and figures of a model')
    .requiredOption(...MODEL)
    .requiredOption('--data <name|file>', `to test on and to show beside: ${DATA}`)
    .option('--out <folder>', 'for the results (default: that of the model)')
    .option('--rows <n>', 'test rows (default: all of a table, 10000 of others)', positiveInteger)
    .option('--average', 'use the moving average of the weights')
    .option('--against <file>', 'training rows: shown beside samples, and --data are then the test rows')
  addDevice(addImages(addReading(command))).action((choice: Choice) =>
    interruptible((signal) => plot(choice, signal))
  )
}

async function plot(
  { model: named, data: name, rows, ...choice }: Choice,
  signal: AbortSignal
): Promise<void> {
  const model = modelFile(named)
  using flow = await openModel(model, choice)
  const folder = choice.out ?? dirname(model)
  makeFolder(folder)
  const table = trainedTable(choice, flow.table, 0)
  const read = (named: string) =>
    openTestData(named, table, contextColumns(flow), readAsTrained(flow, choice))
  const data = await read(name)
  const training = choice.against && (await read(choice.against))
  const evaluation = await assess(flow, data, { signal, ...(rows !== undefined && { rows }) })
  const run = new RunDirectory(dirname(model))
  const history = existsSync(join(run.path, 'metrics.jsonl'))
    ? { history: { ...run.history(), noise: noiseOf(flow.provenance?.images?.dequantize) } }
    : {}
  const files = await writeReport(folder, {
    title: `FFJORD on ${name}`,
    flow,
    ...(training ? { data: training, parts: { test: data } } : { data }),
    evaluation,
    ...history,
    command: commandLine(),
    signal
  })
  for (const file of files) note(join(folder, file))
}
