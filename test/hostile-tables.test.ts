import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { tableFromArrays, tableToIPC } from 'apache-arrow'
import type { FileOptions } from '../lib/table/file-options'
import { checkContent, pagesOf } from '../lib/table/parquet-pages'

// As it is published: only there do libraries read in a thread that can be ended.
const dist = resolve(__dirname, '..', 'dist')
const { fromFile, FfjordError } = require(dist) as typeof import('../lib')
const { ReadingThread } = require(join(dist, 'table', 'thread.js')) as typeof import('../lib/table/thread')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-hostile-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function write(name: string, content: string | Uint8Array): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

async function failed(work: () => Promise<unknown>): Promise<InstanceType<typeof FfjordError>> {
  const error: unknown = await work().then(
    () => undefined,
    (error: unknown) => error
  )
  expect(error).toMatchObject({ name: 'FfjordError' })
  return error as InstanceType<typeof FfjordError>
}

const columns = () => ({
  a: Float64Array.from({ length: 50 }, (_, i) => i / 3),
  b: Int32Array.from({ length: 50 }, (_, i) => i),
  c: Array.from({ length: 50 }, (_, i) => `level ${i % 4}`)
})

async function parquet(codec: 'UNCOMPRESSED' | 'SNAPPY'): Promise<Buffer> {
  const { parquetWriteBuffer } = await import('hyparquet-writer')
  const { a, b, c } = columns()
  const columnData = [
    { name: 'a', data: a },
    { name: 'b', data: b },
    { name: 'c', data: c, type: 'STRING' as const }
  ]
  return Buffer.from(parquetWriteBuffer({ columnData, codec, rowGroupSize: 20 }))
}

describe('a thread that reads', () => {
  test('is ended where it makes no progress', async () => {
    const thread = new ReadingThread(write('loop.js', 'for (;;);'))
    const began = performance.now()
    const error = await failed(() => thread.next('a.parquet', 0.3))
    expect([error.code, error.message]).toEqual([
      'INVALID_FILE',
      'a.parquet: reading made no progress for 0.3 s and was ended; write the file again, or raise timeout'
    ])
    expect(performance.now() - began).toBeGreaterThan(250)
  })

  test('goes on as long as it makes progress', async () => {
    const code = `
      const { parentPort } = require('worker_threads')
      let left = 8
      const timer = setInterval(() => {
        parentPort.postMessage(--left > 0 ? { progress: true } : { done: true })
        if (left === 0) clearInterval(timer)
      }, 200)`
    const thread = new ReadingThread(write('slow.js', code))
    // Longer than the whole of it takes, were it not for the reports on the way.
    expect(await thread.next('a.parquet', 1)).toEqual({ done: true })
    await thread.end()
  })

  test('takes a rejection that nobody awaits with it', async () => {
    const thread = new ReadingThread(write('reject.js', "Promise.reject(new Error('left alone'))"))
    const error = await failed(() => thread.next('a.parquet', 60))
    expect(error.code).toBe('INVALID_FILE')
    expect(error.message).toBe('a.parquet cannot be read (left alone); write it again')
  })

  test('takes its memory with it', () => {
    const fill = write('fill.js', 'const all = []; for (;;) all.push(Array(1000).fill({}))')
    const code = `
      const { ReadingThread } = require(${JSON.stringify(join(dist, 'table', 'thread.js'))})
      new ReadingThread(${JSON.stringify(fill)}).next('a.parquet', 60).catch((e) => console.log(e.code, e.message))`
    const { stdout } = spawnSync(process.execPath, ['--max-old-space-size=50', '-e', code], {
      encoding: 'utf8'
    })
    expect(stdout).toMatch(/^OUT_OF_MEMORY a\.parquet: reading takes more memory than this process may use/)
  })
})

