// The package under other runtimes than Node, where they are on the PATH.
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(__dirname, '..')
const runtimes: [string, string[]][] = [
  ['node', []],
  ['bun', ['run']],
  ['deno', ['run', '-A']]
]

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-runtimes-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'ffjord'))
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  copyFileSync(join(root, 'test/platform.mjs'), join(folder, 'platform.mjs'))
  const quickstart = readFileSync(join(root, 'examples/quickstart.mts'), 'utf8')
  writeFileSync(join(folder, 'quickstart.mts'), quickstart.replace('iterations: 2000', 'iterations: 30'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

for (const [name, given] of runtimes) {
  const there = spawnSync(name, ['--version']).status === 0
  const testWhereThere = there ? test : test.skip
  const reason = there ? '' : ` (skipped: no ${name} runs here)`
  const run = (program: string) =>
    spawnSync(name, [...given, program], { cwd: folder, encoding: 'utf8', timeout: 120_000 })

  testWhereThere(`${name} trains, saves, loads, samples, reads tables and refuses${reason}`, () => {
    const { status, stdout, stderr } = run('platform.mjs')
    expect(stderr).not.toMatch(/error/i)
    expect(status).toBe(0)
    expect(JSON.parse(stdout).platform).toBe(`${process.platform}-${process.arch}`)
  })

  // Node runs TypeScript from 22.18 on.
  if (name !== 'node')
    testWhereThere(`${name} runs the quick start as it stands${reason}`, () => {
      const { status, stdout } = run('quickstart.mts')
      expect(status).toBe(0)
      expect(stdout).toMatch(/20000\s*$/)
      expect(readFileSync(join(folder, 'model.safetensors')).length).toBeGreaterThan(1000)
    })
}
