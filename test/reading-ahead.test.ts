import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { RowsWanted } from '../lib/table/file-rows'

// As it is published: only there does a thread of its own read.
const { readingAhead } =
  require('../dist/table/reading-ahead.js') as typeof import('../lib/table/reading-ahead')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-ahead-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function wanted(name: string, text: string, repeat = false): RowsWanted {
  const path = join(folder, name)
  writeFileSync(path, text)
  const columns = ['a', 'b'].map((name) => ({ name, type: 'real' as const }))
  return { path, open: {}, columns, encoder: { drop: false }, seed: 0, repeat }
}

test('all rows come in their order, read ahead of their use', async () => {
  const lines = Array.from({ length: 60_000 }, (_, i) => `${i},${i / 2}`)
  let row = 0
  for await (const values of readingAhead(wanted('rows.csv', `a,b\n${lines.join('\n')}\n`))) {
    for (let i = 0; i < values.length; i += 2, row++)
      if (values[i] !== row || values[i + 1] !== row / 2) throw new Error(`row ${row} is ${values[i]}`)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  expect(row).toBe(60_000)
})

test('an error names the place, with its code', async () => {
  const rows = readingAhead(wanted('broken.csv', 'a,b\n1,2\n3,x\n'))
  await expect(rows.next()).rejects.toMatchObject({
    name: 'FfjordError',
    code: 'INVALID_FILE',
    message: expect.stringContaining("line 3, column 2 ('b'): 'x' is no number")
  })
})

test('a reader that stops early ends the thread', async () => {
  const rows = readingAhead(wanted('endless.csv', `a,b\n${'1,2\n'.repeat(1000)}`, true))
  expect((await rows.next()).value).toHaveLength(2000)
  await rows.return(undefined)
  expect((await rows.next()).done).toBe(true)
})

test('a file of which no row can be used is not read for ever', async () => {
  const rows = readingAhead({ ...wanted('unusable.csv', 'a,b\n1,x\n', true), encoder: { drop: true } })
  await expect(rows.next()).rejects.toMatchObject({
    code: 'EMPTY_BATCH',
    message: expect.stringContaining('has no rows that can be used; give')
  })
})

test('rows that are left out are counted', async () => {
  const left: number[] = []
  const text = `a,b\n1,2\n1,x\n${'3,4\n'.repeat(1000)}5\n,6\n7,8,9\n`
  const some = { ...wanted('some.csv', text), open: { skipRagged: true }, encoder: { drop: true } }
  let rows = 0
  for await (const values of readingAhead(some, (count) => left.push(count))) rows += values.length / 2
  expect([rows, left.reduce((sum, one) => sum + one, 0)]).toEqual([1001, 4])
  const { streamFile } = require('../dist/index.js') as typeof import('../lib')
  const stream = await streamFile(some.path, { invalid: 'drop' })
  expect([stream.dropped, (await stream.take(2000)).rows, stream.dropped]).toEqual([0, 1001, 4])
  stream.restore({ epoch: 0, row: 0 })
  expect([(await stream.take(2000)).rows, stream.dropped]).toEqual([1001, 4])
})
