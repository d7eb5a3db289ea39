import { asInFile, atomWeights, firstCells, type Step } from '../data/cells'
import type { RowBatch } from '../data/dataset'
import { gatherRows } from '../data/gather'
import type { EvaluationOptions } from '../flow/call-options'
import { compute } from '../flow/compute'
import type { FlowCore } from '../flow/core'
import { logProb } from '../flow/log-prob'
import { noiseOfValues } from '../flow/noise'
import { prepare } from '../flow/prepare'
import { type Statistics, statisticsOf } from '../flow/statistics'
import type { RealArray } from '../native/batch'
import { cellLogProb, type PointDensity, SPREAD } from './cell-density'

/** What a flow says of rows of a data set; training's test, `eval`, `logprob` and `flow.evaluate` are all made of it. */
export interface RowScores {
  /** log p of every row, nats, in the order of the data. */
  logProb: Float64Array
  /**
   * What `logProb` is: 'lower bound, 32 to 512 draws' for rows with dequantised values, whose density is the mean over a cell; else
   * 'exact density', or 'unbiased estimate' where the trace is one.
   */
  bound: string
  /** Standard error of each over its draws, where it is a bound of several. */
  spread?: Float64Array
  /** Draws of each, where it is a bound. */
  draws?: Uint32Array
  /** How many solves that took: equal rows with dequantised values share theirs. */
  solves: number
}

type ScoreOptions = Omit<EvaluationOptions, 'noise' | 'rowOffset' | 'context'> & {
  draws: number
  /** The noise of rows that have it but no cells, as a stream's do. */
  steps: readonly Step[]
}

/** Scores of a batch: of its cells where it was dequantised, else of its points. */
export async function scoreRows(
  core: FlowCore,
  batch: RowBatch,
  { draws, steps, ...call }: ScoreOptions
): Promise<RowScores & { statistics: Statistics }> {
  const { data, context, cells } = batch
  if (!cells || draws === 1) {
    const found = await logProb(core, data, { ...call, ...(context && { context }) })
    const statistics = core.statistics!
    const noisy = cells?.steps ?? steps
    const one = noisy.some((step) => step !== 0) ? new Uint32Array(found.length).fill(1) : undefined
    const weights = one && atomWeights(data, noisy)
    return {
      logProb: Float64Array.from(found, (value, row) => value + (weights?.[row] ?? 0)),
      bound: boundOf(statistics.traces, one),
      ...(one && { draws: one }),
      solves: found.length,
      statistics
    }
  }
  const { seed, signal } = call
  const values = asInFile(data, cells)
  const given = prepare(core, values, 'data', { ...call, ...(context && { context }) })
  const contexts = given.context.context
  let statistics: Statistics | undefined
  let solved = 0
  const density: PointDensity = async (points, rows, keys) => {
    const { result: found } = await compute(core, {
      name: 'evaluate',
      known: ['signal'],
      options: { signal },
      prepare: () => ({
        rows: points,
        batch: rows.length,
        float64: true as const,
        settings: given.settings,
        // All draws of a row share the noise of its trace, which then does not enter the mean over the cell.
        noise: { ...noiseOfValues({ seed }, core.seed), keys },
        ...(contexts && { context: gatherRows(contexts, contexts.length / given.rows.count, rows) })
      }),
      run: (native, call) => native.logProb<Float64Array>(call)
    })
    const latest = statisticsOf(found.statistics)
    const share = rows.length / (solved + rows.length)
    solved += rows.length
    statistics = { ...latest, nfe: (statistics?.nfe ?? latest.nfe) * (1 - share) + latest.nfe * share }
    return found.logProb
  }
  const { points, ...drawn } = await cellLogProb(
    { values, steps: cells.steps, ...(contexts && { context: contexts }) },
    density,
    { seed: seed ?? core.seed, draws }
  )
  core.statistics = statistics!
  const bound = boundOf(statistics!.traces, drawn.draws)
  return { ...drawn, bound, solves: points, statistics: statistics! }
}

/** The first `count` rows of a batch. */
export function firstRows({ data, shape, context, cells }: RowBatch, count: number): RowBatch {
  const part = (values: RealArray, rows: number) => values.subarray(0, (values.length / rows) * count)
  const [rows, ...sample] = shape as [number, ...number[]]
  return {
    data: part(data, rows),
    shape: [count, ...sample],
    ...(context && { context: { data: part(context.data, rows), shape: [count, context.shape[1]!] } }),
    ...(cells && { cells: firstCells(cells, count) })
  }
}

/** Scores of batches that follow each other. */
export function joinScores(parts: readonly RowScores[]): RowScores {
  const rows = parts.reduce((sum, { logProb }) => sum + logProb.length, 0)
  const joined = <A extends Float64Array | Uint32Array>(whole: A, pick: (part: RowScores) => A): A => {
    let at = 0
    for (const part of parts) {
      whole.set(pick(part), at)
      at += pick(part).length
    }
    return whole
  }
  const [first] = parts
  const draws = first!.draws && joined(new Uint32Array(rows), (part) => part.draws!)
  return {
    logProb: joined(new Float64Array(rows), (part) => part.logProb),
    bound: draws ? lowerBound(draws) : first!.bound,
    ...(first!.spread && { spread: joined(new Float64Array(rows), (part) => part.spread!) }),
    ...(draws && { draws }),
    solves: parts.reduce((sum, { solves }) => sum + solves, 0)
  }
}

/** How far the bounds of rows may be from the density of their cells, nats. */
export interface Spread {
  rows: number
  /** Root mean square, and the largest. */
  rms: number
  largest: number
  /** Rows whose spread most draws did not bring below 0.01. */
  above: number
}

export function spreadOf(parts: readonly Float64Array[]): Spread {
  let [rows, squares, largest, above] = [0, 0, 0, 0]
  for (const part of parts)
    for (const one of part) {
      rows++
      squares += one ** 2
      largest = Math.max(largest, one)
      if (!(one < SPREAD)) above++
    }
  return { rows, rms: Math.sqrt(squares / Math.max(1, rows)), largest, above }
}

/** Says the same to people. */
export function spreadText({ rms, largest, above }: Spread): string {
  const beyond = above > 0 ? `, ${above} rows above ${SPREAD}` : ''
  return `spread of a row's log p over draws ${rms.toPrecision(2)} nats, at most ${largest.toPrecision(2)}${beyond}`
}

function boundOf(traces: readonly string[], draws: ArrayLike<number> | undefined): string {
  if (draws) return lowerBound(draws)
  return traces.every((trace) => trace.startsWith('exact')) ? 'exact density' : 'unbiased estimate'
}

function lowerBound(draws: ArrayLike<number>): string {
  let [least, most] = [Infinity, 0]
  for (let i = 0; i < draws.length; i++) {
    least = Math.min(least, draws[i]!)
    most = Math.max(most, draws[i]!)
  }
  if (most === 1) return 'lower bound, 1 draw'
  return `lower bound, ${least === most ? most : `${least} to ${most}`} draws`
}