test('what the thread gives is what is in the file', async () => {
  const { a, b, c } = columns()
  const options: FileOptions = { categorical: 'one-hot', context: ['c'], precision: 'float64' }
  const files = [
    write('a.parquet', await parquet('SNAPPY')),
    write('a.arrow', tableToIPC(tableFromArrays(columns()), 'file'))
  ]
  for (const path of files) {
    const { data, rows } = await fromFile(path, options)
    expect(rows).toBe(50)
    for (let row = 0; row < 50; row++)
      expect([...data.subarray(row * 6, row * 6 + 6)]).toEqual([
        a[row],
        b[row],
        ...[0, 1, 2, 3].map((level) => Number(c[row] === `level ${level}`))
      ])
  }
})

describe('pages of Parquet', () => {
  const claim = { values: 20, rows: 20, repeated: false, nested: false }
  const zigzag = (value: number): number[] => {
    const bytes: number[] = []
    let rest = 2 * value
    for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(128 + (rest % 128))
    return [...bytes, rest]
  }
  /** A page of version 1: its type, sizes, then its own header of values and encoding. */
  const page = (values: number, size: number, content: number[]) =>
    Uint8Array.from([
      ...[0x15, 0, 0x15, ...zigzag(content.length), 0x15, ...zigzag(size)],
      ...[0x2c, 0x15, ...zigzag(values), 0x15, 0, 0],
      ...[0, ...content]
    ])

  test('follow each other within their column', () => {
    const found = pagesOf(page(20, 4, [1, 2, 3, 4]), claim)
    expect(found).toMatchObject([{ kind: 'data', values: 20, encoding: 0, packed: true }])
    expect([...found[0]!.content]).toEqual([1, 2, 3, 4])
    const faults: [Uint8Array, RegExp][] = [
      [page(2 ** 31, 4, [1, 2, 3, 4]), /its pages claim 2147483648 values, and the column 20/],
      [page(21, 4, [1, 2, 3, 4]), /its pages claim 21 values/],
      [page(19, 4, [1, 2, 3, 4]), /its pages hold 19 values, and the column claims 20/],
      [page(20, 5, [1, 2, 3, 4]), /a page claims 5 bytes of 4/],
      // Without a size: the library would read its first byte for ever.
      [Uint8Array.from([0x15, 0, 0x2c, 0x15, 40, 0x15, 0, 0, 0]), /a page claims NaN bytes/],
      [page(20, 4, [1, 2, 3, 4]).subarray(0, 6), /a page header ends early/]
    ]
    for (const [bytes, expected] of faults) expect(() => pagesOf(bytes, claim)).toThrow(expected)
    expect(() => pagesOf(page(20, 1, [1]), { ...claim, values: 2 ** 31, rows: 2 ** 31 })).toThrow(
      /a column of 2147483648 rows claims 2147483648 values/
    )
  })

  test('hold runs that end with them', () => {
    const coding = { repetition: 0, definition: 0, boolean: false }
    const content = Uint8Array.from([])
    const dictionary = {
      kind: 'data',
      values: 20,
      encoding: 8,
      packed: true,
      levels: [0, 0],
      content
    } as const
    const run = (count: number) => Uint8Array.from([1, ...zigzag(count), 0])
    expect(() => checkContent(run(20), dictionary, coding)).not.toThrow()
    expect(() => checkContent(run(2 ** 30), dictionary, coding)).toThrow(/a run of 1073741824 values/)
    const differences = { ...dictionary, encoding: 5 }
    expect(() => checkContent(Uint8Array.from([0x80, 1, 4, 20, 0]), differences, coding)).not.toThrow()
    expect(() => checkContent(Uint8Array.from([0, 0, 20, 0]), differences, coding)).toThrow(/0 parts/)
  })
})

