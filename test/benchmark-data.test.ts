import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type ArrayDataset,
  type BenchmarkName,
  benchmark,
  benchmarkNames,
  fitGaussian,
  fromFile
} from 'ffjord'
import { RandomState } from '../lib/benchmark/mt19937'
import { failure } from './failure'
import { writeNpy } from './npy'

/** A folder with the real files of data sets, such as power/power_partial.npy. */
const real = process.env.FFJORD_BENCHMARK_DATA

/** A test of real files, skipped with the reason where they are not there. */
function testReal(name: string, files: string[], body: (paths: string[]) => Promise<void>): void {
  const paths = files.map((file) => join(real ?? '', file))
  const missing = files.find((_, i) => !existsSync(paths[i]!))
  const reason = real ? `${join(real, missing ?? '')} is not there` : 'FFJORD_BENCHMARK_DATA names no folder'
  if (real && missing === undefined) test(name, () => body(paths))
  else test.skip(`${name} (skipped, as ${reason})`, () => undefined)
}

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-benchmark-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Numbers in [0, 100] that any language computes alike. */
const cell = (i: number, j: number) => Math.floor(1000 * Math.abs(Math.sin(1 + 8 * i + j))) / 10
const made = (rows: number, columns: number) =>
  Float64Array.from({ length: rows * columns }, (_, i) => cell(Math.floor(i / columns), i % columns))
const rowOf = ({ data, shape }: ArrayDataset, row: number) => [
  ...data.subarray(row * shape[0]!, (row + 1) * shape[0]!)
]

test("NumPy's RandomState, number for number", () => {
  const small = new RandomState(42)
  expect([...small.shuffled(10)]).toEqual([8, 1, 5, 0, 7, 2, 9, 4, 3, 6])
  expect([small.rand(), small.rand(), small.rand()].map((u) => u.toFixed(8))).toEqual([
    '0.15599452',
    '0.05808361',
    '0.86617615'
  ])
  const large = new RandomState(42)
  const order = large.shuffled(100_000)
  expect([...order.subarray(0, 5), ...order.subarray(-3)]).toEqual([
    75721, 80184, 19864, 76699, 92991, 76820, 860, 15795
  ])
  expect(large.rand().toFixed(8)).toBe('0.57486664')
  expect(new RandomState(1234567).rand().toFixed(8)).toBe('0.23702917')
})

test('POWER as the published program prepares it', async () => {
  writeNpy(join(folder, 'data.npy'), made(50, 8), [50, 8])
  const { train, validation, test, remark } = await benchmark('power', folder)
  expect([train.rows, validation.rows, test.rows, train.shape]).toEqual([41, 4, 5, [6]])
  expect(remark).toContain('41 train rows in place of 1659917')
  // Computed with NumPy by the program's own lines.
  const expected = [
    [
      1.033324510777926, -1.3665156459197725, 0.6000240776596146, -1.7657759838307354, 0.7027014779952201,
      0.8377883487537643
    ],
    [
      0.7380706703477277, -1.7199008928974968, 0.9976524609364908, -1.2670188620305516, 0.18792317529988461,
      1.1247222465204498
    ],
    [
      -1.2143544690004529, 0.4442469438558283, 0.8972845383798745, 0.7042634894438824, -2.132003739401988,
      0.6464990835759734
    ]
  ]
  const found = [rowOf(train, 0), rowOf(validation, 0), rowOf(test, 4)]
  found.forEach((row, r) => {
    row.forEach((value, c) => {
      expect(value).toBeCloseTo(expected[r]![c]!, 5)
    })
  })
})

test('GAS drops times, concentrations and repeated sensors', async () => {
  // Sensor b follows a; the rest are apart.
  const lines = Array.from({ length: 40 }, (_, i) => {
    const [a, c, d] = [cell(i, 0), cell(i, 3), cell(i, 5)]
    return [i, cell(i, 9), cell(i, 7), a, 2 * a + 0.01 * c, c, d].join(',')
  })
  writeFileSync(join(folder, 'ethylene_CO.csv'), `Time,Meth,Eth,a,b,c,d\n${lines.join('\n')}\n`)
  const { train, validation, test } = await benchmark('gas', folder)
  expect([train.rows, validation.rows, test.rows, train.shape]).toEqual([33, 3, 4, [3]])
  // The first of two alike is dropped, so b stays; normalised over all rows by pandas' deviation.
  const all = [...train.data, ...validation.data, ...test.data]
  const first = all.filter((_, i) => i % 3 === 0)
  expect(first.reduce((sum, value) => sum + value, 0)).toBeCloseTo(0, 4)
  expect(first.reduce((sum, value) => sum + value * value, 0)).toBeCloseTo(39, 3)
})

