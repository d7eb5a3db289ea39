import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeColumns, Flow, fromFile, splitFile, streamFile } from 'ffjord'
import { ffjord } from './command-line'
import { failure } from './failure'

/** Columns that float32 does not hold: kept whole from the file to the samples. */

const folder = mkdtempSync(join(tmpdir(), 'ffjord-float64-'))
const write = (name: string, lines: readonly string[]) => {
  const path = join(folder, name)
  writeFileSync(path, `${lines.join('\n')}\n`)
  return path
}
const wave = (i: number) => Math.sin(i * i) + Math.sin(i * 7.7)

test.each([
  ['epoch milliseconds', (i: number) => 1_700_000_000_000 + Math.round(4e7 * wave(i))],
  ['epoch seconds', (i: number) => 1_700_000_000 + Math.round(4e4 * wave(i))],
  ['ten-digit numbers', (i: number) => 3_000_000_000 + Math.round(4e8 * wave(i))],
  ['cents', (i: number) => Number((2_345_678.91 + 1e5 * wave(i)).toFixed(2))],
  ['a small spread far away', (i: number) => 1e5 + 2 * wave(i) + 1e-7 * i]
])('%s make their rows float64, exact', async (name, value) => {
  const values = Array.from({ length: 200 }, (_, i) => value(i))
  const path = write(`${name}.csv`, ['a,b', ...values.map((one, i) => `${one},${Math.cos(i).toFixed(3)}`)])
  const rows = await fromFile(path)
  expect(rows.data.constructor.name).toBe('Float64Array')
  expect([...rows.data].filter((_, i) => i % 2 === 0)).toEqual(values)
  const { seen, train } = await splitFile(path, { validation: 0, test: 0 })
  expect(seen.data.constructor.name).toBe('Float64Array')
  for await (const batch of train.batches({ size: 50 })) {
    for (const one of batch.data.filter((_, i) => i % 2 === 0)) expect(values).toContain(one)
    break
  }
  const streamed = await (await streamFile(path)).take(200)
  expect([...streamed.data].filter((_, i) => i % 2 === 0)).toEqual(values)
})

test('tables that float32 holds stay float32, and a choice is kept', async () => {
  const path = write('small.csv', [
    'a,b',
    ...Array.from({ length: 50 }, (_, i) => `${i},${(i / 100).toFixed(2)}`)
  ])
  expect((await fromFile(path)).data.constructor.name).toBe('Float32Array')
  expect((await fromFile(path, { precision: 'float64' })).data.constructor.name).toBe('Float64Array')
  const large = write('large.csv', ['a', ...Array.from({ length: 50 }, (_, i) => `${1.7e9 + i}`)])
  expect((await fromFile(large, { precision: 'float32' })).data.constructor.name).toBe('Float32Array')
  // Noise of a step fills the gaps between numbers that are exact.
  const steps = write('steps.csv', ['a', ...Array.from({ length: 50 }, (_, i) => `${1e5 * i + i}`)])
  expect((await fromFile(steps)).data.constructor.name).toBe('Float32Array')
  const noisy = await fromFile(steps, { dequantize: true })
  expect(noisy.data.constructor.name).toBe('Float64Array')
  expect(new Set(noisy.data.map((value) => value % 1)).size).toBeGreaterThan(45)
})

test.each(['12345678901234567', '-9007199254740993'])(
  'a whole number beyond 2^53, %s, is refused by name',
  async (text) => {
    const path = write('id.csv', ['id,x', `12,0.5`, `${text},0.25`])
    const error = await failure(() => fromFile(path), 'INVALID_FILE')
    expect(error.message).toMatch(/line 3.*'id'.*beyond 2⁵³.*exclude: \['id'\]/)
    const { data, dropped } = await fromFile(path, { invalid: 'drop' })
    expect([data.length, dropped]).toEqual([2, 1])
  }
)

