import { execFile } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { transformFileSync } from '@swc/core'

const root = join(__dirname, '..')
const examples = join(root, 'examples')
/** A user's folder: the examples, and the package among its node_modules. */
const folder = mkdtempSync(join(tmpdir(), 'ffjord-examples-'))

beforeAll(() => {
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'ffjord'))
  for (const name of readdirSync(examples).filter((file) => file.endsWith('.mts'))) {
    const { code } = transformFileSync(join(examples, name), {
      jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
      module: { type: 'es6' }
    })
    writeFileSync(join(folder, name.replace('.mts', '.mjs')), code)
  }
})

afterAll(() => rmSync(folder, { recursive: true, force: true }))

function run(name: string, ...given: string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [join(folder, `${name}.mjs`), ...given],
      { cwd: folder },
      (error, stdout, stderr) => {
        if (error) reject(new Error(stderr))
        else resolve(stdout)
      }
    )
  })
}

test('every example has a test below', () => {
  const names = readdirSync(examples)
    .filter((file) => file.endsWith('.mts'))
    .map((file) => basename(file, '.mts'))
  expect(names.sort()).toEqual(['conditional', 'density', 'quickstart', 'resume', 'scores', 'training-loop'])
})

test('quickstart is what the README shows', () => {
  const [, shown] = /```ts\n(.*?)```/s.exec(readFileSync(join(root, 'README.md'), 'utf8'))!
  const dense = (text: string) => text.replace(/\s+/g, '')
  expect(dense(readFileSync(join(examples, 'quickstart.mts'), 'utf8'))).toBe(dense(shown!))
})

test('quickstart learns, samples and saves', async () => {
  const source = readFileSync(join(folder, 'quickstart.mjs'), 'utf8')
  const short = source.replace('iterations: 2000', 'iterations: 60')
  expect(short).not.toBe(source)
  writeFileSync(join(folder, 'short.mjs'), `${short}\nconsole.log('logp', ...logp, 'samples', x.length)`)
  const output = await run('short')
  const losses = [...output.matchAll(/^\d+ (\d\.\d+) \d+/gm)].map((match) => Number(match[1]))
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.1)
  expect(output).toMatch(/logp -\d\S+ -\d\S+ samples 20000/)
  expect(readdirSync(folder)).toContain('model.safetensors')
}, 180_000)

test('density integrates to 1', async () => {
  const output = await run('density', '40')
  expect(Number(/integral of the density (\S+)/.exec(output)![1])).toBeCloseTo(1, 2)
  expect(output).toContain('trace exact')
}, 120_000)

test('conditional follows the pendulum', async () => {
  const output = await run('conditional', '1000')
  const [, mean, truth] = /at time 1 around (\S+) \(without noise (\S+)\)/.exec(output)!
  expect(Math.abs(Number(mean) - Number(truth))).toBeLessThan(0.5)
  expect(output).toMatch(/soon after the start: -?\d\S* ± \de-\d nats/)
}, 120_000)

test('training-loop brings the loss down and lists gradients', async () => {
  const output = await run('training-loop', '60')
  const losses = [...output.matchAll(/loss (\S+)/g)].map((match) => Number(match[1]))
  expect(losses.at(-1)).toBeLessThan(losses[0]! - 0.1)
  expect(output).toContain('odefunc.diffeq.layers.0')
}, 120_000)

test('resume ends with the same bits', async () => {
  expect(await run('resume')).toContain('same weights, bit for bit')
}, 120_000)

test('scores tells outliers', async () => {
  const output = await run('scores', '60')
  expect(output).toMatch(/\[6,-6\].*outlier/)
  expect(output).toMatch(/mode near/)
}, 120_000)
