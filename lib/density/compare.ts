import { asInFile } from '../data/cells'
import { cholesky, covariance } from '../data/cholesky'
import { type ArrayDataset, inMemory } from '../data/dataset'
import { withColumnsOf } from '../data/flow-data'
import { gatherRows } from '../data/gather'
import { type Intervals, onLine } from '../data/support'
import { cellLogProb } from '../evaluation/cell-density'
import { meanSurprise } from '../evaluation/evaluate'
import { checkOptions } from '../flow/call-options'
import { partOf, sizeOf } from '../native/batch'
import { fail, integer, list, number, object, show } from '../native/check'
import { pause } from '../native/pieces'
import { fitGaussian, type Gaussian } from './gaussian'
import { fitMixtureAsync, type GaussianMixture, type MixtureProgress } from './mixture'

/** A density that was fitted to the training rows, on the test rows. */
export interface Baseline {
  name: string
  /** Mean −log p, nats per row, and its standard error. */
  nll: number
  standardError: number
}

export interface BaselineOptions {
  /** Intervals of columns, which are brought onto the line before, as for the flow. Default: none. */
  support?: Intervals
  /** The first centres of the mixture and the places within cells are drawn from it. Default: 0. */
  seed?: number
  /** Ends the fit of the mixture, which is what takes long; the call rejects with code CANCELLED. Default: none. */
  signal?: AbortSignal
  /** Called behind every round of the mixture. Default: nobody is told. */
  onProgress?: (progress: MixtureProgress) => void
}

/** Rows and multiply-adds that a comparison takes at most, so that it stays short beside the training. */
const MOST_ROWS = 20_000
const MOST_WORK = 4e7
/** Most draws of a dequantised row: plain densities are smooth. */
const CELL_DRAWS = 128
/** Rows between whose scores and the next ones others have their turn. */
const SCORED_TOGETHER = 1000

/**
 * What plain densities reach: a Gaussian of full covariance, and a mixture of ten of them, found piece by piece, so that
 * timers and signals are served meanwhile. Rows with a context c get log p(x | c) = log p(c, x) − log p(c) from a
 * density that is fitted to both.
 */
