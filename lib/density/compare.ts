import type { ArrayDataset } from '../dataset'
import { type Intervals, onLine } from '../table/support'
import { fitGaussian } from './gaussian'
import { fitMixture } from './mixture'

/** A density that was fitted to the training rows, on the test rows. */
export interface Baseline {
  name: string
  /** Mean −log p, nats per row, and its standard error. */
  nll: number
  standardError: number
}

/** Rows and multiply-adds that a comparison takes at most, so that it stays short beside the training. */
const MOST_ROWS = 20_000
const MOST_WORK = 4e7

/**
 * What plain densities reach: a Gaussian of full covariance, and a mixture of ten of them. Columns with an interval are
 * brought onto the line before, as for the flow.
 */
export async function baselines(
  train: ArrayDataset,
  test: ArrayDataset,
  { support, seed = 0 }: { support?: Intervals; seed?: number } = {}
): Promise<Baseline[]> {
  const width = train.data.length / train.rows
  const most = Math.max(1000, Math.min(MOST_ROWS, Math.floor(MOST_WORK / width ** 2)))
  const prepare = async (data: ArrayDataset) => {
    const { data: rows, rows: count } = await data.take(Math.min(most, data.rows))
    const line = support
      ? onLine(rows, support)
      : { rows: Float64Array.from(rows), logDeterminant: undefined }
    return { rows: { data: line.rows, shape: [count, width] }, logDeterminant: line.logDeterminant }
  }
  const [known, fresh] = [await prepare(train), await prepare(test)]
  const components = Math.max(1, Math.min(10, Math.floor(known.rows.shape[0]! / (3 * width))))
  const densities = [
    { name: 'Gaussian, full covariance', density: fitGaussian(known.rows, train.columns) },
    {
      name: `Mixture of ${components} Gaussians`,
      density: fitMixture(known.rows, { components, rounds: 50, seed })
    }
  ]
  return densities.map(({ name, density }) => {
    const surprise = density
      .logProb(fresh.rows)
      .map((value, row) => -value - (fresh.logDeterminant?.[row] ?? 0))
    const nll = surprise.reduce((sum, value) => sum + value, 0) / surprise.length
    const squares = surprise.reduce((sum, value) => sum + (value - nll) ** 2, 0)
    return {
      name,
      nll,
      standardError: Math.sqrt(squares / Math.max(1, surprise.length - 1) / surprise.length)
    }
  })
}
