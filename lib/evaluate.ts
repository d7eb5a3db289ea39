import type { Batch } from './batch'
import { sizeOf } from './batch'
import { checkOptions, type EvaluationOptions, evaluationKeys } from './call'
import { fail, integer } from './check'
import { assertUsable, type FlowCore } from './core'
import { type Dataset, toDataset } from './dataset'
import type { Flow } from './flow'

export interface EvaluateOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** Rows to use: all where the data end, 10,000 where they do not. */
  rows?: number
  /** Rows a call. Default: 4096. */
  batch?: number
}

export interface Evaluation {
  /** Mean −log p, nats per sample, and its standard error. */
  nll: number
  standardError: number
  rows: number
  /** Mean evaluations of the dynamics a row. */
  nfe: number
  /** What the engine used for the divergence of each CNF block. */
  traces: string[]
  /** Of data in [0, 1) that stood for 256 levels: (nll / D + ln 256) / ln 2. */
  bitsPerDim: number
}

export async function evaluate(
  flow: Flow,
  core: FlowCore,
  data: Dataset | Batch,
  options: EvaluateOptions = {}
): Promise<Evaluation> {
  assertUsable(core)
  const {
    rows: limit,
    batch,
    ...call
  } = checkOptions(options, 'evaluate', [
    ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
    'rows',
    'batch'
  ])
  const dataset = toDataset(data, core.description, 'data')
  const wanted = integer(limit ?? (Number.isFinite(dataset.rows) ? dataset.rows : 10_000), 'rows', 1)
  const size = integer(batch ?? 4096, 'batch', 1)
  const place = dataset.state()
  const ends = Number.isFinite(dataset.rows)
  if (ends) dataset.restore({ epoch: 0, row: 0 })

  let rows = 0
  let mean = 0
  let squares = 0
  let nfe = 0
  let traces: string[] = []
  for await (const part of dataset.batches({ size, shuffle: false })) {
    const taken = Math.min(part.shape[0]!, wanted - rows)
    const width = sizeOf(core.description.shape)
    const context = part.context && { context: part.context.data.subarray(0, taken * part.context.shape[1]!) }
    const logProb = await flow.logProb(part.data.subarray(0, taken * width), {
      ...call,
      ...context,
      ...(call.seed !== undefined && { rowOffset: rows })
    })
    for (const value of logProb) {
      // Welford's running mean and sum of squared distances from it
      rows++
      const distance = -value - mean
      mean += distance / rows
      squares += distance * (-value - mean)
    }
    nfe += flow.statistics!.nfe * taken
    traces = flow.statistics!.traces
    if (rows >= wanted) break
  }
  if (ends) dataset.restore(place)
  if (rows === 0)
    fail('EMPTY_BATCH', 'the data set gave no rows; restore it to its start, or give other data')
  return {
    nll: mean,
    standardError: Math.sqrt(squares / Math.max(1, rows - 1) / rows),
    rows,
    nfe: nfe / rows,
    traces,
    bitsPerDim: (mean / sizeOf(core.description.shape) + Math.log(256)) / Math.LN2
  }
}
