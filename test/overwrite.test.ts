// A run in a folder that holds one: what is there stays until the new run has a model to put in its place.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FfjordError, Flow, Vae } from '../lib'
import { Fit } from '../lib/training/fit'
import { ffjord } from './command-line'

const before = process.cwd()
const folder = mkdtempSync(join(tmpdir(), 'ffjord-overwrite-'))
let told: string
let stderr: jest.SpyInstance
beforeAll(async () => {
  process.chdir(folder)
  writeFileSync(
    'table.csv',
    lines(40, (row) => [Math.sin(row), Math.cos(3 * row)])
  )
  writeFileSync(
    'holed.csv',
    lines(40, (row) => [row === 20 ? 'nine' : row, Math.cos(row)])
  )
  const pixels = Array.from({ length: 64 }, (_, pixel) => pixel)
  writeFileSync(
    'images.csv',
    lines(60, (row) => pixels.map((pixel) => Math.abs(Math.sin(row + pixel))))
  )
})
afterAll(() => {
  process.chdir(before)
  rmSync(folder, { recursive: true, force: true })
})
beforeEach(() => {
  told = ''
  stderr = jest.spyOn(process.stderr, 'write').mockImplementation((text) => {
    told += text
    return true
  })
})
afterEach(() => {
  stderr.mockRestore()
})

const flow = ['train', '--data', 'table.csv', '--hidden', '4', '--batch', '8', '--no-report']
const vae = ['vae', 'train', '--data', 'images.csv:8x8', '--latent', '2', '--batch', '8', '--no-report']
const kinds = [
  { kind: 'a flow', out: 'flow', given: [...flow, '--out', 'flow'], short: ['--iterations', '2'] },
  { kind: 'an autoencoder', out: 'vae', given: [...vae, '--out', 'vae'], short: ['--epochs', '1'] }
]

describe.each(kinds)('a run of $kind', ({ out, given, short }) => {
  let held: Record<string, string>
  beforeAll(() => ffjord(...given, ...short, '--quiet'))
  beforeEach(() => {
    held = contents(out)
    expect(Object.keys(held)).toEqual(expect.arrayContaining(['metrics.jsonl', 'model.safetensors']))
  })
  const again = [...given, '--overwrite', '--seed', '7']

  test('stays when the new one diverges before its first checkpoint', async () => {
    await expect(ffjord(...again, '--lr', '1e30')).rejects.toThrow('not finite')
    expect(told).toContain(`${out} still holds the run of before`)
    expect(told).not.toContain('The state before the failure')
    expect(contents(out)).toEqual(held)
  })

  test('stays when the new one finds no memory', async () => {
    const fit = jest.spyOn(out === 'vae' ? Vae.prototype : Flow.prototype, 'fit').mockImplementation(
      () =>
        new Fit<never, never>(
          () => undefined,
          () => {
            throw new FfjordError('OUT_OF_MEMORY', 'no memory for one row')
          }
        )
    )
    try {
      await expect(ffjord(...again, ...short)).rejects.toThrow('no memory for one row')
    } finally {
      fit.mockRestore()
    }
    expect(contents(out)).toEqual(held)
  })

  test('stays when the new one is interrupted before its first checkpoint', async () => {
    stderr.mockImplementation((text: string) => {
      told += text
      if (/nfe|epoch/.test(text)) process.emit('SIGINT')
      return true
    })
    const endless = short.map((word) => (/\d/.test(word) ? '1000000' : word))
    await expect(ffjord(...again, ...endless)).rejects.toThrow(
      new RegExp(`Interrupted at iteration \\d+, before a checkpoint: ${out} still holds the run of before`)
    )
    expect(contents(out)).toEqual(held)
  })

  test('gives way to one that ends', async () => {
    await ffjord(...again, ...short)
    const found = contents(out)
    expect(Object.keys(found)).toEqual(Object.keys(held))
    expect(JSON.parse(found['options.json']!)).toMatchObject({ seed: 7 })
    for (const file of ['model.safetensors', 'metrics.jsonl']) expect(found[file]).not.toBe(held[file])
    const count = (text: string) => text.trim().split('\n').length
    expect(count(found['metrics.jsonl']!)).toBe(count(held['metrics.jsonl']!))
    // It is the one that is gone on with.
    const subcommand = given.slice(0, given.indexOf('--data'))
    expect(await ffjord(...subcommand, '--resume', '--out', out, '--no-report', '--quiet')).toContain(
      'Trained'
    )
  })
})

test('a run stays when the new one has data that cannot be read, or is refused', async () => {
  const held = contents('flow')
  const call = ['train', '--out', 'flow', '--overwrite', '--hidden', '4', '--iterations', '2', '--no-report']
  await expect(ffjord(...call, '--data', 'nowhere.csv')).rejects.toThrow('nowhere.csv')
  const holed = ['--data', 'holed.csv', '--columns', 'c0,c1', '--missing', 'refuse']
  await expect(ffjord(...call, ...holed)).rejects.toThrow("such as 'nine'")
  const normed = ['--data', 'table.csv', '--objective', 'fm', '--blocks', '2', '--batch-norm']
  await expect(ffjord(...call, ...normed)).rejects.toThrow('flow matching takes CNF blocks')
  expect(contents('flow')).toEqual(held)
})

function lines(rows: number, cells: (row: number) => (number | string)[]): string {
  const names = cells(0).map((_, column) => `c${column}`)
  return `${[names, ...Array.from({ length: rows }, (_, row) => cells(row))].join('\n')}\n`
}

/** All files of a folder. */
function contents(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((name) => [name, readFileSync(join(path, name), 'latin1')])
  )
}
