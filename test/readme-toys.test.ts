import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toyRecipe } from '../lib/cli/recipes'

interface Measured {
  sections: {
    name: string
    rows: string[][]
    data: { gap: number; iterations: number; warnings: number }[]
  }[]
}

const root = join(__dirname, '..')
const { sections } = JSON.parse(readFileSync(join(root, 'bench/results/toys.json'), 'utf8')) as Measured
const section = (name: string) => sections.find((one) => one.name === name)!

it('README.md shows the toy densities as they were measured', () => {
  const table = /<!-- toys: [^\n]*\n(.*?)<!-- \/toys -->/s.exec(
    readFileSync(join(root, 'README.md'), 'utf8')
  )![1]!
  const cells = table
    .trim()
    .split('\n')
    .slice(2)
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim())
    )
  expect(cells).toEqual(section('toys-summary').rows)
})

it('the toy densities were measured by the recipe of today: three seeds each, gaps within 0.05, no warning', () => {
  const runs = section('toys').data
  expect(runs).toHaveLength(24)
  for (const run of runs) {
    expect(run).toMatchObject({ iterations: toyRecipe.iterations, warnings: 0 })
    expect(run.gap).toBeLessThan(0.05)
  }
})
