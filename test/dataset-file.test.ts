import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromFile } from 'ffjord'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-data-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

function npy(descr: string, shape: string, body: ArrayBufferView, order = 'False'): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': (${shape}), }`.padEnd(118)
  const start = Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1')
  return Buffer.concat([start, Buffer.from(header, 'latin1'), new Uint8Array(body.buffer)])
}

test('csv with a line of names, quotes, blank lines and Windows line ends', async () => {
  const data = await fromFile(write('a.csv', '\uFEFF"x", y\r\n1,2\r\n\r\n-3.5e1, 4\r\n'))
  expect([data.rows, data.columns]).toEqual([2, ['x', 'y']])
  expect([...data.data]).toEqual([1, 2, -35, 4])
})

test('csv without names', async () => {
  const data = await fromFile(write('b.csv', '1,2,3\n4,5,6\n'))
  expect([data.rows, data.shape, data.columns]).toEqual([2, [3], undefined])
})

test('npy of several kinds', async () => {
  const single = await fromFile(write('a.npy', npy('<f4', '2, 2', Float32Array.of(1, 2, 3, 4))))
  expect([single.rows, [...single.data]]).toEqual([2, [1, 2, 3, 4]])
  const doubles = write('b.npy', npy('<f8', '3,', Float64Array.of(1, 0.1, 3)))
  const double = await fromFile(doubles, { precision: 'float64' })
  expect([double.shape, double.data[1]]).toEqual([[1], 0.1])
  const bytes = await fromFile(write('c.npy', npy('|u1', '2, 1, 2', Uint8Array.of(0, 255, 7, 8))))
  expect([bytes.shape, [...bytes.data]]).toEqual([
    [1, 2],
    [0, 255, 7, 8]
  ])
})

test('npy in Fortran order', async () => {
  const columns = npy('<f4', '3, 2', Float32Array.of(1, 2, 3, 4, 5, 6), 'True')
  expect([...(await fromFile(write('f.npy', columns))).data]).toEqual([1, 4, 2, 5, 3, 6])
})

test.each([
  ['missing.csv', undefined, 'FILE_NOT_FOUND'],
  ['data.parquet', 'PAR1', 'INVALID_FILE'],
  ['data.xlsx', 'PK', 'UNSUPPORTED_FILE'],
  ['no.npz', 'PK', 'INVALID_FILE'],
  ['no.hdf5', 'no HDF5', 'INVALID_FILE'],
  ['no.arrow', 'no Arrow', 'INVALID_FILE'],
  ['twice.csv', 'x,x\n1,2\n', 'INVALID_FILE'],
  ['empty.csv', '\n', 'EMPTY_BATCH'],
  ['names.csv', 'x,y\n', 'EMPTY_BATCH'],
  ['ragged.csv', '1,2\n3\n', 'INVALID_FILE'],
  ['text.csv', '1,2\n3,four\n', 'INVALID_FILE'],
  ['hole.csv', '1,2\n3,\n', 'INVALID_FILE'],
  ['infinite.csv', '1,2\n3,Infinity\n', 'INVALID_FILE'],
  ['no.npy', 'no numpy at all', 'INVALID_FILE'],
  ['object.npy', npy('|O', '1,', new Uint8Array(8)), 'UNSUPPORTED_FILE'],
  ['short.npy', npy('<f4', '2, 2', new Float32Array(3)), 'INVALID_FILE'],
  ['huge.npy', npy('<f4', '99999999999999999999, 2', new Float32Array(3)), 'INVALID_FILE'],
  ['nan.npy', npy('<f4', '1, 2', Float32Array.of(1, Number.NaN)), 'INVALID_FILE']
] as const)('%s is refused', async (name, content, code) => {
  const path = content === undefined ? join(folder, name) : write(name, content)
  const { message } = await failure(() => fromFile(path), code)
  expect(message).toContain(name)
  if (name === 'text.csv') expect(message).toContain('line 2, column 2')
})
