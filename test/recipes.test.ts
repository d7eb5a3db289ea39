import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow } from 'ffjord'
import type { Recipe } from '../lib/cli/recipe'
import {
  arrayRecipe,
  demoRecipe,
  followed,
  optionsOf,
  pictureRecipe,
  tableRecipe,
  toyRecipe
} from '../lib/cli/recipes'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-recipes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function ffjord(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    const call = [join(root, 'dist/cli/index.js'), ...given]
    execFile(process.execPath, call, { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

/** The options that a run was started with. */
async function started(name: string, command: string, ...given: string[]): Promise<Record<string, unknown>> {
  const out = join(folder, name)
  const { code, stderr } = await ffjord(command, ...given, '--out', out, '--device', 'cpu')
  if (code !== 0) throw new Error(stderr)
  return JSON.parse(readFileSync(join(out, 'options.json'), 'utf8'))
}

const brief = ['--iterations', '2', '--no-report', '--quiet']
/** A recipe over two iterations, of which the first matches flows. */
const shortened = (recipe: Recipe) => ({ ...recipe, iterations: 2, ...(recipe.matching && { matching: 1 }) })

describe('what train does by default is the recipe of its data', () => {
  test('a toy density', async () => {
    const options = await started('toy', 'train', '--data', 'moons', ...brief)
    expect(options).toMatchObject(shortened(toyRecipe))
    using flow = await Flow.load(join(folder, 'toy', 'model.safetensors'))
    using same = await Flow.create({ ...optionsOf(toyRecipe).flow, device: 'cpu' })
    expect(flow.description).toEqual(same.description)
    expect(flow.options).toEqual(same.options)
  }, 60_000)

  test('a picture', async () => {
    const picture = join(root, 'examples/fjord.png')
    const options = await started('picture', 'train', '--data', picture, ...brief)
    expect(options).toMatchObject(shortened(pictureRecipe))
  }, 60_000)

  test('a table', async () => {
    const rows = Array.from({ length: 500 }, (_, i) =>
      Array.from({ length: 10 }, (_, j) => Math.sin(1 + i * (j + 1.7)))
    )
    writeFileSync(join(folder, 'table.csv'), `${rows.join('\n')}\n`)
    const options = await started('table', 'train', '--data', 'table.csv', '--no-header', ...brief)
    expect(options).toMatchObject(shortened(tableRecipe(10, 400)))
    expect(options).toMatchObject({ hidden: [128, 128], blocks: 2, batch: 64 })
  }, 60_000)

  test('the demo', async () => {
    const options = await started('demo', 'demo', '--iterations', '2')
    expect(options).toMatchObject(shortened(demoRecipe))
  }, 60_000)
})

test('options that are given come before the recipe, which drops what they make meaningless', async () => {
  const given = [
    '--hidden',
    '8',
    '--no-train-time',
    '--solver',
    'rk4',
    '--steps',
    '4',
    '--schedule',
    'constant'
  ]
  const options = await started('given', 'train', '--data', 'moons', ...brief, ...given)
  expect(options).toMatchObject({ hidden: [8], trainTime: false, solver: 'rk4', steps: 4, lr: toyRecipe.lr })
  for (const key of ['rtol', 'evalAtol', 'control', 'warmup']) expect(options).not.toHaveProperty(key)
}, 60_000)

test.each([
  ['torchdiffeq', ['--controller', 'torchdiffeq'], { controller: 'torchdiffeq' }],
  ['adjoint', ['--gradient', 'adjoint'], { gradient: 'adjoint' }],
  ['matching', ['--objective', 'fm'], { objective: 'fm' }],
  ['step', ['--schedule', 'step', '--decay-every', '1'], { schedule: 'step', decayEvery: 1 }],
  ['hutchinson', ['--trace', 'hutchinson'], { trace: 'hutchinson' }],
  ['regularised', ['--kinetic', '0.01', '--jacobian', '0.01'], { kinetic: 0.01, jacobian: 0.01 }]
])('%s goes with the recipe of the toys', async (name, given, expected) => {
  const options = await started(name, 'train', '--data', 'moons', ...brief, '--hidden', '8,8', ...given)
  expect(options).toMatchObject({ hidden: [8, 8], iterations: 2, batch: toyRecipe.batch, ...expected })
})

test('evaluation is not looser than the training that was asked for', () => {
  expect(followed(toyRecipe, { rtol: 1e-7, atol: 1e-2 })).toMatchObject({
    rtol: 1e-7,
    evalRtol: 1e-7,
    atol: 1e-2,
    evalAtol: toyRecipe.evalAtol
  })
})

test('every layer trains by the recipe of the toys', async () => {
  for (const layer of ['ignore', 'concat_v2', 'squash', 'concatsquash', 'blend', 'hyper'] as const)
    expect(
      await started(layer, 'train', '--data', 'moons', ...brief, '--layer', layer, '--hidden', '4,4')
    ).toMatchObject({ layer, hidden: [4, 4], activation: toyRecipe.activation })
}, 120_000)

test('the help lists the defaults by data', async () => {
  const { stdout } = await ffjord('train', '--help')
  const text = stdout.replace(/\s+/g, ' ')
  for (const recipe of [toyRecipe, pictureRecipe, tableRecipe(10, 10_000), arrayRecipe])
    for (const [flag, key] of [
      ['hidden', 'hidden'],
      ['layer', 'layer'],
      ['batch', 'batch'],
      ['iterations', 'iterations'],
      ['lr', 'lr']
    ] as const)
      expect(text).toContain(`--${flag} ${recipe[key]}`)
  expect(text).not.toMatch(/--(hidden|layer|lr|iterations) <\w+> [^<]*\(default/)
})

test('benchmark, figures and demo have no recipe of their own', () => {
  for (const file of ['bench/toys.ts', 'bench/figures.ts', 'lib/cli/demo.ts']) {
    const text = readFileSync(join(root, file), 'utf8')
    expect(text).toMatch(/from '.*\/recipes'/)
    expect(text).not.toMatch(/\b(lr|activation|rtol|batch): *[\d.'[]/)
  }
})
