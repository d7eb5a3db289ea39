import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, fromFile } from 'ffjord'

/** Training's test, eval, logprob and the API say the same of the same rows. */

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
const ffjord = (...given: string[]) =>
  execFileSync(process.execPath, [command, ...given], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-score-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const lines = Array.from({ length: 260 }, (_, i) => {
  const [a, b] = [Math.sin(i * 12.9898), Math.sin(i * 78.233)]
  return `${'aab'[i % 3]},${Math.round(3 + 2 * a)},${(100 + 30 * a + 10 * b).toFixed(2)}`
})

function table(name: string, rows: readonly string[]): string {
  const path = join(folder, name)
  writeFileSync(path, `kind,rooms,price\n${rows.join('\n')}\n`)
  return path
}

/** Columns of numbers that logprob wrote, by name. */
function scored(model: string, data: string, ...more: string[]): Record<string, number[]> {
  const text = ffjord('logprob', '--model', model, '--data', data, '--out', '-', ...more)
  const [header, ...rows] = text.trim().split('\n')
  return Object.fromEntries(
    header!.split(',').map((name, c) => [name, rows.map((row) => Number(row.split(',')[c]))])
  )
}

test.each([
  ['dequantised columns', ['--categorical', 'one-hot'], /^lower bound, (\d+ to )?\d+ draws$/],
  ['real columns', ['--exclude', 'kind,rooms'], /^exact density$/],
  ['a context', ['--categorical', 'one-hot', '--context', 'kind'], /^lower bound, (\d+ to )?\d+ draws$/]
] as [string, string[], RegExp][])('%s', async (name, options, bound) => {
  const out = join(folder, name)
  const test = table('test.csv', lines.slice(200, 240))
  const given = [
    '--data',
    table('train.csv', lines.slice(0, 160)),
    '--validation',
    table('v.csv', lines.slice(160, 200))
  ]
  const brief = [
    '--hidden',
    '8,8',
    '--blocks',
    '1',
    '--iterations',
    '40',
    '--batch',
    '32',
    '--draws',
    '128',
    '--device',
    'cpu'
  ]
  const trained = JSON.parse(
    ffjord('train', ...given, '--test', test, '--out', out, ...options, ...brief, '--json')
  )
  const model = join(out, 'model.safetensors')
  const evaluated = JSON.parse(ffjord('eval', '--model', model, '--data', test, '--draws', '128', '--json'))
  expect(trained.bound).toMatch(bound)
  expect([evaluated.bound, evaluated.n]).toEqual([trained.bound, 40])
  expect(Math.abs(evaluated.nll - trained.nll)).toBeLessThan(1e-5)
  expect(evaluated.spread).toEqual(trained.spread)

  const { log_prob: logProb, quantile } = scored(model, test, '--draws', '128')
  using flow = await Flow.load(model, { device: 'cpu' })
  const found = await flow.evaluate(await fromFile(test, { schema: flow.table! }), { draws: 128 })
  expect(Math.abs(found.nll - trained.nll)).toBeLessThan(1e-5)
  found.logProb.forEach((value, row) => {
    expect(Math.abs(logProb![row]! - value)).toBeLessThan(1e-5 * Math.max(1, Math.abs(value)))
  })

  // The same rows at other places, among others.
  const mixed = table('mixed.csv', [...lines.slice(0, 33), ...lines.slice(200, 240).reverse(), lines[210]!])
  const again = scored(model, mixed, '--draws', '128', '--spread')
  expect(again.log_prob!.slice(33, 73).reverse()).toEqual(logProb)
  expect(again.quantile!.slice(33, 73).reverse()).toEqual(quantile)
  expect([again.log_prob![73], again.quantile![73]]).toEqual([logProb![10], quantile![10]])
  if (name === 'real columns') expect(new Set(again.spread)).toEqual(new Set([0]))
  else expect(Math.max(...again.spread!)).toBeGreaterThan(0)
  // One draw is the noise that a reader of the file draws for training, by the number of the row.
  const single = JSON.parse(ffjord('eval', '--model', model, '--data', test, '--draws', '1', '--json'))
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  expect(-mean(scored(model, test, '--draws', '1').log_prob!)).toBeCloseTo(single.nll, 5)

  // Ranks are of the same scores: of the training rows about as many lie below each rank.
  const ranks = scored(model, given[1]!, '--draws', '128').quantile!.sort((a, b) => a - b)
  ranks.forEach((rank, i) => {
    expect(Math.abs(rank - i / ranks.length)).toBeLessThan(0.15)
  })
  expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain(trained.bound)
})
