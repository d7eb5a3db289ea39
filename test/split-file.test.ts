import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ArrayDataset, Flow, fromFile, splitFile } from 'ffjord'
import { PartSample } from '../lib/table/part-sample'
import { failure } from './failure'

const ROWS = 3000
let folder: string
let path: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-split-'))
  path = join(folder, 'table.csv')
  // The first column names the row.
  const lines = Array.from(
    { length: ROWS },
    (_, i) => `${i + 0.5},${Math.round(4 * Math.sin(i))},${Math.cos(i * i)}`
  )
  writeFileSync(path, `id,level,size\n${lines.join('\n')}\n`)
})
afterAll(() => rmSync(folder, { recursive: true }))

const idsOf = ({ data }: { data: ArrayLike<number> }, width = 3) =>
  Array.from({ length: data.length / width }, (_, row) => Math.floor(data[row * width]!))

test('every row belongs to one part, and training meets each of its rows once a pass', async () => {
  const { train, trainRows, seen, validation, test, schema } = await splitFile(path, { seed: 3 })
  const [validated, tested, kept] = [validation!, test!, seen].map((part) => idsOf(part)) as [
    number[],
    number[],
    number[]
  ]
  expect(trainRows + validated.length + tested.length).toBe(ROWS)
  for (const part of [validated, tested]) expect(Math.abs(part.length - ROWS / 10)).toBeLessThan(60)
  expect(schema.columns.map(({ type }) => type)).toEqual(['real', 'integer', 'real'])

  const first = idsOf(await train.take(trainRows))
  expect([...first].sort((a, b) => a - b)).toEqual(kept)
  expect(new Set([...first, ...validated, ...tested]).size).toBe(ROWS)
  const second = idsOf(await train.take(trainRows))
  expect(second).not.toEqual(first) // another order, of the same rows
  expect([...second].sort((a, b) => a - b)).toEqual(kept)

  const again = await splitFile(path, { seed: 3 })
  again.train.restore({ epoch: 0, row: 100 })
  expect(idsOf(await again.train.take(50))).toEqual(first.slice(100, 150))
  const other = await splitFile(path, { seed: 4 })
  expect(idsOf(other.test!)).not.toEqual(tested)
})

test('ranks share the rows to train on', async () => {
  const { train, trainRows } = await splitFile(path, { seed: 3 })
  const all = idsOf(await train.take(trainRows)).sort((a, b) => a - b)
  const size = 3
  for (let rank = 0; rank < size; rank++) {
    const own = await splitFile(path, { seed: 3, shard: { rank, size } })
    expect(own.trainRows).toBe(trainRows)
    const rows = all.filter((id) => Math.floor((id * size) / ROWS) === rank)
    const [first, second] = [await own.train.take(rows.length), await own.train.take(rows.length)].map(
      (part) => idsOf(part)
    ) as [number[], number[]]
    expect(second).not.toEqual(first) // another order, of the same rows
    for (const pass of [first, second]) expect(pass.sort((a, b) => a - b)).toEqual(rows)
    expect(idsOf(own.seen)).toHaveLength(trainRows)
  }
  await failure(() => splitFile(path, { shard: { rank: 3, size } }), 'INVALID_OPTION')
})

test('a part that is too large is held as a fair sample', async () => {
  const { trainRows, seen } = await splitFile(path, { keep: 400 })
  expect(seen.rows).toBe(400)
  expect(trainRows).toBeGreaterThan(2200)
  const ids = idsOf(seen)
  expect(ids).toEqual([...ids].sort((a, b) => a - b))
  const mean = ids.reduce((sum, id) => sum + id / 400, 0)
  expect(Math.abs(mean - ROWS / 2)).toBeLessThan((4 * ROWS) / Math.sqrt(12 * 400))
})

test('the smallest ranks stay, whatever their order', () => {
  const sample = new PartSample(1000, 1)
  for (let i = 0; i < 10_000; i++) sample.offer(Float64Array.of(i), 0, i, (i * 7919) % 10_000)
  const { values, numbers } = sample.taken()
  expect(sample.rows).toBe(10_000)
  expect([...values]).toEqual([...numbers])
  expect([...numbers].map((i) => (i * 7919) % 10_000).sort((a, b) => a - b)).toEqual(
    Array.from({ length: 1000 }, (_, rank) => rank)
  )
})

test('whole numbers are dequantised, in training and in the samples alike', async () => {
  const { train, seen } = await splitFile(path, { dequantize: true })
  const level = ({ data }: { data: ArrayLike<number> }) => data[1]!
  for (const rows of [await train.take(50), seen]) expect(Number.isInteger(level(rows))).toBe(false)
})

test('columns can be the context of the others, for training and evaluation', async () => {
  const { train, seen, validation } = await splitFile(path, { context: ['id'], dequantize: true })
  for (const part of [train, seen, validation!]) {
    expect(part.columns).toEqual(['level', 'size'])
    expect(part.context).toMatchObject({ size: 1, columns: ['id'] })
  }
  const whole = (await fromFile(path)).data
  const { data, contextData } = (await train.take(100)) as ArrayDataset
  contextData!.forEach((id, row) => {
    expect(data[2 * row + 1]).toBeCloseTo(whole[3 * Math.floor(id) + 2]!, 6)
  })
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [8] } }],
    context: { size: 1, columns: ['id'], mean: [ROWS / 2], scale: [ROWS / 3] }
  })
  const { iterations } = await flow.fit(train, {
    iterations: 3,
    batch: 64,
    validation: { data: validation!, every: 3 }
  })
  expect(iterations).toBe(3)
})

test('errors name the place in the file', async () => {
  const broken = join(folder, 'broken.csv')
  writeFileSync(broken, 'a,b\n1,2\n3,x\n')
  const { message } = await failure(() => splitFile(broken), 'INVALID_FILE')
  expect(message).toContain("line 3, column 2 ('b')")
  await failure(() => splitFile(path, { validation: 0.5, test: 0.5 }), 'INVALID_OPTION')
  await failure(() => splitFile(path, { keep: 0 }), 'INVALID_OPTION')
  await failure(() => splitFile(join(folder, 'none.csv')), 'FILE_NOT_FOUND')
  const few = join(folder, 'few.csv')
  writeFileSync(few, 'a,b\n1,2\n')
  await failure(() => splitFile(few), 'EMPTY_BATCH')
})
