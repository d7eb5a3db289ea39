import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Table, tableFromArrays, tableToIPC } from 'apache-arrow'
import { splitFile } from 'ffjord'
import { failure } from './failure'
import { writeNpy } from './npy'

/** Each rank of a group reads its own part of a file: which rows these are, and what of the file is looked at for them. */

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-shards-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const SIZE = 3
const HELD_OUT = { validation: 0, test: 0 }

/** The first column names the row; the second one is noise, in texts with digits that make the file long. */
const noise = (row: number) => Math.sin(row * row)
const written = (row: number) => noise(row).toFixed(100).padEnd(150, '0')

/** Rows of a pass, by the numbers in their first column. */
async function rowsOf(path: string, rank: number, count: number, options = {}) {
  const { train } = await splitFile(path, { ...HELD_OUT, ...options, shard: { rank, size: SIZE } })
  const { data } = await train.take(count)
  return Array.from({ length: count }, (_, i) => data[2 * i]!).sort((a, b) => a - b)
}

const bounds = (rows: number) => Array.from({ length: SIZE + 1 }, (_, i) => Math.floor((i * rows) / SIZE))

/** Two passes of each rank have its rows twice, and all ranks have those of the file once. */
async function checkParts(path: string, rows: number, options = {}) {
  const cuts = bounds(rows)
  for (let rank = 0; rank < SIZE; rank++) {
    const own = Array.from({ length: cuts[rank + 1]! - cuts[rank]! }, (_, i) => cuts[rank]! + i)
    const twice = own.flatMap((row) => [row, row])
    expect(await rowsOf(path, rank, twice.length, options)).toEqual(twice)
  }
}

async function writeParquet(path: string, rows: number, rowGroupSize: number) {
  const { parquetWriteFile } = await import('hyparquet-writer')
  const data = Float64Array.from({ length: rows }, (_, i) => i)
  const columnData = [
    { name: 'id', data, type: 'DOUBLE' as const },
    { name: 'noise', data: data.map(noise), type: 'DOUBLE' as const }
  ]
  parquetWriteFile({ filename: path, columnData, rowGroupSize, codec: 'UNCOMPRESSED' })
}

function text(rows: number, line = (row: number) => `${row},${written(row)}`) {
  return `id,noise\n${Array.from({ length: rows }, (_, row) => line(row)).join('\n')}\n`
}

function npy(path: string, rows: number) {
  const cells = Float64Array.from({ length: 2 * rows }, (_, i) => (i % 2 ? noise(i >> 1) : i >> 1))
  writeNpy(path, cells, [rows, 2])
}

/** Longer than a piece of a text: parts begin behind its first one. */
const MANY = 60_000

/** Text tables, and what there may be in front of and within them. */
const texts: Record<string, { rows: number; content: () => string | Buffer; options?: object }> = {
  'few rows': { rows: 100, content: () => text(100) },
  'pieces of numbers': { rows: MANY, content: () => text(MANY) },
  'cells in quotes, which hold line ends': {
    rows: MANY,
    content: () =>
      text(MANY, (row) => (row % 1000 === 7 ? `${row},"${written(row)}\n"` : `${row},${written(row)}`))
  },
  'lines of comment, a mark and a title': {
    rows: MANY,
    content: () =>
      `\ufeff# a title\n${text(MANY, (row) => (row % 1000 === 0 ? `# so far ${row}\n${row},1` : `${row},${written(row)}`))}`,
    options: { comment: '#' }
  },
  'UTF-16': { rows: MANY / 2, content: () => Buffer.from(`\ufeff${text(MANY / 2)}`, 'utf16le') },
  'rows without a cell': {
    rows: MANY,
    // Which are no rows of it.
    content: () => text(MANY, (row) => (row % 999 === 0 ? `${row}\n${row},1` : `${row},${written(row)}`)),
    options: { invalid: 'drop' }
  }
}

test.each(Object.keys(texts))('text: %s', async (name) => {
  const { rows, content, options } = texts[name]!
  const path = join(folder, `${name.replaceAll(' ', '-')}.csv`)
  writeFileSync(path, content())
  await checkParts(path, rows, options)
})

