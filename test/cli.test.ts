import { execFile, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fromFile, readSafetensors } from '../lib'

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-cli-'))
const run = join(folder, 'run')
const model = join(run, 'model.safetensors')
const small = [
  '--data',
  'moons',
  '--hidden',
  '16,16',
  '--batch',
  '64',
  '--rtol',
  '1e-3',
  '--atol',
  '1e-3',
  '--device',
  'cpu'
]

interface Outcome {
  code: number
  stdout: string
  stderr: string
}

function ffjord(...given: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...given], { cwd: folder }, (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

beforeAll(async () => {
  const options = [
    '--iterations',
    '60',
    '--validate-every',
    '30',
    '--validation-rows',
    '200',
    '--test-rows',
    '500'
  ]
  const { code, stderr } = await ffjord('train', ...small, '--out', run, ...options)
  if (code !== 0) throw new Error(stderr)
}, 120_000)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe('a wrong call', () => {
  test.each([
    ['an unknown option', ['train', '--data', 'moons', '--out', 'x', '--hiden', '8'], 'unknown option'],
    ['an unknown command', ['tarin'], 'unknown command'],
    ['no command', [], 'Usage'],
    ['a missing option', ['eval', '--data', 'moons'], '--model'],
    ['data that do not exist', ['train', '--data', 'mons', '--out', 'x'], 'neither a file nor a toy density'],
    ['a number that is none', ['train', '--data', 'moons', '--out', 'x', '--lr', 'fast'], 'Give a number'],
    [
      'a choice that is none',
      ['train', '--data', 'moons', '--out', 'x', '--solver', 'ode45'],
      'Allowed choices'
    ],
    [
      'steps of an adaptive solver',
      ['train', '--data', 'moons', '--out', 'x', '--steps', '5'],
      '--steps goes with euler'
    ],
    [
      'probes of an exact trace',
      ['train', '--data', 'moons', '--out', 'x', '--trace', 'exact', '--probes', '2'],
      'hutchinson'
    ],
    [
      'a coupling in maximum likelihood',
      ['train', '--data', 'moons', '--out', 'x', '--objective', 'ml', '--coupling', 'optimal'],
      '--objective fm'
    ],
    [
      'shards of what is no stream',
      ['train', '--data', 'moons', '--out', 'x', '--shard'],
      'give --stream as well'
    ],
    [
      'shared steps of rows that step by themselves',
      ['train', '--data', 'moons', '--out', 'x', '--control', 'sample', '--shared-steps', '--quiet'],
      "sharedSteps goes with control 'batch'"
    ],
    ['no folder to resume', ['train', '--resume', '--out', 'nowhere'], 'no training to resume'],
    ['a device that does not exist', ['train', '--data', 'moons', '--out', 'x', '--device', 'tpu'], 'tpu'],
    [
      'a model that does not exist',
      ['eval', '--model', 'none.safetensors', '--data', 'moons'],
      'none.safetensors'
    ],
    ['a folder that holds a run', ['train', '--data', 'moons', '--out', 'run'], '--overwrite'],
    ['a table of unknown kind', ['sample', '--model', 'm', '-n', '3', '--out', 'a.txt'], '.csv']
  ])('%s exits with 2, says why, and leaves nothing', async (_, given, reason) => {
    const { code, stdout, stderr } = await ffjord(...given)
    expect(stderr).toContain(reason)
    expect(stderr).not.toMatch(/^\s+at /m)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(existsSync(join(folder, 'x'))).toBe(false)
  })
})

describe('a job that fails', () => {
  test('a truncated model exits with 1', async () => {
    const cut = join(folder, 'cut.safetensors')
    writeFileSync(cut, readFileSync(model).subarray(0, 1000))
    const { code, stderr } = await ffjord('eval', '--model', cut, '--data', 'moons')
    expect(stderr).toContain('INVALID_FILE')
    expect(code).toBe(1)
  })

  test('data with a hole exits with 1 and names the line', async () => {
    const holed = join(folder, 'holed.csv')
    writeFileSync(holed, 'x,y\n1,2\n3,nan\n')
    const { code, stderr } = await ffjord(
      'logprob',
      '--model',
      model,
      '--data',
      holed,
      '--out',
      '-',
      '--missing',
      'refuse'
    )
    expect(stderr).toContain('line 3')
    expect(code).toBe(1)
  })
})

describe('train', () => {
  test('leaves model, metrics, report and figures', () => {
    expect(readdirSync(run).sort()).toEqual(
      [
        'density.svg',
        'metrics.jsonl',
        'model.safetensors',
        'options.json',
        'report.html',
        'training.svg'
      ].sort()
    )
    const metrics = readFileSync(join(run, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    expect(metrics.map(({ iteration }) => iteration)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
    expect(metrics.every(({ loss, nfe }) => Number.isFinite(loss) && nfe > 0)).toBe(true)
    expect(
      metrics.filter(({ validation }) => validation !== undefined).map(({ iteration }) => iteration)
    ).toEqual([30, 60])
  })

  test('matches flows first, then maximises the likelihood', async () => {
    const out = join(folder, 'fm')
    const objective = [
      '--objective',
      'fm+ml',
      '--coupling',
      'optimal',
      '--matching',
      '8',
      '--accumulate',
      '2'
    ]
    const given = [...small, '--out', out, '--iterations', '12', '--test-rows', '100', ...objective, '--json']
    const { code, stderr } = await ffjord('train', ...given)
    expect(`${code} ${stderr}`).toMatch(/^0 /)
    const phases = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { phase: string }).phase)
    expect(phases).toEqual([...Array(8).fill('fm'), ...Array(4).fill('ml')])
  }, 60_000)

  test('writes progress to stderr and the result to stdout', async () => {
    const out = join(folder, 'json')
    const given = [...small, '--out', out, '--iterations', '5', '--test-rows', '100', '--json']
    const { stdout, stderr, code } = await ffjord('train', ...given)
    expect(code).toBe(0)
    expect(stderr).toMatch(/5\/5 +loss/)
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({ out, iterations: 5, stopped: 'iterations', n: 100 })
    // The mean over 100 rows of log-ratios against the law's entropy: they differ by the noise of these rows.
    expect(Math.abs(result.klGap - (result.nll - result.entropy))).toBeLessThan(0.05)
    for (const file of result.files) expect(existsSync(join(out, file))).toBe(true)
  }, 60_000)

  test('a run in two parts ends with the same bits as in one', async () => {
    const [whole, parts] = [join(folder, 'whole'), join(folder, 'parts')]
    const given = [
      ...small,
      '--objective',
      'ml',
      '--schedule',
      'step',
      '--decay-every',
      '10',
      '--no-report',
      '--quiet',
      '--trace',
      'hutchinson'
    ]
    await ffjord('train', ...given, '--out', whole, '--iterations', '40')
    await ffjord('train', ...given, '--out', parts, '--iterations', '17')
    const { code } = await ffjord('train', '--resume', '--out', parts, '--iterations', '40')
    expect(code).toBe(0)
    const tensors = async (path: string) => (await readSafetensors(join(path, 'model.safetensors'))).tensors
    expect(await tensors(parts)).toEqual(await tensors(whole))
    const iterations = readFileSync(join(parts, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).iteration)
    expect(iterations).toEqual(Array.from({ length: 40 }, (_, i) => i + 1))
  }, 60_000)

  test('a resumed run refuses another architecture', async () => {
    const { code, stderr } = await ffjord('train', '--resume', '--out', run, '--hidden', '8')
    expect(stderr).toContain('hidden')
    expect(code).toBe(2)
  })

  test('an interrupted run saves, exits with 130, and resumes', async () => {
    const out = join(folder, 'interrupted')
    const child = spawn(process.execPath, [
      command,
      'train',
      ...small,
      '--out',
      out,
      '--iterations',
      '1000000'
    ])
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    await new Promise<void>((resolve) => {
      const poll = setInterval(() => {
        if (!existsSync(join(out, 'metrics.jsonl'))) return
        clearInterval(poll)
        resolve()
      }, 20)
    })
    // As `timeout` does, to the process and to its group.
    child.kill('SIGTERM')
    child.kill('SIGINT')
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(stderr).toMatch(/Interrupted at iteration \d+/)
    expect(code).toBe(130)
    const reached = Number(/at iteration (\d+)/.exec(stderr)![1])
    const { stdout } = await ffjord(
      'train',
      '--resume',
      '--out',
      out,
      '--iterations',
      String(reached + 3),
      '--no-report',
      '--json'
    )
    expect(JSON.parse(stdout)).toMatchObject({ iterations: reached + 3 })
  }, 60_000)

  test('trains on a file, and shows marginals and pairs', async () => {
    const csv = join(folder, 'table.csv')
    const rows = Array.from({ length: 200 }, (_, i) =>
      [Math.sin(i), Math.cos(3 * i), 5 + Math.sin(7 * i) * 2].join(',')
    )
    writeFileSync(csv, `a,b,c\n${rows.join('\n')}\n`)
    const out = join(folder, 'table')
    const given = [
      '--hidden',
      '8',
      '--batch',
      '32',
      '--iterations',
      '5',
      '--standardize',
      '--blocks',
      '2',
      '--batch-norm'
    ]
    const { code, stderr } = await ffjord('train', '--data', csv, '--out', out, ...given)
    expect(stderr).not.toContain('ffjord:')
    expect(code).toBe(0)
    const page = readFileSync(join(out, 'report.html'), 'utf8')
    for (const title of ['Marginals', 'Pairs of columns', '>a<', 'a × b']) expect(page).toContain(title)
  }, 60_000)
})

test('a table conditioned on some of its columns: train, eval, logprob and sample', async () => {
  const table = join(folder, 'conditional.csv')
  const lines = Array.from({ length: 400 }, (_, i) => `${(i % 20) + Math.sin(i)},${i % 20},${i % 3}`)
  writeFileSync(table, `x,a,b\n${lines.join('\n')}\n`)
  const out = join(folder, 'conditional')
  const given = [...small.slice(2), '--data', table, '--context', 'a,b', '--standardize', '--context-gates']
  const trained = await ffjord('train', ...given, '--out', out, '--objective', 'fm', '--iterations', '300')
  expect(`${trained.code} ${trained.stderr}`).toMatch(/^0 /)
  const conditional = join(out, 'model.safetensors')
  const { stdout } = await ffjord('eval', '--model', conditional, '--data', table, '--json')
  expect(JSON.parse(stdout).nll).toBeLessThan(2.5) // without a context about 3
  const sampled = await ffjord(
    'sample',
    '--model',
    conditional,
    '-n',
    '50',
    '--context',
    '10,1',
    '--out',
    '-'
  )
  const values = sampled.stdout
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => Number(line.split(',')[0]))
  expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / 50 - 10)).toBeLessThan(2)
  const none = await ffjord('sample', '--model', conditional, '-n', '5', '--out', '-')
  expect(none.stderr).toContain('--context a,b')
  expect(none.code).toBe(2)
  const scored = await ffjord('logprob', '--model', conditional, '--data', table, '--out', '-')
  expect(scored.stdout.trim().split('\n')).toHaveLength(401)
}, 60_000)