test('an Arrow message that is of another kind is not read for ever', async () => {
  const bytes = Buffer.from(tableToIPC(tableFromArrays({ a: columns().a }), 'file'))
  // Behind the format's name: a marker, a size, and the offset of a table, whose second field is its kind.
  const start = 16
  const table = start + bytes.readUInt32LE(start)
  const kind = table + bytes.readUInt16LE(table - bytes.readInt32LE(table) + 6)
  expect(bytes[kind]).toBe(3) // a record batch
  bytes[kind] = 0
  const error = await failed(() => fromFile(write('kind.arrow', bytes), { timeout: 20 }))
  expect(error.message).toMatch(/kind\.arrow cannot be read as Arrow \(the message at byte \d+ is of no kind/)
})

test('a small file that stands for more cells than there is memory for is refused', async () => {
  const { parquetWriteBuffer } = await import('hyparquet-writer')
  const columnData = [{ name: 'a', data: Array<string>(2_000_000).fill('x'), type: 'STRING' as const }]
  const bytes = new Uint8Array(parquetWriteBuffer({ columnData, rowGroupSize: 2_000_000 }))
  expect(bytes.length).toBeLessThan(100_000)
  const path = write('constant.parquet', bytes)
  const code = `require(${JSON.stringify(dist)}).fromFile(${JSON.stringify(path)}, { categorical: 'one-hot' })
    .then(({ rows }) => console.log(rows), ({ code, message }) => console.log(code, message))`
  const run = (heap: number) =>
    spawnSync(process.execPath, [`--max-old-space-size=${heap}`, '-e', code], { encoding: 'utf8' }).stdout
  expect(run(100)).toMatch(/^OUT_OF_MEMORY .*constant\.parquet has parts that take 123 MiB at once/)
  expect(run(1000)).toBe('2000000\n')
})

test('malformed files give an error with a code, or rows', async () => {
  const seed = Number(process.env.FFJORD_FUZZ_SEED ?? Date.now() % 1e6)
  console.log(`malformed tables of seed ${seed}; FFJORD_FUZZ_SEED repeats them`)
  let state = seed
  const random = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * n)
  }
  const files: [string, Buffer][] = [
    ['x.parquet', await parquet('UNCOMPRESSED')],
    ['x.parquet', await parquet('SNAPPY')],
    ['x.arrow', Buffer.from(tableToIPC(tableFromArrays(columns()), 'file'))],
    ['x.arrow', Buffer.from(tableToIPC(tableFromArrays(columns()), 'stream'))]
  ]
  let refused = 0
  for (let i = 0; i < 12; i++) {
    const [name, sound] = files[i % files.length]!
    const bytes = Buffer.from(sound)
    for (let k = 0; k <= random(4); k++) {
      const at = random(bytes.length - 4)
      if (random(2)) bytes[at] = random(256)
      else bytes.writeUInt32LE([0, 0x7fffffff, 0x80000000, 0xffffffff, 0x10000][random(5)]!, at)
    }
    const cut = random(5) ? bytes.length : random(bytes.length)
    const path = write(name, bytes.subarray(0, cut))
    try {
      const { data } = await fromFile(path, { categorical: 'one-hot', invalid: 'drop', timeout: 20 })
      expect(data.every(Number.isFinite)).toBe(true)
    } catch (error) {
      expect([i, error]).toEqual([i, expect.objectContaining({ name: 'FfjordError' })])
      expect((error as Error).message).not.toMatch(/no progress|report it/)
      refused++
    }
  }
  expect(refused).toBeGreaterThan(2)
})

test('a read that HDF5 fails at is an error, not what lay in memory', async () => {
  const h5wasm = await import('h5wasm/node')
  await h5wasm.ready
  const path = join(folder, 'a.h5')
  const file = new h5wasm.File(path, 'w')
  const data = Float32Array.from({ length: 3000 }, (_, i) => i % 7)
  file.create_dataset({ name: 'x', data, shape: [1000, 3], chunks: [1000, 3], compression: 6 })
  file.close()
  expect((await fromFile(path)).rows).toBe(1000)
  const bytes = readFileSync(path)
  const packed = bytes.indexOf(Buffer.from([0x78, 0x9c]))
  expect(packed).toBeGreaterThan(0)
  bytes.fill(0xff, packed + 2, packed + 12)
  const error = await failed(() => fromFile(write('b.h5', bytes)))
  expect(error.code).toBe('INVALID_FILE')
  expect(error.message).toMatch(
    /b\.h5\[x\] cannot be read as HDF5 \(.*(filter|inflate).*\); write its numbers/
  )
})
