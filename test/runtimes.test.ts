// The package under other runtimes than Node, where they are on the PATH.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(__dirname, '..')
const runtimes: [string, string[]][] = [
  ['bun', ['run']],
  ['deno', ['run', '-A']]
]
const program = `
import { Flow, toy } from 'ffjord'
const net = { hidden: [8, 8], layer: 'concat' as const }
const flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net }], seed: 0 })
const losses: number[] = []
for await (const { loss } of flow.fit(toy('moons'), { iterations: 40, batch: 64 })) losses.push(loss)
await flow.save('model.safetensors')
const again = await Flow.load('model.safetensors')
const { data } = await again.sample(10, { seed: 1 })
const same = (await again.logProb(data)).every((value, i) => value === flow.logProbSync(data)[i])
const code = await again.logProb([[0, 0, 0]]).catch((error) => error.code)
console.log(JSON.stringify({ losses: losses.every(Number.isFinite), samples: data.length, same, code }))
`

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-runtimes-'))
  mkdirSync(join(folder, 'node_modules'))
  symlinkSync(root, join(folder, 'node_modules', 'ffjord'))
  writeFileSync(join(folder, 'package.json'), '{ "private": true }')
  writeFileSync(join(folder, 'program.mts'), program)
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

for (const [name, given] of runtimes) {
  const there = spawnSync(name, ['--version']).status === 0
  const testWhereThere = there ? test : test.skip
  const reason = there ? '' : ` (skipped: there is no ${name} here)`
  testWhereThere(`${name} trains, saves, loads, samples and refuses${reason}`, () => {
    const { stdout, stderr } = spawnSync(name, [...given, 'program.mts'], { cwd: folder, encoding: 'utf8' })
    expect(stderr).not.toMatch(/error/i)
    expect(JSON.parse(stdout)).toEqual({ losses: true, samples: 20, same: true, code: 'INVALID_SHAPE' })
  })
}
