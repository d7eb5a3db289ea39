import type { Command } from 'commander'
import { contextColumns } from './context'
import { openData } from './data'
import { WrongCall } from './exit'
import { interruptible } from './interrupt'
import { evaluationOptions, openModel } from './model'
import { addDevice, addEvaluation, type DeviceChoice, type EvaluationChoice } from './options'
import { note } from './progress'
import { checkTableName, writeTable } from './tables'

interface Choice extends DeviceChoice, EvaluationChoice {
  model: string
  data: string
  out: string
  average?: boolean
}

const CHUNK = 16_384

/** `ffjord logprob`: log p of every row of a file. */
export function addLogprob(program: Command): void {
  const command = program
    .command('logprob')
    .description('log-density of every row of a file, nats')
    .requiredOption('--model <file>', 'model.safetensors')
    .requiredOption('--data <file>', 'a .csv or a .npy file')
    .requiredOption('--out <file>', 'a .csv or .npy file, or - for CSV on stdout')
    .option('--average', 'use the moving average of the weights')
  addDevice(addEvaluation(command)).action((choice: Choice) =>
    interruptible((signal) => logprob(choice, signal))
  )
}

async function logprob(choice: Choice, signal: AbortSignal): Promise<void> {
  checkTableName(choice.out)
  using flow = await openModel(choice.model, choice)
  const data = await openData(choice.data, 0, contextColumns(flow))
  if (!Number.isFinite(data.rows)) throw new WrongCall(`--data ${choice.data} has no end; give a file`)
  const all = new Float32Array(data.rows)
  let first = 0
  for await (const part of data.batches({ size: CHUNK, shuffle: false })) {
    // One seed and the row's own number: an estimated trace does not depend on how the rows are cut.
    const options = {
      ...evaluationOptions(choice),
      seed: flow.seed,
      rowOffset: first,
      signal,
      ...(part.context && { context: part.context })
    }
    all.set(await flow.logProb(part, options), first)
    first += part.shape[0]!
  }
  await writeTable(choice.out, all, [all.length], ['log_prob'])
  if (choice.out !== '-') note(`log-densities of ${all.length} rows in ${choice.out}`)
}
