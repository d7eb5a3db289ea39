import { join } from 'node:path'
import type { CellType } from '../lib/data/cell-type'
import { unpickled } from '../lib/file/pickle'
import type { OpenOptions } from '../lib/table/formats'
import { openTable } from '../lib/table/open'
import { failure } from './failure'

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
    expect([column, types.get(column)]).toMatchObject([column, type])
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

test.each(['others.parquet', 'others.arrow'])('%s: types that others are made of', async (name) => {
  const { cells, types } = await cellsOf(name)
  expect([types.get('uuid'), cells.get('uuid')]).toEqual([
    { kind: 'text', form: 'uuid' },
    ['00000000-0000-0000-0000-000000000005', null]
  ])
  expect([types.get('level'), cells.get('level')]).toEqual([number('int64'), [5n, null]])
  expect([types.get('fixed')!.kind, cells.get('fixed')]).toEqual(['other', [[1, 2], null]])
  expect([types.get('map')!.kind, cells.get('map')]).toEqual(['other', [{ a: 1n }, null]])
})

test('Arrow: what is not read is refused with what helps', async () => {
  const { message } = await failure(() => openTable(at('run-ends.arrow')), 'UNSUPPORTED_FILE')
  expect(message).toContain(
    'has columns of RunEndEncoded, which are not read; cast them to other types, or write it as Parquet'
  )
  const old = await failure(() => openTable(at('version-1.feather')), 'UNSUPPORTED_FILE')
  expect(old.message).toContain('is a Feather file of version 1; write it with version 2, or as Parquet')
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

describe('NumPy', () => {
  const rows = [0.5, -1.25, 3, 2, 1e300, -0, 7.5, 2.25, 1 / 3, 4, 5, 6]
  const column = (c: number) => rows.filter((_, i) => i % 3 === c)

  test.each(['big-endian.npy', 'fortran.npy', 'python-2.npy', 'arrays.npz'])(
    '%s: the same numbers',
    async (name) => {
      const { cells, types } = await cellsOf(name, { key: name === 'arrays.npz' ? 'fortran' : undefined })
      expect([...cells.values()]).toEqual([column(0), column(1), column(2)])
      expect(types.get('x1')).toEqual(number('float64'))
    }
  )

  test('whole numbers of another order of bytes, halves, and three axes in Fortran order', async () => {
    const whole = await cellsOf('big-endian-int.npy')
    expect([...whole.cells.values()]).toEqual([
      [1n, 2n ** 40n],
      [-2n, -(2n ** 40n)]
    ])
    const half = await cellsOf('half.npy')
    expect([...half.cells.values()]).toEqual([
      [0.25, 2 ** -24],
      [-65504, Infinity]
    ])
    const { source, cells } = await cellsOf('fortran-3.npy')
    expect(source.shape).toEqual([3, 4])
    expect([...cells.values()]).toEqual(Array.from({ length: 12 }, (_, i) => [i, 12 + i]))
  })

  test('dates, times and durations, which may be none', async () => {
    const times = await cellsOf('times.npy')
    expect(times.types.get('x1')).toEqual({ kind: 'timestamp', unit: 'microsecond' })
    expect([...times.cells.values()]).toEqual([
      [1709209800123456, -1],
      [null, 0]
    ])
    const days = await cellsOf('days.npy')
    expect([days.types.get('x1'), days.cells.get('x1')]).toEqual([{ kind: 'date' }, [19782, null, -1]])
    const hours = await cellsOf('hours.npy')
    expect([hours.types.get('x1'), hours.cells.get('x1')]).toEqual([
      { kind: 'duration', unit: 'second' },
      [129_600, null, -3600]
    ])
  })

  test.each([
    ['records.npy', undefined],
    ['arrays.npz', 'records']
  ])('%s: records by field', async (name, key) => {
    const { source, cells, types } = await cellsOf(name, { key })
    expect(source.named).toBe(true)
    expect(Object.fromEntries(cells)).toEqual({
      a: [0.5, -0.25],
      b: [-7, 2 ** 31 - 1],
      when: [1709164800000000001n, null],
      name: ['größe', ''],
      key: ['ab', ''],
      ok: [1, 0],
      'place.x': [1.5, -2.5],
      'place.y': [2n ** 64n - 1n, 0n],
      'pair[0]': [3, -5],
      'pair[1]': [-4, 6]
    })
    expect(types.get('ok')).toEqual({ kind: 'boolean' })
    expect(types.get('when')).toEqual({ kind: 'timestamp', unit: 'nanosecond' })
  })

  test('an array of nothing but text, in which numbers are written', async () => {
    const { cells, types } = await cellsOf('text.npy')
    expect(types.get('x1')).toEqual({ kind: 'written' })
    expect([...cells.values()]).toEqual([
      ['0.5', null],
      ['größe', 'red']
    ])
  })

  test.each([
    [
      'complex.npy',
      'it holds complex numbers; save their parts as columns: numpy.concatenate([a.real, a.imag], axis=1)'
    ],
    [
      'objects.npy',
      "it holds Python objects, which only Python reads; save them as numbers: a.astype('float64')"
    ],
    ['long-double.npy', "it holds numbers of more than 64 bits; save them as a.astype('float64')"]
  ])('%s is refused with what helps', async (name, words) => {
    const { message } = await failure(() => openTable(at(name)), 'UNSUPPORTED_FILE')
    expect(message).toBe(`${at(name)}: ${words}`)
  })
})

describe('HDF5', () => {
  test('data sets within groups, by their paths', async () => {
    for (const key of ['g/X', '/g/X']) {
      const { source, cells } = await cellsOf('groups.h5', { key })
      expect([source.rows, cells.get('x2')]).toEqual([4, [-1.25, 1e300, 2.25, 5]])
    }
    const { message } = await failure(() => openTable(at('groups.h5')), 'INVALID_OPTION')
    expect(message).toContain('holds 2 arrays; choose one with key (--key): g/X, g/deep/Y')
  })

  test('types of arrays', async () => {
    const read = async (key: string) => {
      const { cells, types } = await cellsOf('types.h5', { key })
      return [types.get('x1'), ...cells.values()]
    }
    expect(await read('big-endian')).toEqual([
      number('float64'),
      [0.5, 2, 7.5, 4],
      [-1.25, 1e300, 2.25, 5],
      [3, -0, 1 / 3, 6]
    ])
    expect(await read('half')).toEqual([number('float16'), [0.25, 2 ** -24], [-65504, Infinity]])
    expect(await read('int64')).toEqual([number('int64'), [2n ** 53n + 1n, -(2n ** 63n)]])
    expect(await read('bool')).toEqual([{ kind: 'boolean' }, [1, 0], [0, 0]])
    expect(await read('level')).toEqual([{ kind: 'text' }, ['green', 'red', 'NA']])
    expect(await read('text')).toEqual([{ kind: 'written' }, ['0.5', null], ['größe', 'red']])
    expect(await read('fixed-text')).toEqual([{ kind: 'written' }, ['ab', null, 'abc']])
    expect((await cellsOf('types.h5', { key: 'three' })).source.shape).toEqual([3, 4])
  })

  test('records by field', async () => {
    const { source, cells, types } = await cellsOf('types.h5', { key: 'records' })
    expect(source.named).toBe(true)
    const numbers = { a: [0.5, -0.25], b: [-7, 2 ** 31 - 1], 'pair[0]': [3, -5], 'pair[1]': [-4, 6] }
    expect(Object.fromEntries(cells)).toEqual({
      ...numbers,
      key: ['ab', ''],
      ok: [1, 0],
      'place.x': [1.5, -2.5],
      'place.y': [2n ** 64n - 1n, 0n]
    })
    expect(types.get('ok')).toEqual({ kind: 'boolean' })
    expect(Object.fromEntries((await cellsOf('types.h5', { key: 'big-endian-records' })).cells)).toEqual(
      numbers
    )
    expect(Object.fromEntries((await cellsOf('types.h5', { key: 'named-records' })).cells)).toEqual({
      name: ['größe', ''],
      x: [0.5, -1.5]
    })
  })

  test('filters that are there, and one that is not', async () => {
    for (const key of ['gzip', 'scaled']) {
      const { cells } = await cellsOf('filters.h5', { key })
      expect([...cells.values()].map((column) => column.map(Number))).toEqual(
        [0, 1, 2].map((c) => Array.from({ length: 400 }, (_, i) => (3 * i + c) % 17))
      )
    }
    const { message } = await failure(() => cellsOf('lzf.h5'), 'INVALID_FILE')
    expect(message).toBe(
      `${at('lzf.h5')}[X] cannot be read as HDF5 (required filter 'lzf' is not registered); write its numbers as float32, ` +
        'float64 or integers, uncompressed or with gzip, or write it again'
    )
  })

  test('what is no table is refused with what helps', async () => {
    const refused = async (key: string) =>
      (await failure(() => openTable(at('types.h5'), { key }), 'UNSUPPORTED_FILE')).message
    expect(await refused('complex')).toContain(
      '[complex]: it holds complex numbers; write their real and imaginary parts'
    )
    expect(await refused('references')).toContain(
      '[references]: it holds references, bytes or lists; choose another'
    )
  })

  test('frames of pandas, of either format', async () => {
    const frame = {
      a: [0.5, -1.25, 3],
      n: [1n, 2n, 2n ** 40n],
      when: [1709164800000001, -86400000000, null],
      b: [1.5, Number.NaN, 3.5],
      ok: [1, 0, 1]
    }
    const name = ['x', null, 'größe']
    const fixed = await cellsOf('pandas.h5', { key: 'fixed' })
    expect(Object.fromEntries(fixed.cells)).toEqual(frame)
    expect([...fixed.cells.keys()]).toEqual(Object.keys(frame))
    expect(fixed.types.get('when')).toEqual({ kind: 'timestamp', unit: 'microsecond' })
    expect(fixed.types.get('ok')).toEqual({ kind: 'boolean' })
    const table = await cellsOf('pandas.h5', { key: 'in/table' })
    expect(Object.fromEntries(table.cells)).toEqual({ ...frame, name })
    // An index that has a name is a column, and so is every category.
    const columns = await cellsOf('pandas.h5', { key: 'columns' })
    expect(Object.fromEntries(columns.cells)).toEqual({ ...frame, name, level: ['u', null, 'v'] })
    expect([...columns.cells.keys()][0]).toBe('when')
    const { message } = await failure(() => openTable(at('pandas-objects.h5')), 'UNSUPPORTED_FILE')
    expect(message).toContain(
      "[df]: columns of Python objects (name) are pickled in it, which only Python reads; write it with to_hdf(…, format='table'), or to_parquet"
    )
  })
})

test('what Python pickled is read as far as it is plain, and nothing is called', () => {
  expect(unpickled("(lp0\n(I1\n(lp1\nVa\\u00e4\np2\naS'b'\np3\natp4\na.")).toEqual([[1, ['aä', 'b']]])
  expect(unpickled('(dp0\nVx\n(lp1\nNasVy\ng1\ns.')).toEqual(
    new Map([
      ['x', [null]],
      ['y', [null]]
    ])
  )
  for (const text of ['cos\nsystem\n(S"ls"\ntR.', '(lp0', 'a.', 's.', 'l.', ''])
    expect(() => unpickled(text)).toThrow(/^it /)
})