describe('a trained model', () => {
  test('eval prints JSON that programs read', async () => {
    const { stdout } = await ffjord('eval', '--model', model, '--data', 'moons', '--rows', '1000', '--json')
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({
      n: 1000,
      device: expect.any(String),
      trace: expect.stringContaining('exact')
    })
    expect(result.nll).toBeGreaterThan(result.entropy)
    expect(result.stderr).toBeGreaterThan(0)
    expect(result.nfe).toBeGreaterThan(6)
    expect(result.errors).toMatchObject({ rows: 1000, probe: 0 })
    expect(result.errors.solver).toBeGreaterThan(0)
  })

  test('eval agrees with logprob on the same rows', async () => {
    const samples = join(folder, 'samples.csv')
    expect(
      (await ffjord('sample', '--model', model, '-n', '300', '--seed', '3', '--out', samples)).code
    ).toBe(0)
    const { stdout } = await ffjord('eval', '--model', model, '--data', samples, '--json')
    expect(
      (await ffjord('logprob', '--model', model, '--data', samples, '--out', join(folder, 'lp.npy'))).code
    ).toBe(0)
    const { data, rows } = await fromFile(join(folder, 'lp.npy'))
    expect(rows).toBe(300)
    const mean = -Array.from(data).reduce((sum, value) => sum + value, 0) / rows
    expect(JSON.parse(stdout).nll).toBeCloseTo(mean, 4)
  })

  test('one seed gives one set of samples, as CSV and as npy', async () => {
    const [a, b] = [join(folder, 'a.csv'), join(folder, 'b.npy')]
    await ffjord('sample', '--model', model, '-n', '20', '--seed', '7', '--out', a)
    await ffjord('sample', '--model', model, '-n', '20', '--seed', '7', '--out', b)
    const other = await ffjord('sample', '--model', model, '-n', '20', '--seed', '8', '--out', '-')
    const [csv, npy] = [await fromFile(a), await fromFile(b)]
    expect(csv.columns).toEqual(['x1', 'x2'])
    expect([...csv.data]).toEqual([...npy.data])
    expect(other.stdout).not.toBe(readFileSync(a, 'utf8'))
  })

  test('plot writes the report into another folder', async () => {
    const out = join(folder, 'plots')
    const { code } = await ffjord('plot', '--model', model, '--data', 'moons', '--out', out, '--rows', '200')
    expect(code).toBe(0)
    expect(readdirSync(out).sort()).toEqual(['density.svg', 'report.html', 'training.svg'])
  }, 60_000)
})

describe('this machine', () => {
  test('info lists the engines', async () => {
    const { stdout } = await ffjord('info', '--json')
    const { engines, solvers } = JSON.parse(stdout)
    expect(engines.map(({ name }: { name: string }) => name)).toEqual(
      expect.arrayContaining(['reference', 'cpu'])
    )
    expect(solvers.map(({ name }: { name: string }) => name)).toContain('dopri5')
  })

  test('bench measures', async () => {
    const { stdout } = await ffjord('bench', '--json')
    const { milliseconds, peakGflops } = JSON.parse(stdout)
    expect(milliseconds.iteration).toBeGreaterThan(0)
    expect(peakGflops).toBeGreaterThan(0)
  }, 30_000)
})
