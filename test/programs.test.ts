// The programs of the documentation: they compile under the strictest options, as a user's would, and run.
import { execFile, spawnSync } from 'node:child_process'
import {
  copyFileSync,
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
import { transformSync } from '@swc/core'
import { PNG } from 'pngjs'
import { Flow, imageFolder, readSafetensors, writePng, writeSafetensors } from '../lib'

const root = join(__dirname, '..')
/** Options that TypeScript has beyond `strict`. */
const strictest = [
  'strict',
  'exactOptionalPropertyTypes',
  'noUncheckedIndexedAccess',
  'noPropertyAccessFromIndexSignature',
  'noImplicitOverride',
  'noImplicitReturns',
  'noFallthroughCasesInSwitch',
  'noUnusedLocals',
  'noUnusedParameters',
  'allowUnreachableCode false',
  'verbatimModuleSyntax',
  'isolatedModules',
  'erasableSyntaxOnly'
]

/** A user's folder, with the package among its node_modules. */
const folder = mkdtempSync(join(tmpdir(), 'ffjord-programs-'))
/** Programs by name: 'tables-1' is the first of docs/tables.md. What docs/api.md has are signatures and values. */
const programs = new Map(
  ['README.md', ...readdirSync(join(root, 'docs')).map((name) => join('docs', name))]
    .filter((path) => path.endsWith('.md') && basename(path) !== 'api.md')
    .flatMap((path) =>
      [...readFileSync(join(root, path), 'utf8').matchAll(/```ts\n([\s\S]*?)```/g)].map(
        ([, text], i): [string, string] => [`${basename(path, '.md')}-${i + 1}`, text!]
      )
    )
)

beforeAll(() => {
  mkdirSync(join(folder, 'node_modules', '@types'), { recursive: true })
  symlinkSync(root, join(folder, 'node_modules', 'ffjord'))
  symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'))
  symlinkSync(join(root, 'node_modules/undici-types'), join(folder, 'node_modules/undici-types'))
  for (const [name, text] of programs) writeFileSync(join(folder, `${name}.mts`), text)
  for (const name of readdirSync(join(root, 'examples')).filter((file) => file.endsWith('.mts')))
    copyFileSync(join(root, 'examples', name), join(folder, name))
  copyFileSync(join(root, 'docs/options.ts'), join(folder, 'options.mts'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

test('the documentation has these programs', () => {
  expect([...programs.keys()].sort()).toEqual([
    'README-1',
    'distributed-1',
    'images-1',
    'images-2',
    'pytorch-1',
    'pytorch-2',
    'tables-1',
    'vae-1'
  ])
})

test('they, the examples and all options compile under the strictest options', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.mts'))
  expect(files.length).toBeGreaterThan(programs.size + 5)
  const flags = strictest.flatMap((flag) => `--${flag}`.split(' '))
  const target = ['--noEmit', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const { stdout } = spawnSync(process.execPath, [tsc, ...target, ...flags, ...files], {
    cwd: folder,
    encoding: 'utf8'
  })
  expect(stdout).toBe('')
})

test('the check of docs/api.md finds what is left out of it, or of its examples', () => {
  const docs = join(folder, 'docs')
  mkdirSync(docs)
  const check = (change: (name: string, text: string) => string) => {
    for (const name of ['api.md', 'options.ts'])
      writeFileSync(join(docs, name), change(name, readFileSync(join(root, 'docs', name), 'utf8')))
    return spawnSync(process.execPath, [join(root, 'scripts/api-reference.js'), '--check', docs], {
      encoding: 'utf8'
    })
  }
  const whole = check((_, text) => text)
  expect([whole.status, whole.stderr]).toEqual([0, ''])
  const without = (parts: Record<string, RegExp>) =>
    check((name, text) => {
      const part = parts[name]
      if (!part) return text
      expect(text).toMatch(part)
      return text.replace(part, '')
    })
  const example = without({ 'options.ts': / +nfeBudget: 400,\n/ })
  expect([example.status, example.stderr]).toEqual([
    1,
    'FitOptions.nfeBudget: no value in docs/options.ts shows it\n'
  ])
  const nested = without({ 'options.ts': /, width: 320/ })
  expect(nested.stderr).toBe('AutoregressivePosterior.width: no value in docs/options.ts shows it\n')
  const line = without({ 'api.md': / +nfeBudget\?: .*\n/g })
  expect([line.status, line.stderr]).toEqual([1, 'FitOptions.nfeBudget: docs/api.md lacks it\n'])
}, 120_000)

/** Runs a program with few iterations; the lines that it prints come back. */
function run(name: string): Promise<string> {
  const brief = programs
    .get(name)!
    .replace(/iterations: \d+/g, 'iterations: 20')
    .replace(/hidden: \[64, 64\]/g, 'hidden: [8, 8]')
  const { code } = transformSync(brief, {
    jsc: { parser: { syntax: 'typescript' }, target: 'es2022' },
    module: { type: 'es6' }
  })
  writeFileSync(join(folder, `${name}.mjs`), code)
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [`${name}.mjs`], { cwd: folder }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr)) : resolve(stdout)
    )
  })
}

