import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import { fromFile, streamFile } from 'ffjord'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-formats-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const at = (name: string) => join(folder, name)
const rows = 1000
const a = Float32Array.from({ length: rows }, (_, i) => Math.fround(Math.sin(i)))
const b = Float64Array.from({ length: rows }, (_, i) => Math.fround(0.1 * i))
const expected = Float32Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? b : a)[i >> 1]!)

async function writeParquet(path: string, codec: 'SNAPPY' | 'UNCOMPRESSED' = 'SNAPPY') {
  const { parquetWriteFile } = await import('hyparquet-writer')
  const columnData = [
    { name: 'a', data: a, type: 'FLOAT' as const },
    { name: 'b', data: b, type: 'DOUBLE' as const },
    { name: 'n', data: Int32Array.from(a, (_, i) => i % 7), type: 'INT32' as const },
    { name: 'colour', data: Array.from(a, (_, i) => ['red', 'green'][i % 2]), type: 'STRING' as const }
  ]
  parquetWriteFile({ filename: path, columnData, rowGroupSize: 300, codec })
}

test('Parquet: columns of numbers, over row groups', async () => {
  await writeParquet(at('t.parquet'))
  const data = await fromFile(at('t.parquet'), { columns: ['a', 'b'] })
  expect([data.rows, data.columns]).toEqual([rows, ['a', 'b']])
  expect([...data.data]).toEqual([...expected])
  const { message } = await failure(() => fromFile(at('t.parquet')), 'INVALID_FILE')
  expect(message).toContain("row 1, column 4 ('colour'): 'red' is no number")
})

test('Parquet: text as one element a level', async () => {
  const data = await fromFile(at('t.parquet'), { exclude: ['a', 'b'], categorical: 'one-hot' })
  expect(data.columns).toEqual(['n', 'colour=green', 'colour=red'])
  expect(data.schema.columns.map(({ type }) => type)).toEqual(['integer', 'category'])
  expect(Math.floor(data.data[1]!)).toBe(0)
  expect(Math.floor(data.data[2]!)).toBe(1)
})

test('Arrow: file and stream, with missing values', async () => {
  const table = tableFromArrays({ a, b })
  writeFileSync(at('t.arrow'), tableToIPC(table, 'file'))
  writeFileSync(at('t.arrows'), tableToIPC(table, 'stream'))
  for (const name of ['t.arrow', 't.arrows']) {
    const data = await fromFile(at(name))
    expect(data.columns).toEqual(['a', 'b'])
    expect([...data.data]).toEqual([...expected])
  }
  const holes = tableFromArrays({ a: [1, null, 3], n: Int32Array.of(4, 5, 6) })
  writeFileSync(at('holes.arrow'), tableToIPC(holes, 'file'))
  const { message } = await failure(() => fromFile(at('holes.arrow')), 'INVALID_FILE')
  expect(message).toContain("row 2, column 1 ('a'): the value is missing")
  expect([...(await fromFile(at('holes.arrow'), { invalid: 'drop' })).data]).toEqual([1, 4, 3, 6])
})

test('HDF5: a data set by its key', async () => {
  const h5wasm = await import('h5wasm/node')
  await h5wasm.ready
  const file = new h5wasm.File(at('t.hdf5'), 'w')
  file.create_dataset({ name: 'train', data: expected, shape: [rows, 2] })
  file.create_dataset({ name: 'test', data: expected.subarray(0, 20), shape: [10, 2], dtype: '<f' })
  file.close()
  const data = await fromFile(at('t.hdf5'), { key: 'train' })
  expect([...data.data]).toEqual([...expected])
  expect((await fromFile(at('t.hdf5'), { key: 'test' })).rows).toBe(10)
  const { message } = await failure(() => fromFile(at('t.hdf5')), 'INVALID_OPTION')
  expect(message).toContain('train')
})

test('a stream gives the rows of the file, and starts over where it repeats', async () => {
  await writeParquet(at('s.parquet'))
  const stream = await streamFile(at('s.parquet'), { columns: ['a', 'b'], repeat: true })
  const taken = await stream.take(2 * rows + 3)
  expect([...taken.data]).toEqual([...expected, ...expected, ...expected.subarray(0, 6)])
})

test('a stream that is left or fails part of the way ends', async () => {
  writeFileSync(at('late.csv'), `a\n${'1\n2\n'.repeat(2000)}x\n`)
  const stream = await streamFile(at('late.csv'), { repeat: true })
  const { message } = await failure(() => stream.take(5000), 'INVALID_FILE')
  expect(message).toContain("line 4002, column 1 ('a'): 'x' is no number")
  const plenty = await streamFile(at('s.parquet'), { columns: ['a', 'b'], repeat: true })
  for await (const { shape } of plenty.batches({ size: 100 })) {
    expect(shape).toEqual([100, 2])
    break
  }
})