test('npy, Parquet, Arrow and HDF5', async () => {
  npy(join(folder, 'rows.npy'), 5000)
  await checkParts(join(folder, 'rows.npy'), 5000)

  for (const group of [300, 5000]) {
    await writeParquet(join(folder, `rows-${group}.parquet`), 2000, group)
    await checkParts(join(folder, `rows-${group}.parquet`), 2000)
  }

  const piece = (first: number) => {
    const id = Float64Array.from({ length: 250 }, (_, i) => first + i)
    return tableFromArrays({ id, noise: id.map(noise) })
  }
  const batches = Array.from({ length: 8 }, (_, i) => piece(250 * i).batches[0]!)
  writeFileSync(join(folder, 'rows.arrow'), tableToIPC(new Table(batches), 'file'))
  await checkParts(join(folder, 'rows.arrow'), 2000)

  const h5wasm = await import('h5wasm/node')
  await h5wasm.ready
  const file = new h5wasm.File(join(folder, 'rows.h5'), 'w')
  const data = Float64Array.from({ length: 1000 }, (_, i) => (i % 2 ? noise(i >> 1) : i >> 1))
  file.create_dataset({ name: 'rows', data, shape: [500, 2] })
  file.close()
  await checkParts(join(folder, 'rows.h5'), 500)
})

test('dequantisation and the parts to evaluate on are those of one process', async () => {
  const path = join(folder, 'parts.csv')
  writeFileSync(path, text(3000))
  const options = { seed: 5, dequantize: true, validation: 0.1, test: 0.1 } as const
  const whole = await splitFile(path, options)
  const cells = async ({ train }: typeof whole, rows: number) => {
    const { data } = await train.take(rows)
    return Array.from({ length: rows }, (_, i) => `${data[2 * i]},${data[2 * i + 1]}`)
  }
  const all = (await cells(whole, whole.trainRows)).sort()
  const dealt: string[] = []
  for (let rank = 0; rank < SIZE; rank++) {
    const own = await splitFile(path, { ...options, shard: { rank, size: SIZE } })
    expect(own.validation!.data).toEqual(whole.validation!.data)
    const [first, end] = bounds(3000).slice(rank) as [number, number]
    const count = all.filter(
      (cell) => Number.parseFloat(cell) >= first && Number.parseFloat(cell) < end
    ).length
    dealt.push(...(await cells(own, count)))
  }
  expect(dealt.sort()).toEqual(all)
})

/** Whether rows of a rank are read from a file of which all bytes before `from` and behind `to` were spoilt once its columns were known. */
async function isReadAlone(path: string, rank: number, rows: number, [from, to]: [number, number]) {
  const { train } = await splitFile(path, { ...HELD_OUT, shard: { rank, size: SIZE } })
  const bytes = readFileSync(path)
  const head = path.endsWith('.parquet') ? 4 : 256
  writeFileSync(path, bytes.fill(0x22, head, from).fill(0x22, to, bytes.length - tailOf(path, bytes)))
  const { data } = await train.take(rows)
  const first = bounds(rows * SIZE)[rank]!
  return Array.from({ length: rows }, (_, i) => data[2 * i]!).sort((a, b) => a - b)[0] === first
}

/** Bytes at the end of a file that say what is where. */
function tailOf(path: string, bytes: Buffer): number {
  return path.endsWith('.parquet') ? 8 + bytes.readUInt32LE(bytes.length - 8) : 0
}

test('what belongs to other ranks is not read', async () => {
  const path = (name: string) => join(folder, name)
  npy(path('own.npy'), 3000)
  expect(await isReadAlone(path('own.npy'), 1, 1000, [128 + 16 * 1000, 128 + 16 * 2000])).toBe(true)

  writeFileSync(path('own.csv'), text(3 * MANY))
  const bytes = readFileSync(path('own.csv'))
  // But for up to a piece in front of them, and the piece that ends them.
  const piece = 2 ** 22
  const own: [number, number] = [
    bytes.indexOf(`\n${MANY},`) - piece,
    bytes.indexOf(`\n${2 * MANY},`) + 2 * piece
  ]
  expect(own[0]).toBeGreaterThan(piece)
  expect(own[1]).toBeLessThan(bytes.length)
  expect(await isReadAlone(path('own.csv'), 1, MANY, own)).toBe(true)

  await writeParquet(path('own.parquet'), 3000, 500)
  const { parquetMetadata } = await import('hyparquet')
  const { row_groups: groups } = parquetMetadata(new Uint8Array(readFileSync(path('own.parquet'))).buffer)
  const start = (group: number) => Number(groups[group]!.columns[0]!.meta_data!.data_page_offset)
  expect(await isReadAlone(path('own.parquet'), 1, 1000, [start(2), start(4)])).toBe(true)
})

test('a file of fewer rows than ranks is refused', async () => {
  writeFileSync(join(folder, 'two.csv'), 'a,b\n1,2.5\n3,4.5\n')
  const { message } = await failure(
    () => splitFile(join(folder, 'two.csv'), { ...HELD_OUT, shard: { rank: 0, size: SIZE } }),
    'EMPTY_BATCH'
  )
  expect(message).toContain('two.csv has 2 rows for 3 ranks')
})