describe('decoding', () => {
  const decode = (column: object, values: readonly number[]) =>
    Array.from(decodeColumns([{ name: 'x', type: 'real', ...column }], Float64Array.from(values))[0]!.values)

  test.each([0.4, 1.2, 0.1, 0.3, 2.5, 0.05, 1e-7, 7, 1e-3, 12.75])(
    'multiples of %p come back as they are written',
    (step) => {
      const digits = step < 1e-6 ? 7 : (String(step).split('.')[1] ?? '').length
      const multiples = [0, 1, 3, 7, -2, 10, 123, -4567, 1e6]
      expect(
        decode(
          { step },
          multiples.map((k) => (k + 0.5) * step)
        )
      ).toEqual(multiples.map((k) => Number((k * step).toFixed(digits)) + 0))
    }
  )

  test('whole numbers beyond 2^31 do not wrap', () => {
    const whole = [3e9, -5e9, 1_700_000_000_123, 2 ** 53]
    expect(decode({ type: 'integer' }, whole)).toEqual(whole)
    expect(
      decode(
        { type: 'integer', step: 1 },
        whole.slice(0, 3).map((value) => value + 0.5)
      )
    ).toEqual(whole.slice(0, 3))
  })

  test('real columns keep the precision of the samples', () => {
    const columns = [{ name: 'x', type: 'real' as const }]
    expect(decodeColumns(columns, Float64Array.of(1.7e9 + 0.25))[0]!.values).toEqual(
      Float64Array.of(1.7e9 + 0.25)
    )
    expect(decodeColumns(columns, Float32Array.of(0.5))[0]!.values).toEqual(Float32Array.of(0.5))
  })
})

test('a table of epoch milliseconds trains, and its samples and scores are in range', async () => {
  const [first, last] = [1_699_900_000_000, 1_700_100_000_000]
  const times = Array.from({ length: 300 }, (_, i) => Math.round((first + last) / 2 + 4e7 * wave(i)))
  const path = write('events.csv', [
    'time,x',
    ...times.map((time, i) => `${time},${Math.cos(i * i * 3).toFixed(3)}`)
  ])
  const out = join(folder, 'run')
  await ffjord('train', '--data', path, '--out', out, '--iterations', '40', '--no-report', '--quiet')
  const model = join(out, 'model.safetensors')
  for (const file of ['samples.csv', 'samples.parquet']) {
    const samples = join(folder, file)
    await ffjord('sample', '--model', model, '-n', '200', '--out', samples)
    const { data, schema } = await fromFile(samples)
    expect(schema.columns[0]!.type).toBe('integer')
    const found = data.filter((_, i) => i % 2 === 0)
    expect(found.filter((time) => time < first - 1e8 || time > last + 1e8)).toHaveLength(0)
    expect(new Set(found).size).toBeGreaterThan(190)
  }
  const scored = join(folder, 'scored.csv')
  await ffjord('logprob', '--model', model, '--data', path, '--out', scored)
  const [, line] = readFileSync(scored, 'utf8').split('\n')
  expect(Number(line!.split(',')[0])).toBe(times[0])
  using flow = await Flow.load(model)
  const rows = await fromFile(path, { schema: flow.table! })
  const spread = (await flow.logProb(rows.data)).map((value) => value + Math.log(4e7))
  expect(spread.filter((value) => Math.abs(value) > 15)).toHaveLength(0)
})

test('the command line scores rows outside of the bounds −Infinity, and tells how many there are', async () => {
  const inside = Array.from({ length: 200 }, (_, i) => `${(0.5 + 0.2 * wave(i)).toFixed(4)}`)
  const path = write('inside.csv', ['p', ...inside])
  const out = join(folder, 'bounded')
  await ffjord(
    'train',
    '--data',
    path,
    '--out',
    out,
    '--bounds',
    'p=0:1',
    '--iterations',
    '20',
    '--no-report',
    '--quiet'
  )
  const model = join(out, 'model.safetensors')
  const test = write('outside.csv', ['p', '0.5', '1.5', '0.25', '-0.1'])
  const scored = join(folder, 'outside-scored.csv')
  await ffjord('logprob', '--model', model, '--data', test, '--out', scored)
  const column = readFileSync(scored, 'utf8')
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => line.split(',')[1])
  expect([column[1], column[3]]).toEqual(['-Infinity', '-Infinity'])
  expect([column[0], column[2]].every((value) => Number.isFinite(Number(value)))).toBe(true)
  const stdout = await ffjord('eval', '--model', model, '--data', test, '--certify', '0', '--json')
  const found = JSON.parse(stdout) as Record<string, number | null>
  expect([found.nll, found.n, found.outside]).toEqual([null, 4, 2])
  expect(Number.isFinite(found.nllInside)).toBe(true)
})
