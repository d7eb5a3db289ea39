import { choice, text } from '../native/check'
import type { BenchmarkParts } from './parts'
import { type BenchmarkName, benchmarkNames, benchmarkSets } from './sets'

export interface Benchmark extends BenchmarkParts {
  name: BenchmarkName
  /** What sets the rows apart from the published ones, so that results do not compare; undefined where nothing does. */
  remark?: string
}

/**
 * POWER, GAS, HEPMASS, MINIBOONE or BSDS300 from a folder with the published file, prepared and split as in the papers
 * that report on it.
 * @throws FfjordError FILE_NOT_FOUND, with where the file is published and what to name it
 */
export async function benchmark(name: BenchmarkName, folder: string): Promise<Benchmark> {
  const set = benchmarkSets[choice(name, 'name', benchmarkNames)]
  const parts = await set.load(text(folder, 'folder', 'the folder that the published file lies in'))
  const differs = (Object.entries(set.rows) as [keyof BenchmarkParts, number][])
    .filter(([part, rows]) => parts[part].rows !== rows)
    .map(([part, rows]) => `${parts[part].rows} ${part} rows in place of ${rows}`)
  const width = parts.train.shape[0]!
  if (width !== set.width) differs.push(`${width} columns in place of ${set.width}`)
  const remark = `${name} here is not the published set (${differs.join(', ')}): results do not compare with papers`
  return { name, ...parts, ...(differs.length > 0 && { remark }) }
}
