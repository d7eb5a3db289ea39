import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, imageSet } from 'ffjord'
import { PNG } from 'pngjs'
import { describeComputation, describeFlow } from '../lib/cli/architecture'
import { imagePreset, imagePresetNames } from '../lib/cli/image-presets'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-images-cli-'))
const mnist = join(__dirname, 'images', 'mnist')
const run = join(folder, 'run')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function ffjord(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist/cli/index.js'), ...given], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

beforeAll(async () => {
  const small = '--hidden 2 --parallel 1 --iterations 4 --batch 4 --validation 0.5'
  const { code, stderr } = await ffjord(
    'train',
    '--data',
    `mnist:${mnist}`,
    '--out',
    run,
    ...small.split(' ')
  )
  expect(stderr).toMatch(/images\/s/)
  expect(code).toBe(0)
}, 60_000)

test('training ends with bits per dimension, and a report of images', () => {
  const page = readFileSync(join(run, 'report.html'), 'utf8')
  for (const text of ['Bits per dimension', 'Most likely', 'Least likely', 'Samples'])
    expect(page).toContain(text)
})

test('all pixels are standardised alike, behind the logit', async () => {
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const [logit, standardize] = flow.description.blocks
  expect(logit).toEqual({ type: 'logit', alpha: 1e-6 })
  const { mean, scale } = standardize as unknown as { mean: number[]; scale: number[] }
  expect(new Set(mean).size + new Set(scale).size).toBe(2)
  expect(scale[0]).toBeGreaterThan(0.5)
})

test('eval has what the bits depend on, as the library does', async () => {
  const given = [
    'eval',
    '--model',
    run,
    '--data',
    `mnist:${mnist}`,
    '--draws',
    '3',
    '--centre',
    '--certify',
    '2'
  ]
  const found = JSON.parse((await ffjord(...given, '--against', `mnist:${mnist}`, '--json')).stdout)
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const { test } = await imageSet('mnist', mnist)
  const own = await flow.bitsPerDim(test, { draws: 3, centre: true, certify: 2 })
  expect(found).toMatchObject({
    n: 2,
    draws: 3,
    bitsPerDim: own.bitsPerDim,
    bound: own.bound,
    centre: own.centre
  })
  expect(found.baselines).toHaveLength(3)
  const { stdout } = await ffjord(...given)
  for (const text of ['Bits/dim', 'Bound', 'Centre', 'as RNODE evaluates', 'Errors'])
    expect(stdout).toContain(text)
}, 60_000)

test('samples come as one picture, which shows them row by row', async () => {
  const out = join(folder, 'grid.png')
  expect((await ffjord('sample', '--model', run, '-n', '5', '--seed', '3', '--out', out)).code).toBe(0)
  const { width, height, data } = PNG.sync.read(readFileSync(out))
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const [, tall, wide] = flow.shape as [number, number, number]
  expect([width, height]).toEqual([3 * wide + 4, 2 * tall + 2])
  const samples = (await flow.sample(5, { seed: 3 })).data
  const pixel = (image: number, y: number, x: number) =>
    data[4 * ((Math.floor(image / 3) * (tall + 2) + y) * width + (image % 3) * (wide + 2) + x)]!
  for (const image of [0, 4])
    for (const [y, x] of [
      [0, 0],
      [tall - 1, wide - 2]
    ] as const)
      expect(
        Math.abs(pixel(image, y, x) - 256 * samples[(image * tall + y) * wide + x]!)
      ).toBeLessThanOrEqual(1)
})

test.each(imagePresetNames)('the preset %s describes a flow', (name) => {
  const recipe = imagePreset(name)
  const shape = name === 'cifar10' ? [3, 32, 32] : [1, 28, 28]
  const fixed = recipe.scale === 'standardize' ? [{ type: 'zero_mean' } as const] : []
  expect(describeFlow(recipe, shape, fixed).blocks.length).toBeGreaterThan(1)
  expect(describeComputation(recipe).trace).toMatchObject({ noise: expect.anything() })
  expect(Number.isInteger(recipe.iterations)).toBe(true)
})
