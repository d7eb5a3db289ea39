import { join } from 'node:path'
import type { CellType } from '../lib/data/cell-type'
import type { OpenOptions } from '../lib/table/formats'
import { openTable } from '../lib/table/open'

// Files that pyarrow, numpy and h5py wrote (test/tables/make.py): cells mean what their types say, to the last digit.

const at = (name: string) => join(__dirname, 'tables', name)

/** Cells of all columns by name, and their types. */
async function cellsOf(name: string, options: OpenOptions = {}) {
  const source = await openTable(at(name), options)
  const cells = new Map(source.names.map((column): [string, unknown[]] => [column, []]))
  const types = new Map(source.names.map((column, c) => [column, source.types[c]!]))
  for await (const batch of source.batches())
    source.names.forEach((column, c) => {
      for (let row = 0; row < batch.count; row++)
        cells
          .get(column)!
          .push('columns' in batch ? batch.columns[c]![row] : batch.matrix[row * source.names.length + c])
    })
  return { source, cells, types }
}

type Expected = [type: CellType, first: unknown, last: unknown]

const number = (storage: string): CellType => ({ kind: 'number', storage }) as CellType
const common: Record<string, Expected> = {
  int8: [number('int8'), -128, 127],
  int16: [number('int16'), -32768, 32767],
  int32: [number('int32'), -(2 ** 31), 2 ** 31 - 1],
  int64: [number('int64'), -(2n ** 63n), 2n ** 53n + 1n],
  uint8: [number('uint8'), 0, 255],
  uint16: [number('uint16'), 0, 65535],
  uint32: [number('uint32'), 0, 2 ** 32 - 1],
  uint64: [number('uint64'), 0n, 2n ** 64n - 1n],
  float16: [number('float16'), 0.25, -65504],
  float32: [number('float32'), Math.fround(0.1), Math.fround(3.4e38)],
  float64: [number('float64'), 0.1, -Number.MAX_VALUE],
  bool: [{ kind: 'boolean' }, true, false],
  decimal9: [{ kind: 'decimal', precision: 9, scale: 2 }, '-12.60', '1234567.89'],
  decimal18: [{ kind: 'decimal', precision: 18, scale: 4 }, '0.0001', '-12345678901234.5678'],
  decimal38: [
    { kind: 'decimal', precision: 38, scale: 10 },
    '-0.0000000001',
    '1234567890123456789012345678.0123456789'
  ],
  date32: [{ kind: 'date' }, -1, 19782],
  time_ms: [{ kind: 'time', unit: 'millisecond' }, 1, 86399999],
  time_us: [{ kind: 'time', unit: 'microsecond' }, 1, 86399999999],
  time_ns: [{ kind: 'time', unit: 'nanosecond' }, 1, 86399999999999],
  stamp_ms: [{ kind: 'timestamp', unit: 'millisecond' }, -1, 1704110400123],
  stamp_us: [{ kind: 'timestamp', unit: 'microsecond' }, -1, 1704110400123456],
  stamp_ns: [{ kind: 'timestamp', unit: 'nanosecond' }, -1, 1704110400123456789n],
  stamp_utc: [{ kind: 'timestamp', unit: 'microsecond', zone: 'UTC' }, 0, 1704110400123456],
  text: [{ kind: 'text' }, 'größe', 'NA'],
  level: [{ kind: 'text' }, 'x', 'x']
}
const nested: Record<string, Expected> = {
  bytes: [{ kind: 'other', name: 'bytes' }, Uint8Array.of(1, 2), new Uint8Array(0)],
  list: [{ kind: 'other', name: 'a list' }, [1, 2], []],
  struct: [
    { kind: 'other', name: 'a structure' },
    { x: 1n, y: 'u' },
    { x: 2n, y: null }
  ]
}
const arrow: Record<string, Expected> = {
  date64: [{ kind: 'date' }, -1, 19782],
  time_s: [{ kind: 'time', unit: 'second' }, 1, 86399],
  stamp_s: [{ kind: 'timestamp', unit: 'second' }, -1, 1704110400],
  stamp_berlin: [{ kind: 'timestamp', unit: 'millisecond', zone: 'Europe/Berlin' }, 0, 1704110400123],
  duration_us: [{ kind: 'duration', unit: 'microsecond' }, -5, 86400000000],
  large_text: [{ kind: 'text' }, 'größe', 'NA'],
  text_view: [{ kind: 'text' }, 'größe', 'a text longer than twelve bytes'],
  decimal256: [{ kind: 'decimal', precision: 70, scale: 3 }, '-0.500', `1${'0'.repeat(60)}.000`],
  decimal32: [{ kind: 'decimal', precision: 9, scale: 2 }, '-12.60', '1234567.89'],
  decimal64: [{ kind: 'decimal', precision: 18, scale: 2 }, '-12.60', '1234567.89'],
  nothing: [{ kind: 'other', name: 'nothing' }, null, null]
}

test.each([
  ['types.parquet', { ...common, ...nested }],
  ['types-plain.parquet', { ...common, ...nested }],
  ['types.arrow', { ...common, ...arrow, ...nested }],
  ['types-lz4.arrow', { ...common, ...arrow, ...nested }],
  ['types-zstd.arrows', { ...common, ...arrow, ...nested }]
])('%s: every type, with a null cell', async (name, expected) => {
  const { cells, types } = await cellsOf(name)
  for (const [column, [type, first, last]] of Object.entries(expected)) {
    expect([column, types.get(column)]).toEqual([column, type])
    expect([column, ...cells.get(column)!]).toEqual([column, first, null, last])
  }
  expect(cells.size).toBe(Object.keys(expected).length)
})

test('Parquet: the same types where no cell may be null, and an empty row group between two others', async () => {
  const { cells, types } = await cellsOf('types-required.parquet')
  for (const [column, [type, first, last]] of Object.entries(common)) {
    expect(types.get(column)).toEqual(type)
    const exact = (cell: unknown) =>
      typeof cell === 'bigint' && cell === BigInt(Number(cell)) ? Number(cell) : cell
    const all = cells
      .get(column)!
      .map((cell) => (types.get(column)!.kind === 'timestamp' ? exact(cell) : cell))
    expect([column, ...all]).toEqual([column, first, last, first, last])
  }
})

test('Parquet: times in 96 bits, and decimals in bytes', async () => {
  const { cells, types } = await cellsOf('types-old.parquet')
  expect(types.get('when')).toEqual({ kind: 'timestamp', unit: 'nanosecond' })
  expect(cells.get('when')).toEqual([-1, null, 1704110400123456789n])
  expect(cells.get('amount')).toEqual(['-12.60', null, '1234567.89'])
})

test('Arrow: nulls in one batch alone, and a batch without rows', async () => {
  const { cells } = await cellsOf('gaps.arrow')
  expect(cells.get('a')).toEqual([1.5, 2.5, null, 3.5])
  expect(cells.get('n')).toEqual([2n ** 53n + 1n, 2n, 3n, null])
})

test.each(['dictionaries.arrows', 'deltas.arrows'])('Arrow: %s change within a stream', async (name) => {
  const { cells } = await cellsOf(name)
  expect(cells.get('c')).toEqual(['x', 'y', 'x', 'z', null, 'x'])
})

test('Arrow: blocks of LZ4 that repeat what earlier ones hold', async () => {
  const { cells } = await cellsOf('long-lz4.arrow')
  expect(cells.get('i')).toEqual(Array.from({ length: 30_000 }, (_, i) => 0.25 * (i % 1000)))
})