test('the program on a table runs', async () => {
  const lines = Array.from({ length: 400 }, (_, i) => {
    const gap = Math.exp(Math.sin(7.1 * i))
    const rest = [0.1 + Math.sin(i) / 20, 240 - gap + Math.cos(3.3 * i), 4.2 * gap + 0.1 * Math.sin(5.7 * i)]
    return [...[gap, ...rest].map((value) => value.toFixed(4)), i % 7, i % 5, (3 * i) % 11, i % 1440].join(
      ','
    )
  })
  const header = 'gap,grp,voltage,intensity,sm1,sm2,sm3,minute'
  writeFileSync(join(folder, 'power.csv'), `${header}\n${lines.join('\n')}\n`)
  expect(await run('tables-1')).toContain('Mixture of')
}, 60_000)

test('the programs on images fill in what a mask leaves out, and tell classes', async () => {
  const side = 8
  for (const [label, name] of ['cat', 'dog'].entries()) {
    mkdirSync(join(folder, 'photos', name), { recursive: true })
    for (let i = 0; i < 3; i++) {
      const data = Uint8Array.from(
        { length: side * side },
        (_, at) => 60 + 90 * label + 50 * Math.sin(at * (i + 1))
      )
      await writePng(join(folder, 'photos', name, `${i}.png`), { data, shape: [1, 1, side, side] })
    }
  }
  for (const [name, conditional] of [
    ['photos', {}],
    ['classes', { context: { size: 2, columns: ['label=cat', 'label=dog'] } }]
  ] as const) {
    mkdirSync(join(folder, 'runs', name), { recursive: true })
    const net = { hidden: [2], strides: [1, 1], activation: 'softplus' } as const
    using flow = await Flow.create({
      shape: [1, side, side],
      blocks: [
        { type: 'logit', alpha: 0.05 },
        { type: 'cnf', net }
      ],
      ...conditional
    })
    await flow.save(join(folder, 'runs', name, 'model.safetensors'))
  }
  await run('images-1')
  const { width, data } = PNG.sync.read(readFileSync(join(folder, 'filled.png')))
  const { levels } = await imageFolder(join(folder, 'photos'))
  for (const [y, x] of [
    [0, 0],
    [3, 2],
    [7, 3]
  ] as const)
    expect(data[4 * (y * width + x)]).toBe(levels[y * side + x])
  expect(await run('images-2')).toMatch(/cat.*dog[\s\S]*right (0|1|0\.\d+)/)
}, 60_000)

test('a model goes to PyTorch and comes back', async () => {
  const there = await run('pytorch-1')
  const { metadata, tensors } = await readSafetensors(join(folder, 'for-pytorch.safetensors'))
  expect(metadata.format).toBe('pt')
  expect([...tensors.keys()]).toEqual(
    expect.arrayContaining([
      'chain.0.odefunc._num_evals',
      'chain.0.odefunc.diffeq.layers.0._layer.weight',
      'chain.0.sqrt_end_time'
    ])
  )
  // A state dict as PyTorch writes it: weights and buffers, no description.
  await writeSafetensors(join(folder, 'from-pytorch.safetensors'), { metadata: { format: 'pt' }, tensors })
  const numbers = (text: string) =>
    [.../\[([^\]]*)\]/.exec(text)![1]!.matchAll(/-?\d[\d.e-]*/g)].map(([one]) => Number(one))
  const [before, after] = [numbers(there), numbers(await run('pytorch-2'))]
  expect(after).toHaveLength(2)
  after.forEach((value, i) => {
    expect(Math.abs(value - before[i]!)).toBeLessThan(1e-4)
  })
}, 60_000)
