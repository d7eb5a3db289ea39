// The commands of docs/tables.md, in their order, on a small table of the same form.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { RowRandom } from '../lib/data/random'

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
const text = readFileSync(join(__dirname, '..', 'docs', 'tables.md'), 'utf8')

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-tutorial-'))
  const random = new RowRandom(0)
  const lines = Array.from({ length: 600 }, (_, i) => {
    random.seek(i)
    const gap = Math.exp(random.normal())
    const watts = () => Math.floor(20 * random.uniform() ** 3)
    const row = [
      gap,
      0.1 * random.uniform(),
      240 - gap + 3 * random.normal(),
      4.2 * gap * (1 + 0.01 * random.normal())
    ]
    return [...row.map((value) => value.toPrecision(5)), watts(), watts(), watts(), i % 1440].join(',')
  })
  writeFileSync(
    join(folder, 'power.csv'),
    `gap,grp,voltage,intensity,sm1,sm2,sm3,minute\n${lines.join('\n')}\n`
  )
  const orders = Array.from({ length: 300 }, (_, i) => {
    random.seek(i)
    const placed = new Date(Date.UTC(2024, 2, 1) + 6e4 * Math.floor(131_400 * random.uniform()))
    const [day, time] = placed.toISOString().slice(0, 16).split('T')
    const kind = ['"books, used"', 'games', 'toys'][Math.floor(3 * random.uniform())]
    const rating = random.uniform() < 0.1 ? '' : (3.5 + 0.5 * random.normal()).toFixed(1)
    const amount = Math.exp(2 + random.normal()).toFixed(2)
    return [`A${i}`, day, `${day} ${time}`, amount, kind, i % 3 ? 'False' : 'True', 'DE', rating].join(',')
  })
  writeFileSync(
    join(folder, 'orders.csv'),
    `id,day,placed,amount,kind,express,country,rating\n${orders.join('\n')}\n`
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

/** Commands of the blocks marked `sh`. */
const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block]) => block!.trim().split('\n'))

test('the tutorial has its commands', () => {
  expect(commands.map((line) => line.split(' ')[2])).toEqual([
    'train',
    'inspect',
    'train',
    'logprob',
    'sample',
    'train',
    'logprob',
    'logprob',
    'sample',
    'eval',
    'plot'
  ])
})

test.each(commands)('%s', async (line) => {
  const [npx, ffjord, name, ...given] = line.split(' ')
  expect([npx, ffjord]).toEqual(['npx', 'ffjord'])
  const brief = name === 'train' ? ['--iterations', '20', '--hidden', '8,8', '--no-report'] : []
  const { code, stderr } = await new Promise<{ code: number; stderr: string }>((resolve) => {
    execFile(process.execPath, [command, name!, ...given, ...brief], { cwd: folder }, (error, _, stderr) =>
      resolve({ code: error ? Number(error.code) : 0, stderr })
    )
  })
  expect(stderr).not.toContain('ffjord:')
  expect(code).toBe(0)
})

test('what the commands leave', () => {
  const head = (file: string) => readFileSync(join(folder, file), 'utf8').split('\n')[0]
  expect(head('scored.csv')).toBe('gap,grp,voltage,intensity,sm1,sm2,sm3,minute,log_prob,quantile')
  expect(head('orders-scored.csv')).toBe('id,day,placed,amount,kind,express,country,rating,log_prob,quantile')
  expect(head('orders-drawn.csv')).toBe('day,placed,amount,kind,express,rating')
  expect(head('synthetic.csv')).toBe('gap,grp,voltage,intensity,sm1,sm2,sm3,minute')
  expect(readFileSync(join(folder, 'report', 'report.html'), 'utf8')).toContain('Marginals')
})
