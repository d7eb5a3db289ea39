/** Lines of progress while rows are scored or drawn: none of quick jobs, and numbers that add up of others. */
import { TABLE_PATIENCE, withCountingLine } from '../lib/cli/scoring'

/** What a job prints whose rows are counted at these milliseconds. */
async function printed(
  counted: readonly (readonly [at: number, rows: number])[],
  options: { quiet?: boolean; total?: number } = {}
): Promise<string> {
  let now = 0
  let text = ''
  jest.spyOn(performance, 'now').mockImplementation(() => now)
  jest.spyOn(process.stderr, 'write').mockImplementation((part) => {
    text += part
    return true
  })
  await withCountingLine({ doing: 'Scoring', ...options }, async (count) => {
    for (const [at, rows] of counted) {
      now = at
      count(rows)
    }
  })
  return text
}

afterEach(() => jest.restoreAllMocks())

test('a quick job prints nothing', async () => {
  expect(await printed([[TABLE_PATIENCE - 1, 1e6]])).toBe('')
})

test('a long one tells its rows and their rate, and its last count once', async () => {
  const times = [
    [1000, 500],
    [4000, 1000],
    [5000, 2000],
    [10_000, 30_000]
  ] as const
  expect(await printed(times)).toBe('Scoring  1000 rows  250/s\nScoring  30000 rows  3000/s\n')
  expect(await printed(times.slice(0, 3))).toBe('Scoring  1000 rows  250/s\nScoring  2000 rows  400/s\n')
})

test('the whole is told where it is known', async () => {
  expect(await printed([[4000, 10]], { total: 20 })).toBe('Scoring  10/20 rows  2.5/s\n')
})

test('a quiet one prints nothing', async () => {
  expect(await printed([[4000, 1000]], { quiet: true })).toBe('')
})
