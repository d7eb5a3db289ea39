import { spawn, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { fromFile } from 'ffjord'
import { unreadable, unwritable } from '../lib/file/file-errors'
import { replaceFile, unfinishedName, writeAtomically } from '../lib/file/whole-file'
import { failure } from './failure'

const dist = resolve(__dirname, '..', 'dist')
let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-whole-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function fresh(name: string): string {
  const path = join(folder, name)
  mkdirSync(path)
  return path
}

test('what a killed process left is removed by the next one that writes there, and nothing else', () => {
  const place = fresh('killed')
  const path = join(place, 'a.txt')
  const code = `
    const { unfinishedName } = require(${JSON.stringify(join(dist, 'file', 'whole-file.js'))})
    require('fs').writeFileSync(unfinishedName(${JSON.stringify(path)}), 'half')
    process.kill(process.pid, 'SIGKILL')`
  expect(spawnSync(process.execPath, ['-e', code]).signal).toBe('SIGKILL')
  expect(readdirSync(place)).toHaveLength(1)
  // Of a place whose process numbers say nothing here, and just written.
  const foreign = `.ffjord-00000000-${process.pid}-00000000.tmp`
  for (const name of [foreign, '.ffjord-notes.tmp', 'b.1234.tmp']) writeFileSync(join(place, name), 'kept')
  replaceFile(path, 'whole')
  expect(readdirSync(place).sort()).toEqual(['.ffjord-notes.tmp', foreign, 'a.txt', 'b.1234.tmp'].sort())
  expect(readFileSync(path, 'utf8')).toBe('whole')
})

test('a file that a living process writes stays', () => {
  const place = fresh('living')
  const name = unfinishedName(join(place, 'a'))
  writeFileSync(name, 'half')
  const code = `
    const { replaceFile } = require(${JSON.stringify(join(dist, 'file', 'whole-file.js'))})
    replaceFile(${JSON.stringify(join(place, 'b'))}, 'whole')`
  expect(spawnSync(process.execPath, ['-e', code]).status).toBe(0)
  expect(existsSync(name)).toBe(true)
})

test('what the system refuses names the file and what to do', async () => {
  const place = fresh('refused')
  const file = join(place, 'file')
  writeFileSync(file, '')
  const cases: [path: string, expected: RegExp][] = [
    [join(place, 'none', 'a'), /none\/a cannot be written: its folder does not exist \(ENOENT\); make it/],
    [
      join(file, 'a'),
      /file\/a cannot be written: something in its path is no folder \(ENOTDIR\); correct the path/
    ],
    [place, /refused cannot be written: it is a folder \(EISDIR\); name a file in it/],
    [
      join(place, 'n'.repeat(300)),
      /cannot be written: its name is too long \(ENAMETOOLONG\); choose a shorter one/
    ]
  ]
  for (const [path, expected] of cases) {
    for (const write of [
      async () => replaceFile(path, 'x'),
      () => writeAtomically(path, [new Uint8Array(1)])
    ]) {
      expect((await failure(write, 'FILE_NOT_WRITABLE')).message).toMatch(expected)
    }
  }
  expect(readdirSync(place)).toEqual(['file'])
  const full = unwritable('a.csv', Object.assign(new Error('ENOSPC: …'), { code: 'ENOSPC' }))
  expect(full.message).toBe(
    'a.csv cannot be written: the disk is full (ENOSPC); free some space, or choose another disk'
  )
  const many = unreadable('a.csv', Object.assign(new Error('EMFILE: …'), { code: 'EMFILE' }))
  expect(many.message).toMatch(
    'a.csv cannot be read: this process has too many files open (EMFILE); close some'
  )
  const below = await failure(() => fromFile(join(file, 'a.csv')), 'FILE_NOT_READABLE')
  expect(below.message).toMatch(
    /a\.csv cannot be read: something in its path is no folder \(ENOTDIR\); correct/
  )
})

test('a reader that has enough of standard output is no failure', async () => {
  const cli = join(dist, 'cli', 'index.js')
  const out = join(folder, 'run')
  const run = ['train', '--data', 'moons', '--hidden', '4', '--iterations', '2', '--no-report', '--quiet']
  expect(spawnSync(process.execPath, [cli, ...run, '--out', out]).status).toBe(0)
  const model = join(out, 'model.safetensors')
  const rows = ['--solver', 'euler', '--steps', '1', '-n', '200000', '--out', '-']
  const child = spawn(process.execPath, [cli, 'sample', '--model', model, ...rows])
  let printed = ''
  child.stderr.on('data', (text) => {
    printed += text
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const status = await new Promise((done) => child.on('close', done))
  expect([status, printed]).toEqual([0, ''])
})

test('standard output that is full is told, without a stack', () => {
  const cli = join(dist, 'cli', 'index.js')
  const full = openSync('/dev/full', 'w')
  const { status, stderr } = spawnSync(process.execPath, [cli, 'info'], {
    stdio: ['ignore', full, 'pipe'],
    encoding: 'utf8'
  })
  closeSync(full)
  expect([status, stderr]).toEqual([
    1,
    'ffjord: standard output cannot be written: the disk is full (ENOSPC); free some space, or choose another disk [FILE_NOT_WRITABLE]\n'
  ])
})
