import { accessSync, constants, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { Flow, fromRows, readSafetensors, writeSafetensors } from '../lib'
import { freeFolder } from '../lib/cli/demo'
import { duration, progressLine } from '../lib/cli/progress'
import { VERSION } from '../lib/native/version'
import { ffjord } from './command-line'

const root = join(__dirname, '..')
const before = process.cwd()
let folder: string
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-run-'))
  process.chdir(folder)
  await train('run')
}, 60_000)
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true, force: true })
})

function train(out: string): Promise<string> {
  const brief = ['--iterations', '2', '--hidden', '4,4', '--batch', '16', '--validation-rows', '16']
  return ffjord('train', '--data', 'moons', '--out', out, ...brief, '--no-report', '--quiet')
}

test('a model is named by its file or by the folder of its run', async () => {
  const options = ['--data', 'moons', '--rows', '50', '--certify', '0', '--json']
  const byFolder = await ffjord('eval', '--model', 'run', ...options)
  expect(JSON.parse(byFolder)).toMatchObject({ n: 50 })
  expect(byFolder).toBe(await ffjord('eval', '--model', 'run/model.safetensors', ...options))
  await ffjord('sample', '--model', 'run', '-n', '3', '--out', 'samples.csv')
  expect(readFileSync('samples.csv', 'utf8').trim().split('\n')).toHaveLength(4)
})

test('a folder without a model is refused by name', async () => {
  mkdirSync('empty')
  await expect(ffjord('sample', '--model', 'empty', '-n', '3', '--out', 'none.csv')).rejects.toThrow(
    'empty holds no model.safetensors'
  )
})

test('a second demo leaves the first one alone', () => {
  const stderr = jest.spyOn(process.stderr, 'write').mockImplementation(() => true)
  try {
    expect(freeFolder()).toBe('ffjord-demo')
    for (const taken of ['ffjord-demo', 'ffjord-demo-2']) {
      mkdirSync(taken)
      writeFileSync(join(taken, 'options.json'), '{}')
    }
    expect(stderr).not.toHaveBeenCalled()
    expect(freeFolder()).toBe('ffjord-demo-3')
    expect(stderr.mock.calls.join('')).toContain('ffjord-demo holds a run, which stays')
    expect(freeFolder(true)).toBe('ffjord-demo')
  } finally {
    stderr.mockRestore()
  }
})

test('a model tells what it is', async () => {
  const text = await ffjord('info', '--model', 'run')
  for (const line of [
    /^Shape +\[2\]$/m,
    /^Blocks +cnf 2 → 4 → 4 → 2, concat, tanh, T = 0\.\d+ \(trained\)$/m,
    /^Parameters +53$/m,
    /^Trace +exact/m,
    /^Trained on +moons$/m,
    /^Rows +fresh ones without end$/m,
    /^Iterations +2$/m,
    /^Date +20\d\d-\d\d-\d\dT/m,
    /^Version +ffjord \d/m
  ])
    expect(text).toMatch(line)
  const told = JSON.parse(await ffjord('info', '--model', 'run', '--json'))
  expect(told).toMatchObject({ shape: [2], parameters: 53, provenance: { data: 'moons', iterations: 2 } })
  using flow = await Flow.load('run/model.safetensors')
  expect(inspect(flow)).toMatch(new RegExp(`^Flow +on ${flow.device}\n`))
  expect(inspect(flow)).toContain(text)
})

test('a file of before says what it does not know', async () => {
  const { metadata, tensors } = await readSafetensors('run/model.safetensors')
  const { provenance, training, optimizer, ...extra } = JSON.parse(metadata.ffjord!)
  expect(provenance).toMatchObject({ data: 'moons' })
  const weights = new Map([...tensors].filter(([name]) => !/^(optimizer|ema|random|best)\./.test(name)))
  await writeSafetensors('old.safetensors', {
    metadata: { ...metadata, ffjord: JSON.stringify(extra) },
    tensors: weights
  })
  const text = await ffjord('info', '--model', 'old.safetensors')
  for (const name of ['Trained on', 'Rows', 'Iterations', 'NLL', 'Date', 'Version'])
    expect(text).toMatch(new RegExp(`^${name} +not in the model file$`, 'm'))
})

