import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeColumns, type FileOptions, Flow, fromFile, fromRows, splitFile } from 'ffjord'
import { ffjord } from './command-line'
import { failure } from './failure'

/** Columns may be called like what every object inherits. */

let folder: string
let path: string
const inherited = ['constructor', '__proto__', 'toString', 'hasOwnProperty', 'valueOf']
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-names-'))
  path = join(folder, 'table.csv')
  const lines = Array.from({ length: 80 }, (_, i) =>
    inherited.map((_, c) => Math.sin(i * (c + 2)).toFixed(6)).join()
  )
  writeFileSync(path, `${inherited.join()},other\n${lines.map((line, i) => `${line},${i % 7}`).join('\n')}\n`)
})
afterAll(() => rmSync(folder, { recursive: true }))

/** { [name]: value } as an own property, which a literal does not give to __proto__. */
function only<T>(name: string, value: T): Record<string, T> {
  return Object.fromEntries([[name, value]])
}

test.each(inherited)('%s is a column like any other', async (name) => {
  const column = async (options: FileOptions) =>
    (await fromFile(path, options)).schema.columns.find((one) => one.name === name)
  for (const options of [{}, { bounds: { other: [-1, 9] } }, { dequantize: { other: 1 } }] as const)
    expect(await column(options)).toEqual({ name, type: 'real' })
  expect(await column({ bounds: only(name, [-2, 2]) })).toEqual({ name, type: 'real', lower: -2, upper: 2 })
  expect(await column({ dequantize: only(name, 1e-6) })).toEqual({ name, type: 'real', step: 1e-6 })
  expect(await column({ exclude: [name] })).toBeUndefined()
  expect((await fromFile(path, { columns: ['other', name] })).columns).toEqual(['other', name])
  const { schema, seen } = await splitFile(path, { context: [name], bounds: only(name, [-2, 2]) })
  expect(schema.context).toEqual([{ name, type: 'real', lower: -2, upper: 2 }])
  expect(seen.context?.columns).toEqual([name])
})

test('a flow on such columns is trained, saved, resumed, and scores them', async () => {
  const out = join(folder, 'run')
  const model = join(out, 'model.safetensors')
  const given = [
    '--data',
    path,
    '--exclude',
    'other',
    '--bounds',
    '__proto__=-2:2',
    '--context',
    'constructor'
  ]
  const brief = ['--hidden', '4,4', '--blocks', '1', '--iterations', '5', '--no-report', '--quiet']
  await ffjord('train', ...given, '--out', out, ...brief)
  await ffjord('train', '--resume', '--out', out, '--iterations', '8', '--quiet')
  using flow = await Flow.load(model)
  expect(flow.table!.columns[0]).toMatchObject({ name: '__proto__', type: 'real', lower: -2, upper: 2 })
  const samples = await flow.sample(3, { context: [[0.5]] })
  expect(decodeColumns(flow.table!.columns, samples.data).map(({ name }) => name)).toEqual(inherited.slice(1))
  for (const ending of ['csv', 'parquet']) {
    const scored = join(folder, `scored.${ending}`)
    await ffjord('logprob', '--model', model, '--data', path, '--out', scored)
    const { columns } = await fromFile(scored)
    expect(columns).toEqual([...inherited, 'other', 'log_prob', 'quantile'])
  }
  const nll = async (data: string) =>
    JSON.parse(await ffjord('eval', '--model', model, '--data', data, '--json')).nll
  expect(Math.abs((await nll(join(folder, 'scored.parquet'))) - (await nll(path)))).toBeLessThan(1e-5)
})

test('such names are no tensors, options or levels either', async () => {
  using flow = await Flow.create({ shape: [1], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
  for (const name of inherited) {
    await failure(() => flow.setParameters(only(name, new Float32Array(1))), 'INVALID_OPTION')
    await failure(() => fromFile(path, only(name, 1)), 'UNKNOWN_OPTION')
  }
  const levels = join(folder, 'levels.csv')
  writeFileSync(levels, `kind,x\n${inherited.map((name, i) => `${name},${i}.5`).join('\n')}\n`)
  const { schema, data } = await fromFile(levels, { categorical: 'one-hot', context: ['kind'] })
  expect(schema.columns[0]!.levels).toEqual([...inherited].sort())
  expect(Array.from(decodeColumns(schema.columns, data)[0]!.values)).toEqual(inherited)
  const rows = fromRows([[1, 2]], { columns: ['constructor', 'toString'] })
  await failure(() => rows.condition(['valueOf']), 'INVALID_OPTION')
})

test('a column called like a level of a category is refused', async () => {
  const levels = join(folder, 'ambiguous.csv')
  writeFileSync(levels, 'kind=red,kind\n1.5,red\n2.5,blue\n')
  const { message } = await failure(() => fromFile(levels, { categorical: 'one-hot' }), 'INVALID_FILE')
  expect(message).toContain("a column 'kind=red', which is also a level of a category")
})

test('a near miss is named', async () => {
  const { message } = await failure(() => fromFile(path, { bounds: { othr: [0, 9] } }), 'INVALID_OPTION')
  expect(message).toContain("did you mean 'other'?")
})