export async function baselines(
  train: ArrayDataset,
  test: ArrayDataset,
  options?: BaselineOptions
): Promise<Baseline[]> {
  const given = checkOptions(options, 'baselines', ['support', 'seed', 'signal', 'onProgress'])
  const { signal, onProgress } = given
  const seed = integer(given.seed ?? 0, 'seed')
  for (const [name, rows] of Object.entries({ train, test }))
    if (!inMemory(rows))
      fail(
        'INVALID_INPUT',
        `${name} is ${show(rows)}; give rows in memory, as fromRows or fromFile make them`
      )
  const support = given.support === undefined ? undefined : intervals(given.support, sizeOf(train.shape))
  const givens = independentContext(train)
  const width = train.data.length / train.rows + givens.length
  const budget = Math.floor(MOST_WORK / width ** 2 / (test.cells ? CELL_DRAWS / 8 : 1))
  const most = Math.max(1000, Math.min(MOST_ROWS, budget))
  const known = await firstRows(train)
  const fresh = await firstRows(withColumnsOf(train, test))
  const { joint } = onLineBeside(known.data, known.context)
  const components = Math.max(1, Math.min(10, Math.floor(known.rows / (3 * width))))
  const names = train.columns && [...givens.map((c) => `${c + 1} of the context`), ...train.columns]
  const densities = [
    { name: 'Gaussian, full covariance', density: fitGaussian(joint, names) },
    {
      name: `Mixture of ${components} Gaussians`,
      density: await fitMixtureAsync(joint, {
        components,
        rounds: 50,
        seed,
        ...(signal && { signal }),
        ...(onProgress && { onProgress })
      })
    }
  ]
  return Promise.all(
    densities.map(async ({ name, density }) => {
      const { nll, standardError } = meanSurprise(await scores(density))
      return { name, nll, standardError }
    })
  )

  async function firstRows(data: ArrayDataset) {
    const {
      data: rows,
      rows: count,
      context,
      contextData,
      cells
    } = await data.take(Math.min(most, data.rows))
    return { data: rows, rows: count, cells, context: pick(contextData, context?.size ?? 0, givens, count) }
  }

  function onLineBeside(rows: ArrayLike<number>, context: Rows) {
    const line = support ? onLine(rows, support) : { rows, logDeterminant: undefined }
    const joint = sideBySide(context, line.rows, context.shape[0]!)
    return { joint, logDeterminant: line.logDeterminant }
  }

  /** log p of the test rows: of those that were dequantised, the mean over a cell, as a flow's. */
  async function scores(density: Gaussian | GaussianMixture): Promise<Float64Array> {
    const marginal = givens.length > 0 ? density.marginal(givens.length) : undefined
    const at = (rows: ArrayLike<number>, context: Rows) => {
      const { joint, logDeterminant } = onLineBeside(rows, context)
      const ofContext = marginal?.logProb(context)
      return density
        .logProb(joint)
        .map((value, row) => value - (ofContext?.[row] ?? 0) + (logDeterminant?.[row] ?? 0))
    }
    const { data, rows: count, cells, context } = fresh
    if (!cells) {
      const all = new Float64Array(count)
      const [width, size] = [data.length / count, givens.length]
      for (let first = 0; first < count; first += SCORED_TOGETHER) {
        await pause(signal)
        const last = Math.min(count, first + SCORED_TOGETHER)
        const given = { data: context.data.subarray(first * size, last * size), shape: [last - first, size] }
        all.set(at(partOf(data, first * width, last * width, 'data'), given), first)
      }
      return all
    }
    const { logProb } = await cellLogProb(
      { values: asInFile(data, cells), steps: cells.steps, context: context.data },
      async (points, rows) => {
        await pause(signal)
        return at(points, {
          data: gatherRows(context.data, givens.length, rows),
          shape: [rows.length, givens.length]
        })
      },
      { seed, draws: CELL_DRAWS }
    )
    return logProb
  }
}

/** Places of the context's numbers that no combination of those before makes; of a category's levels the last is one. */
function independentContext({ context, contextData, rows }: ArrayDataset): number[] {
  if (!context) return []
  const places = Array.from({ length: context.size }, (_, i) => i)
  for (;;) {
    const { data } = pick(contextData, context.size, places, rows)
    const result = cholesky(covariance(data, places.length).covariance, places.length, 1e-9)
    if (!('failed' in result)) return places
    places.splice(result.failed, 1)
    if (places.length === 0) return places
  }
}

type Rows = { data: Float64Array; shape: number[] }

/** Some of the numbers of every row: (count, places.length). */
function pick(
  values: ArrayLike<number> | undefined,
  size: number,
  places: readonly number[],
  count: number
): Rows {
  const data = new Float64Array(count * places.length)
  for (let row = 0, at = 0; row < count; row++)
    for (const place of places) data[at++] = values![row * size + place]!
  return { data, shape: [count, places.length] }
}

function sideBySide(left: Rows, right: ArrayLike<number>, count: number): Rows {
  const [first, second] = [left.shape[1]!, right.length / count]
  const width = first + second
  const data = new Float64Array(count * width)
  for (let row = 0; row < count; row++) {
    data.set(left.data.subarray(row * first, (row + 1) * first), row * width)
    for (let i = 0; i < second; i++) data[row * width + first + i] = right[row * second + i]!
  }
  return { data, shape: [count, width] }
}

function intervals(value: unknown, width: number): Intervals {
  const given = object(value, 'support', ['lower', 'upper'])
  const ends = (name: 'lower' | 'upper') => {
    const all = list(given[name], `support.${name}`, `${width} ends, null where there is none`)
    if (all.length !== width)
      fail(
        'INVALID_SHAPE',
        `support.${name} has ${all.length} ends, and rows have ${width} columns; make them agree`
      )
    return all.map((end, i) => (end === null ? null : number(end, `support.${name}[${i}]`)))
  }
  return { lower: ends('lower'), upper: ends('upper') }
}