test('a flow notes where its weights come from, and its file keeps it', async () => {
  using flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
  expect(flow.provenance).toBeUndefined()
  expect(`${flow}`).toMatch(/^Trained +no$/m)
  const rows = fromRows(Array.from({ length: 40 }, (_, i) => [Math.sin(i), Math.cos(3 * i)]))
  await flow.fit(rows, { iterations: 3, batch: 10 })
  expect(flow.provenance).toMatchObject({ rows: 40, iterations: 3, version: VERSION })
  flow.provenance = {
    ...flow.provenance,
    data: 'the \u001b[2J circle',
    test: { nll: 1, standardError: 0.1, rows: 9 }
  }
  await flow.save('noted.safetensors', { weightsOnly: true })
  using loaded = await Flow.load('noted.safetensors')
  expect(loaded.provenance).toEqual(flow.provenance)
  expect(inspect({ loaded })).toContain('the �[2J circle')
  await loaded.fit(rows, { iterations: 1, batch: 10 })
  expect(loaded.provenance).not.toHaveProperty('data')
  expect(loaded.provenance).not.toHaveProperty('test')
  loaded.dispose()
  expect(inspect(loaded)).toContain('disposed')
  expect(() => {
    flow.provenance = { dat: 'x' } as never
  }).toThrow("did you mean 'data'?")
})

test.each([
  ['says no width', undefined, true],
  ['has a width of 0', 0, true],
  ['is narrow', 40, false],
  ['is wide', 120, true]
])('a terminal that %s shows the numbers', (_, columns, bar) => {
  const given = (key: 'isTTY' | 'columns') => Object.getOwnPropertyDescriptor(process.stderr, key)
  const kept = { isTTY: given('isTTY'), columns: given('columns') }
  const write = jest.spyOn(process.stderr, 'write').mockImplementation(() => true)
  Object.defineProperty(process.stderr, 'isTTY', { value: true, configurable: true })
  Object.defineProperty(process.stderr, 'columns', { value: columns, configurable: true })
  try {
    progressLine(false).update(0.5, '100/200  loss 1.234')
    const text = write.mock.calls.join('')
    expect(text).toContain('100/200  loss 1.234')
    expect(text.includes('█')).toBe(bar)
  } finally {
    write.mockRestore()
    for (const key of ['isTTY', 'columns'] as const) {
      if (kept[key]) Object.defineProperty(process.stderr, key, kept[key])
      else delete (process.stderr as unknown as Record<string, unknown>)[key]
    }
  }
})

test.each([
  [75, '1:15'],
  [4000, '1:06:40'],
  [172_799, '47:59:59'],
  [400_000, '4.6 days'],
  [2_000_000, '23.1 days'],
  [2e7, '231 days']
])('%d seconds are %s', (seconds, text) => {
  expect(duration(seconds)).toBe(text)
})

test('the compiled command may be run', () => {
  expect(() => accessSync(join(root, 'dist/cli/index.js'), constants.X_OK)).not.toThrow()
})

test('where the trained model cannot be saved, the checkpoint before it is named', async () => {
  const stderr = jest.spyOn(process.stderr, 'write').mockReturnValue(true)
  const { save } = Flow.prototype
  let saves = 0
  const full = jest.spyOn(Flow.prototype, 'save').mockImplementation(function (this: Flow, path) {
    if (++saves > 1) throw Object.assign(new Error('the disk is full'), { code: 'ENOSPC' })
    return save.call(this, path)
  })
  try {
    // The first save is the state at the end of training, the second has the ranks of its rows.
    await expect(
      ffjord(
        'train',
        '--data',
        table(),
        '--out',
        'full',
        '--iterations',
        '2',
        '--hidden',
        '4,4',
        '--no-report'
      )
    ).rejects.toThrow('the disk is full')
    expect(stderr.mock.calls.join('')).toContain('is whole; go on from it with --resume')
  } finally {
    full.mockRestore()
    stderr.mockRestore()
  }
  expect(await ffjord('train', '--out', 'full', '--resume', '--no-report', '--quiet')).toContain('Trained')
})

function table(): string {
  const lines = Array.from({ length: 100 }, (_, i) => `${Math.sin(i * i)},${Math.cos(3 * i * i)}`)
  writeFileSync('table.csv', `a,b\n${lines.join('\n')}\n`)
  return 'table.csv'
}
