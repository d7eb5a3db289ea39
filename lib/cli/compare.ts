import { type ArrayDataset, type Baseline, type BaselineOptions, baselines } from '../index'
import { progressLine } from './progress'

/** What plain densities reach, with a line of progress on stderr unless `quiet`. */
export function compare(
  train: ArrayDataset,
  test: ArrayDataset,
  { quiet, ...options }: Omit<BaselineOptions, 'onProgress'> & { quiet: boolean }
): Promise<Baseline[]> {
  const line = progressLine(quiet)
  line.update(0, 'Fitting a Gaussian and a mixture to compare with')
  return baselines(train, test, {
    ...options,
    onProgress: ({ round, rounds }) =>
      line.update(round / rounds, `Fitting a mixture to compare with: round ${round} of ${rounds} at most`)
  }).finally(() => line.done())
}
