import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { FfjordError } from '../native/errors'
import { unpickling } from '../table/formats'
import { fromFile } from '../table/load'
import { RandomState } from './mt19937'
import {
  type BenchmarkParts,
  continuousColumns,
  dataset,
  datasets,
  lastTenths,
  type Matrix,
  momentsOf,
  normalise,
  pick,
  rowsOf,
  slice
} from './parts'

/**
 * The five tabular benchmarks of density estimation, prepared and split as the programs of MAF (Papamakarios, Pavlakou
 * and Murray 2017) and FFJORD do.
 */

const ZENODO = 'Zenodo record 1161203 (data.tar.gz, https://zenodo.org/record/1161203)'

export interface BenchmarkSet {
  /** Rows of the published split. */
  rows: { train: number; validation: number; test: number }
  width: number
  load(folder: string): Promise<BenchmarkParts>
}

export const benchmarkNames = ['power', 'gas', 'hepmass', 'miniboone', 'bsds300'] as const
export type BenchmarkName = (typeof benchmarkNames)[number]

export const benchmarkSets: Record<BenchmarkName, BenchmarkSet> = {
  power: { rows: { train: 1_659_917, validation: 184_435, test: 204_928 }, width: 6, load: power },
  gas: { rows: { train: 852_174, validation: 94_685, test: 105_206 }, width: 8, load: gas },
  hepmass: { rows: { train: 315_123, validation: 35_013, test: 174_987 }, width: 21, load: hepmass },
  miniboone: { rows: { train: 29_556, validation: 3_284, test: 3_648 }, width: 43, load: miniboone },
  bsds300: { rows: { train: 1_000_000, validation: 50_000, test: 250_000 }, width: 63, load: bsds300 }
}

/** data.npy: 2,049,280 complete minutes of a household; columns gap, grp, voltage, intensity, sm1–3, minute of the day. */
async function power(folder: string): Promise<BenchmarkParts> {
  const raw = await matrix(find('power', folder, ['data.npy'], `power/data.npy of ${ZENODO}`))
  const random = new RandomState(42)
  const rows = rowsOf(raw)
  const order = random.shuffled(rows)
  const kept = [0, 2, 4, 5, 6, 7]
  const data = new Float64Array(rows * kept.length)
  for (let row = 0; row < rows; row++)
    for (const [c, column] of kept.entries()) data[row * 6 + c] = raw.data[order[row]! * raw.width + column]!
  // Noise below the last digit, in the order in which the published program draws it.
  for (const [columns, scale] of [
    [[1], 0.01],
    [[0], 0.001],
    [[2, 3, 4], 1]
  ] as const)
    for (let row = 0; row < rows; row++) for (const c of columns) data[row * 6 + c]! += scale * random.rand()
  const parts = lastTenths({ data, width: 6 })
  normalise({ data, width: 6 }, momentsOf(parts.known, 0))
  return datasets(parts)
}

/** ethylene_CO: sensors of a gas mixture. The published file is a pickled table, which pandas turns into one of these. */
async function gas(folder: string): Promise<BenchmarkParts> {
  const file = find(
    'gas',
    folder,
    ['ethylene_CO.parquet', 'ethylene_CO.csv', 'ethylene_CO.npy'],
    `gas/ethylene_CO.pickle of ${ZENODO}; only Python reads pickles, so turn it into Parquet once: ` +
      unpickling('ethylene_CO.pickle', 'ethylene_CO.parquet')
  )
  const table = await fromFile(file, { precision: 'float64' })
  const dropped = ['Time', 'Meth', 'Eth', '__index_level_0__', 'x1', 'x2', 'x3']
  const names = table.schema.columns.map(({ name }) => name)
  const sensors = names.flatMap((name, c) => (dropped.includes(name) ? [] : [c]))
  let found = pick({ data: table.data as Float64Array, width: names.length }, sensors)
  for (let repeated = firstRepeated(found); repeated >= 0; repeated = firstRepeated(found))
    found = pick(
      found,
      Array.from({ length: found.width }, (_, c) => c).filter((c) => c !== repeated)
    )
  normalise(found, momentsOf(found, 1))
  return datasets(lastTenths(found))
}

