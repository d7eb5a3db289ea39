import { type Batch, sizeOf } from './batch'
import { checkOptions, type EvaluationOptions, evaluationKeys } from './call'
import type { CertifiedLogProb } from './certify'
import { fail, integer } from './check'
import { assertUsable, type FlowCore } from './core'
import type { Dataset } from './dataset'
import type { Flow } from './flow'
import { toDataset } from './flow-data'
import type { NativeArray } from './native'

export interface EvaluateOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** Rows to use: all where the data end, 10,000 where they do not. */
  rows?: number
  /** Rows a call. Default: 4096. */
  batch?: number
  /** Estimates the errors of log p on so many rows, the first ones. Default: 0. */
  certify?: number
}

/** Root mean squares over rows of what logProb(x, { certify: true }) finds, nats; the round trip in units of x. */
export interface EvaluationErrors {
  rows: number
  probe: number
  solver: number
  roundTrip: number
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
  /** Of a row's log p, where `certify` asked for them. */
  errors?: EvaluationErrors
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
    certify,
    ...call
  } = checkOptions(options, 'evaluate', [
    ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
    'rows',
    'batch',
    'certify'
  ])
  const dataset = toDataset(data, core, 'data')
  const wanted = integer(limit ?? (Number.isFinite(dataset.rows) ? dataset.rows : 10_000), 'rows', 1)
  const size = integer(batch ?? 4096, 'batch', 1)
  const place = dataset.state()
  const ends = Number.isFinite(dataset.rows)
  if (ends) dataset.restore({ epoch: 0, row: 0 })

  const certified = integer(certify ?? 0, 'certify')
  let errors: EvaluationErrors | undefined
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
    const statistics = flow.statistics!
    if (certified > 0 && !errors) {
      const first = Math.min(certified, taken)
      errors = errorsOf(
        await flow.logProb(part.data.subarray(0, first * width), {
          ...call,
          ...(part.context && { context: part.context.data.subarray(0, first * part.context.shape[1]!) }),
          certify: true
        })
      )
    }
    for (const value of logProb) {
      // Welford's running mean and sum of squared distances from it
      rows++
      const distance = -value - mean
      mean += distance / rows
      squares += distance * (-value - mean)
    }
    nfe += statistics.nfe * taken
    traces = statistics.traces
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
    ...(errors && { errors }),
    bitsPerDim: (mean / sizeOf(core.description.shape) + Math.log(256)) / Math.LN2
  }
}

export function errorsOf({
  probeError,
  solverError,
  roundTripError
}: CertifiedLogProb<NativeArray>): EvaluationErrors {
  const rows = probeError.length
  const rms = (values: NativeArray) => {
    let sum = 0
    for (const value of values) sum += value * value
    return Math.sqrt(sum / rows)
  }
  return { rows, probe: rms(probeError), solver: rms(solverError), roundTrip: rms(roundTripError) }
}
