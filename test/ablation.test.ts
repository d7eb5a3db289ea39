import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ablation } from '../bench/ablation'
import { fittedExponent } from '../bench/ablation/part'
import { binding } from '../lib/native/binding'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-ablation-'))
const parts = [
  'tolerance',
  'gradients',
  'layers',
  'probes',
  'bottleneck',
  'dimensions',
  'normalisation',
  'baselines'
]

beforeAll(() => {
  jest.spyOn(console, 'log').mockImplementation(() => {})
  jest.spyOn(console, 'error').mockImplementation(() => {})
})

afterAll(() => {
  jest.restoreAllMocks()
  rmSync(folder, { recursive: true, force: true })
})

test('an exponent is the slope of the logarithms', () => {
  const points = [1, 3, 10, 40].map((x) => ({ x, y: 5 * x ** -1.5 }))
  expect(fittedExponent(points)).toBeCloseTo(-1.5, 12)
})

test('a quick run leaves tables, numbers and figures of every part', async () => {
  await ablation(root, binding(), ['--quick', '--out', folder])
  expect(readdirSync(folder).sort()).toEqual(
    ['README.md', ...parts.flatMap((name) => [`${name}.json`, `${name}.svg`])].sort()
  )
  const page = readFileSync(join(folder, 'README.md'), 'utf8')
  for (const name of parts) {
    expect(page).toContain(`](${name}.svg)`)
    const { command, finding } = JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8'))
    expect(command).toContain('ablation --quick')
    expect(finding.rows.length).toBeGreaterThan(1)
    for (const row of finding.rows) expect(row).toHaveLength(finding.columns.length)
    // JSON writes what is not finite as null.
    expect(JSON.stringify(finding.data)).not.toContain('null')
    const figure = readFileSync(join(folder, `${name}.svg`), 'utf8')
    expect(figure).toMatch(/^<svg .*<\/svg>\n$/s)
    expect(figure).not.toMatch(/NaN|undefined/)
  }
}, 120_000)

test('one part can be run again by itself', async () => {
  const before = readFileSync(join(folder, 'layers.json'), 'utf8')
  await ablation(root, binding(), ['--quick', '--only', 'dimensions', '--out', folder])
  expect(readFileSync(join(folder, 'layers.json'), 'utf8')).toBe(before)
  expect(JSON.parse(readFileSync(join(folder, 'dimensions.json'), 'utf8')).command).toContain(
    '--only dimensions'
  )
}, 60_000)

test('an unknown part is refused', async () => {
  await expect(ablation(root, binding(), ['--only', 'layer'])).rejects.toThrow('there is no part layer')
})