/** The first column that correlates with another one by more than 0.98; −1 if none does. */
function firstRepeated(matrix: Matrix): number {
  const { data, width } = matrix
  const { mean, deviation } = momentsOf(matrix, 0)
  const sums = new Float64Array(width * width)
  for (let start = 0; start < data.length; start += width)
    for (let a = 0; a < width; a++)
      for (let b = 0; b < a; b++)
        sums[a * width + b]! += (data[start + a]! - mean[a]!) * (data[start + b]! - mean[b]!)
  const repeats = (a: number, b: number) =>
    sums[Math.max(a, b) * width + Math.min(a, b)]! / rowsOf(matrix) / (deviation[a]! * deviation[b]!) > 0.98
  for (let a = 0; a < width; a++) for (let b = 0; b < width; b++) if (a !== b && repeats(a, b)) return a
  return -1
}

/** 1000_train.csv and 1000_test.csv: a label, then features of particle collisions; signals have label 1. */
async function hepmass(folder: string): Promise<BenchmarkParts> {
  const source = `hepmass/ of ${ZENODO}`
  const signals = async (file: string) => {
    const { data, width } = await matrix(find('hepmass', folder, [file], `${file}, in ${source}`))
    const kept: number[] = []
    for (let row = 0; row < data.length / width; row++) if (data[row * width] === 1) kept.push(row)
    const features = new Float64Array(kept.length * (width - 1))
    kept.forEach((row, i) => {
      features.set(data.subarray(row * width + 1, (row + 1) * width), i * (width - 1))
    })
    return { data: features, width: width - 1 }
  }
  const known = await signals('1000_train.csv')
  const whole = await signals('1000_test.csv')
  // The test file has a column more, of masses, at its end.
  let test = pick(
    whole,
    Array.from({ length: known.width }, (_, c) => c)
  )
  const moments = momentsOf(known, 1)
  normalise(known, moments)
  normalise(test, moments)
  const kept = continuousColumns(known)
  const all = pick(known, kept)
  test = pick(test, kept)
  const rows = rowsOf(all)
  const train = rows - Math.floor(0.1 * rows)
  return {
    train: dataset(slice(all, 0, train)),
    validation: dataset(slice(all, train, rows)),
    test: dataset(test)
  }
}

/** data.npy: 36,488 signal events, cleaned, 43 features. */
async function miniboone(folder: string): Promise<BenchmarkParts> {
  const all = await matrix(find('miniboone', folder, ['data.npy'], `miniboone/data.npy of ${ZENODO}`))
  const parts = lastTenths(all)
  normalise(all, momentsOf(parts.known, 0))
  return datasets(parts)
}

/** BSDS300.hdf5: patches of 8 × 8 pixels of photographs, without their mean and last pixel; used as stored. */
async function bsds300(folder: string): Promise<BenchmarkParts> {
  const file = find('bsds300', folder, ['BSDS300.hdf5'], `BSDS300/BSDS300.hdf5 of ${ZENODO}`)
  return {
    train: await fromFile(file, { key: 'train' }),
    validation: await fromFile(file, { key: 'validation' }),
    test: await fromFile(file, { key: 'test' })
  }
}

async function matrix(file: string): Promise<Matrix> {
  const { data, shape } = await fromFile(file, { precision: 'float64' })
  return { data: data as Float64Array, width: shape[0]! }
}

/** The first of `files` that lies in the folder, or in a folder of the set's name below it. */
function find(name: string, folder: string, files: readonly string[], published: string): string {
  const places = [folder, join(folder, name), join(folder, name.toUpperCase())]
  const found = places
    .flatMap((place) => files.map((file) => join(place, file)))
    .find((file) => existsSync(file))
  if (found) return found
  const pickle = places.map((place) => join(place, 'ethylene_CO.pickle')).find((file) => existsSync(file))
  if (name === 'gas' && pickle)
    throw new FfjordError(
      'UNSUPPORTED_FILE',
      `the data set gas is in ${pickle} (${published.split(';')[0]}), and only Python reads pickles; turn it into Parquet once: ` +
        unpickling(pickle, pickle.replace(/pickle$/, 'parquet'))
    )
  throw new FfjordError(
    'FILE_NOT_FOUND',
    `the data set ${name} needs ${files.map((file) => join(folder, file)).join(', or ')}, which is not there; it is ` +
      `published as ${published}: put it there under that name`
  )
}