test('GAS as a pickle: which file, where from, and the line that turns it into one that is read', async () => {
  mkdirSync(join(folder, 'gas'))
  const pickle = join(folder, 'gas', 'ethylene_CO.pickle')
  writeFileSync(pickle, 'pickled')
  const { message } = await failure(() => benchmark('gas', folder), 'UNSUPPORTED_FILE')
  const parquet = pickle.replace('.pickle', '.parquet')
  expect(message).toContain('Zenodo record 1161203')
  expect(message).toContain(
    `python3 -c "import pandas; pandas.read_pickle('${pickle}').rename(columns=str).to_parquet('${parquet}', index=False)"`
  )
  await failure(() => fromFile(pickle), 'UNSUPPORTED_FILE')

  // What the line leaves: nullable doubles under the names of the frame.
  const { parquetWriteFile } = await import('hyparquet-writer')
  const columnData = ['Time', 'Meth', 'Eth', 'R1', 'R2'].map((name, c) => ({
    name,
    data: Float64Array.from({ length: 40 }, (_, i) => cell(i, 2 * c + 1)),
    type: 'DOUBLE' as const,
    nullable: true
  }))
  parquetWriteFile({ filename: parquet, columnData })
  const { train, validation, test } = await benchmark('gas', folder)
  expect([train.rows, validation.rows, test.rows, train.shape]).toEqual([33, 3, 4, [2]])
})

test('HEPMASS keeps signals, and drops features with a mass at their least value', async () => {
  const line = (i: number, more: number[]) => [
    i % 2,
    cell(i, 0),
    i % 4 < 2 ? 0 : cell(i, 1),
    cell(i, 2),
    ...more
  ]
  const write = (file: string, rows: number, more: (i: number) => number[], names: string) =>
    writeFileSync(
      join(folder, file),
      `${names}\n${Array.from({ length: rows }, (_, i) => line(i, more(i)).join(',')).join('\n')}\n`
    )
  write('1000_train.csv', 80, () => [], '# label,f0,f1,f2')
  write('1000_test.csv', 20, (i) => [1000 + i], '# label,f0,f1,f2,mass')
  const { train, validation, test } = await benchmark('hepmass', folder)
  expect([train.rows, validation.rows, test.rows, train.shape]).toEqual([36, 4, 10, [2]])
})

test('MINIBOONE and BSDS300', async () => {
  writeNpy(join(folder, 'data.npy'), made(100, 4), [100, 4])
  const { train, validation, test } = await benchmark('miniboone', folder)
  expect([train.rows, validation.rows, test.rows]).toEqual([81, 9, 10])
  const known = [...train.data, ...validation.data].filter((_, i) => i % 4 === 1)
  expect(known.reduce((sum, value) => sum + value * value, 0) / 90).toBeCloseTo(1, 5)

  const h5wasm = await import('h5wasm/node')
  await h5wasm.ready
  mkdirSync(join(folder, 'BSDS300'))
  const file = new h5wasm.File(join(folder, 'BSDS300', 'BSDS300.hdf5'), 'w')
  for (const [name, rows] of [
    ['train', 6],
    ['validation', 3],
    ['test', 4]
  ] as const)
    file.create_dataset({ name, data: Float32Array.from(made(rows, 63)), shape: [rows, 63] })
  file.close()
  const patches = await benchmark('bsds300', folder)
  expect([patches.train.rows, patches.validation.rows, patches.test.rows, patches.test.shape]).toEqual([
    6,
    3,
    4,
    [63]
  ])
  expect(rowOf(patches.test, 0)[2]).toBeCloseTo(cell(0, 2), 5)
})

test.each(benchmarkNames)(
  'a missing file of %s: where it is published, and what to name it',
  async (name) => {
    const { message } = await failure(() => benchmark(name as BenchmarkName, folder), 'FILE_NOT_FOUND')
    expect(message).toContain(folder)
    expect(message).toMatch(/Zenodo record 1161203/)
    await failure(() => benchmark('mnist' as BenchmarkName, folder), 'INVALID_OPTION')
  }
)

const power = ['power/power_partial.npy']
testReal('real POWER rows: the counts and the Gaussian of the published program', power, async ([file]) => {
  copyFileSync(file!, join(folder, 'data.npy'))
  const { train, validation, test } = await benchmark('power', folder)
  expect([train.rows, validation.rows, test.rows]).toEqual([225_878, 25_097, 27_886])
  const gaussian = fitGaussian({ data: train.data, shape: [train.rows, 6] })
  const logProb = gaussian.logProb({ data: test.data, shape: [test.rows, 6] })
  expect(logProb.reduce((sum, value) => sum + value, 0) / test.rows).toBeCloseTo(-7.81, 1)
})

const miniboone = ['train_first1523', 'val', 'test'].map((part) => `miniboone/${part}.npy`)
testReal(
  'real MINIBOONE rows: the counts and the Gaussian of the official parts',
  miniboone,
  async (files) => {
    const [first, validation, test] = await Promise.all(files.map((file) => fromFile(file)))
    expect([validation!.rows, test!.rows, test!.shape]).toEqual([3284, 3648, [43]])
    const known = Float32Array.from([...first!.data, ...validation!.data])
    const gaussian = fitGaussian({ data: known, shape: [known.length / 43, 43] })
    const logProb = gaussian.logProb({ data: test!.data, shape: [3648, 43] })
    expect(logProb.reduce((sum, value) => sum + value, 0) / 3648).toBeCloseTo(-37.67, 1)
  }
)
