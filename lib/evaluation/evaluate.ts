import { stepsOf } from '../data/cells'
import type { Dataset } from '../data/dataset'
import { toDataset } from '../data/flow-data'
import type { ImageDataset } from '../data/image-dataset'
import { bitsPerDim, noiseOf } from '../data/level-noise'
import { checkOptions, type EvaluationOptions, evaluationKeys } from '../flow/call-options'
import { assertUsable, type FlowCore } from '../flow/core'
import { type CertifiedLogProb, logProb } from '../flow/log-prob'
import { type Batch, sizeOf } from '../native/batch'
import { fail, integer, isCallable, show } from '../native/check'
import type { NativeArray } from '../native/interface'
import { MOST_DRAWS } from './cell-density'
import { firstRows, joinScores, type RowScores, scoreRows } from './row-scores'

export interface EvaluateOptions extends Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> {
  /** Rows to use. Default: all where the data end, 10,000 where they do not. */
  rows?: number
  /** Rows a call. Default: 4096. */
  batch?: number
  /** Estimates the errors of log p on so many rows, the first ones. Default: 0. */
  certify?: number
  /**
   * Most draws of a row whose values were dequantised; a row gets as many as bring their spread below 0.01 nats. 1: the draw that training
   * takes. Default: 1024.
   */
  draws?: number
  /** Called before the first rows and behind each batch. Default: nobody is told. */
  onProgress?: (progress: ScoringProgress) => void
}

/** How far the scoring of rows is. */
export interface ScoringProgress {
  /** Densities so far: of every row, draw and class. */
  scored: number
  /** How many there will be. */
  total: number
  /** What comes next: densities, or an estimate of their errors. */
  next: 'scores' | 'errors'
}

/** Root mean squares over rows of what logProb(x, { certify: true }) finds, nats; the round trip in units of x. */
export interface EvaluationErrors {
  rows: number
  probe: number
  solver: number
  roundTrip: number
}

export interface Evaluation extends RowScores {
  /** Mean −log p, nats per sample; Infinity where a row lies outside of the flow's support. */
  nll: number
  /** The standard error of the mean over the rows inside. */
  standardError: number
  rows: number
  /** How many of them lie outside of the flow's support, where log p = −∞. */
  outside: number
  /** Mean −log p of the others: `nll` where no row lies outside. */
  nllInside: number
  /** Mean evaluations of the dynamics a row and draw. */
  nfe: number
  /** What the engine used for the divergence of each CNF block. */
  traces: string[]
  /**
   * Of images, samples of three dimensions: (nll / D + ln 256) / ln 2, for values in [0, 1) that stood for 256 levels; and E[log q] / ln 2 more
   * where their noise is of a density q that is not uniform.
   */
  bitsPerDim?: number
  /** How far a row's log p may be off, where `certify` asked for it. */
  errors?: EvaluationErrors
}

/** `from`: the first of the rows to use, of data that end. */
export async function evaluate(
  core: FlowCore,
  data: Dataset | Batch,
  options: EvaluateOptions = {},
  from = 0
): Promise<Evaluation> {
  assertUsable(core)
  const {
    rows: limit,
    batch,
    certify,
    draws,
    onProgress,
    ...call
  } = checkOptions(options, 'evaluate', [
    ...evaluationKeys.filter((key) => key !== 'noise' && key !== 'rowOffset' && key !== 'context'),
    'rows',
    'batch',
    'certify',
    'draws',
    'onProgress'
  ])
  const tell = listener(onProgress)
  const dataset = toDataset(data, core, 'data')
  const wanted = integer(limit ?? (Number.isFinite(dataset.rows) ? dataset.rows : 10_000), 'rows', 1)
  const size = integer(batch ?? 4096, 'batch', 1)
  const most = integer(draws ?? MOST_DRAWS, 'draws', 1)
  const certified = integer(certify ?? 0, 'certify')
  const steps = stepsOf(dataset.schema?.columns ?? [])
  const place = dataset.state()
  const ends = Number.isFinite(dataset.rows)
  if (ends) dataset.restore({ epoch: 0, row: from })
  const total = ends ? Math.min(wanted, dataset.rows - from) : wanted

  let errors: EvaluationErrors | undefined
  let rows = 0
  let nfe = 0
  let traces: string[] = []
  const parts: RowScores[] = []
  tell({ scored: 0, total, next: 'scores' })
  for await (const part of dataset.batches({ size, shuffle: false })) {
    const taken = firstRows(part, Math.min(part.shape[0]!, wanted - rows))
    const { statistics, ...scores } = await scoreRows(core, taken, {
      ...call,
      draws: most,
      steps
    })
    rows += taken.shape[0]!
    if (certified > 0 && !errors) {
      tell({ scored: rows, total, next: 'errors' })
      const { data, context } = firstRows(taken, Math.min(certified, taken.shape[0]!))
      const certify = { ...call, ...(context && { context }), certify: true } as const
      errors = errorsOf(await logProb(core, data, certify))
    }
    tell({ scored: rows, total, next: 'scores' })
    parts.push(scores)
    nfe += statistics.nfe * taken.shape[0]!
    traces = statistics.traces
    if (rows >= wanted) break
  }
  if (ends) dataset.restore(place)
  if (rows === 0)
    fail('EMPTY_BATCH', 'the data set gave no rows; restore it to its start, or give other data')
  const scores = joinScores(parts)
  const inside = scores.logProb.filter((value) => value !== -Infinity)
  const none = { nll: Infinity, standardError: Infinity }
  const { nll: nllInside, standardError } = inside.length > 0 ? meanSurprise(inside) : none
  const nll = inside.length < rows ? Infinity : nllInside
  return {
    nll,
    standardError,
    rows,
    outside: rows - inside.length,
    nllInside,
    nfe: nfe / rows,
    traces,
    ...scores,
    ...(errors && { errors }),
    ...(core.description.shape.length === 3 && {
      bitsPerDim: bitsPerDim(
        nll,
        sizeOf(core.description.shape),
        noiseOf((data as Partial<ImageDataset>).law)
      )
    })
  }
}

/** What tells a caller of progress. @throws FfjordError INVALID_OPTION */
export function listener(onProgress: unknown): (progress: ScoringProgress) => void {
  if (onProgress === undefined) return () => undefined
  if (!isCallable(onProgress))
    fail('INVALID_OPTION', `onProgress is ${show(onProgress)}; give a function of { scored, total, next }`)
  return onProgress as (progress: ScoringProgress) => void
}

/** Mean of −log p, and its standard error; infinite where a row has no density. */
export function meanSurprise(logProb: ArrayLike<number>): { nll: number; standardError: number } {
  let mean = 0
  let squares = 0
  for (let i = 0; i < logProb.length; i++) {
    const surprise = -logProb[i]!
    if (surprise === Infinity) return { nll: Infinity, standardError: Infinity }
    // Welford's running mean and sum of squared distances from it
    const distance = surprise - mean
    mean += distance / (i + 1)
    squares += distance * (surprise - mean)
  }
  const rows = logProb.length
  return { nll: mean, standardError: Math.sqrt(squares / Math.max(1, rows - 1) / rows) }
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
