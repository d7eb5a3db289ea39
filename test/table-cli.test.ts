import { execFile, execFileSync, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, fromFile } from 'ffjord'

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
let folder: string
let csv: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-table-'))
  csv = join(folder, 'houses.csv')
  const lines = Array.from({ length: 400 }, (_, i) => {
    const [a, b, c] = [Math.sin(i * 12.9898), Math.sin(i * 78.233), Math.sin(i * 3.1)]
    const area = 80 + 30 * a + 10 * b
    return [(1000 * area * Math.exp(0.2 * c)).toFixed(2), area.toFixed(3), Math.round(3 + a + b), 'x'].join(
      ','
    )
  })
  writeFileSync(csv, `price,area,rooms,note\n${lines.join('\n')}\n`)
})
afterAll(() => rmSync(folder, { recursive: true }))

interface Outcome {
  code: number | null
  stdout: string
  stderr: string
}

function ffjord(...given: string[]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(process.execPath, [command, ...given], (error, stdout, stderr) =>
      resolve({ code: error ? Number(error.code ?? -1) : 0, stdout, stderr })
    )
  })
}

const brief = ['--hidden', '8,8', '--blocks', '1', '--iterations', '30', '--batch', '64', '--device', 'cpu']
const ignored = ['--exclude', 'note', '--bounds', 'price=0:,area=0:']

test('--stream trains from the file, resumes, and reports as for a table in memory', async () => {
  const run = join(folder, 'streamed')
  const given = ['--data', csv, ...ignored, '--stream', '--context', 'area']
  const trained = await ffjord('train', '--out', run, ...given, ...brief, '--json')
  expect(trained.stderr).toContain('Training on')
  const { nll, iterations } = JSON.parse(trained.stdout)
  expect([Number.isFinite(nll), iterations]).toEqual([true, 30])
  expect(readFileSync(join(run, 'report.html'), 'utf8')).toContain('Least likely rows (test)')
  using flow = await Flow.load(join(run, 'model.safetensors'))
  expect(flow.table).toMatchObject({
    columns: [
      { name: 'price', type: 'real', lower: 0 },
      { name: 'rooms', type: 'integer', step: 1 }
    ],
    context: [{ name: 'area' }]
  })
  const more = await ffjord('train', '--resume', '--out', run, '--iterations', '40', '--no-report', '--json')
  expect(JSON.parse(more.stdout).iterations).toBe(40)

  const toy = await ffjord('train', '--data', 'moons', '--out', join(folder, 'no'), '--stream')
  expect([toy.code, toy.stderr]).toEqual([2, expect.stringContaining('moons is none')])
  const epochs = await ffjord('train', '--out', join(folder, 'no'), ...given, '--epochs', '2')
  expect([epochs.code, epochs.stderr]).toEqual([2, expect.stringContaining('--iterations')])
}, 120_000)

describe('a table', () => {
  let run: string
  let model: string
  beforeAll(async () => {
    run = join(folder, 'run')
    model = join(run, 'model.safetensors')
    const outcome = await ffjord('train', '--data', csv, '--out', run, ...ignored, ...brief, '--json')
    if (outcome.code !== 0) throw new Error(outcome.stderr)
    const { nll, baselines } = JSON.parse(outcome.stdout)
    expect(nll).toBeGreaterThan(0)
    expect(baselines.map(({ name }: { name: string }) => name)).toEqual([
      'Gaussian, full covariance',
      expect.stringContaining('Mixture')
    ])
  }, 120_000)

  test('the model keeps columns, intervals and the matrix that whitens', async () => {
    using flow = await Flow.load(model)
    expect(flow.description.blocks.map(({ type }) => type)).toEqual(['support', 'whiten', 'cnf'])
    expect(flow.table).toMatchObject({
      columns: [
        { name: 'price', type: 'real', lower: 0 },
        { name: 'area', type: 'real', lower: 0 },
        { name: 'rooms', type: 'integer', step: 1 }
      ]
    })
    expect(flow.table!.logProbQuantiles).toHaveLength(1001)
  })

  test('the report shows scores, extremes and other densities', () => {
    const page = readFileSync(join(run, 'report.html'), 'utf8')
    for (const title of [
      'Marginals',
      'Log-densities',
      'Least likely rows (test)',
      'Gaussian, full covariance'
    ])
      expect(page).toContain(title)
  })

  test('logprob adds columns to the table, whatever the order of its columns', async () => {
    const shuffled = join(folder, 'shuffled.csv')
    writeFileSync(shuffled, 'note,rooms,area,price\n"a, ""b""",3,80.5,81000\nz,4,95,1e7\n')
    const out = join(folder, 'scored.csv')
    expect((await ffjord('logprob', '--model', model, '--data', shuffled, '--out', out)).code).toBe(0)
    const lines = readFileSync(out, 'utf8').trim().split('\n')
    expect(lines[0]).toBe('note,rooms,area,price,log_prob,quantile')
    expect(lines[1]).toMatch(/^"a, ""b""",3,80.5,81000,-[\d.]+,0\.\d+$/)
    expect(lines[2]).toMatch(/^z,4,95,1e7,-[\d.]+,0$/)
  })

  test('rows that cannot be used stay without a log-density; outside of the bounds it is −∞', async () => {
    const holes = join(folder, 'holes.csv')
    writeFileSync(holes, 'price,area,rooms\n81000,80.5,3\n,95,4\n-1,95,4\n')
    const out = join(folder, 'holes-scored.csv')
    const score = ['logprob', '--model', model, '--data', holes, '--out', out]
    const refused = await ffjord(...score, '--missing', 'refuse')
    expect([refused.code, existsSync(out)]).toEqual([1, false])
    expect(refused.stderr).toContain("holes.csv, line 3, column 1 ('price'): the value is missing")
    const { stderr } = await ffjord(...score)
    expect(stderr).toContain('log-densities of 3 rows in ')
    expect(stderr).toContain('1 rows without one, which lack cells')
    expect(readFileSync(out, 'utf8').trim().split('\n').slice(2)).toEqual([',95,4,,', '-1,95,4,-Infinity,0'])
  })

  test('samples have the columns and types of the table, as CSV and as Parquet', async () => {
    const [text, parquet] = [join(folder, 's.csv'), join(folder, 's.parquet')]
    for (const out of [text, parquet])
      expect((await ffjord('sample', '--model', model, '-n', '200', '--seed', '5', '--out', out)).code).toBe(
        0
      )
    const data = await fromFile(text)
    expect(data.columns).toEqual(['price', 'area', 'rooms'])
    expect(data.schema.columns[2]!.type).toBe('integer')
    expect(data.data.filter((_, i) => i % 3 === 0).every((price) => price > 0)).toBe(true)
    expect([...(await fromFile(parquet)).data]).toEqual([...data.data])
  })

  test('Parquet in, Parquet out', async () => {
    const [data, out] = [join(folder, 'in.parquet'), join(folder, 'out.parquet')]
    const { parquetWriteFile } = await import('hyparquet-writer')
    parquetWriteFile({
      filename: data,
      columnData: [
        { name: 'id', data: ['a', 'b'], type: 'STRING' },
        { name: 'rooms', data: Int32Array.of(3, 4), type: 'INT32' },
        { name: 'area', data: Float64Array.of(80, 95), type: 'DOUBLE' },
        { name: 'price', data: Float64Array.of(81_000, 90_000), type: 'DOUBLE' }
      ]
    })
    expect((await ffjord('logprob', '--model', model, '--data', data, '--out', out)).code).toBe(0)
    const { asyncBufferFromFile, parquetReadObjects } = await import('hyparquet')
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(out) })
    expect(rows).toEqual([
      {
        id: 'a',
        rooms: 3,
        area: 80,
        price: 81_000,
        log_prob: expect.any(Number),
        quantile: expect.any(Number)
      },
      {
        id: 'b',
        rooms: 4,
        area: 95,
        price: 90_000,
        log_prob: expect.any(Number),
        quantile: expect.any(Number)
      }
    ])
  })

  test('eval reads the columns that the model knows', async () => {
    const { stdout, code } = await ffjord('eval', '--model', model, '--data', csv, '--json')
    expect([code, JSON.parse(stdout).n]).toEqual([0, 400])
    const against = await ffjord('eval', '--model', model, '--data', csv, '--against', csv, '--json')
    expect(JSON.parse(against.stdout).baselines).toHaveLength(2)
    const changed = join(folder, 'changed.csv')
    writeFileSync(changed, 'price,size,rooms\n1,2,3\n')
    const refused = await ffjord('eval', '--model', model, '--data', changed)
    expect(refused.code).toBe(2)
    expect(refused.stderr).toContain("has no column 'area', which the model was trained on")
  })
})

describe('a density given a category and a number', () => {
  let out: string
  let table: string
  let model: string
  beforeAll(async () => {
    out = join(folder, 'given')
    table = join(folder, 'given.csv')
    model = join(out, 'model.safetensors')
    const lines = Array.from({ length: 400 }, (_, i) => {
      const kind = ['red', 'blue', 'green'][i % 3]!
      const size = 2 + Math.sin(i * 0.7)
      const centre = { red: -6, blue: 0, green: 6 }[kind]!
      return [
        kind,
        (centre + Math.sin(i * 12.9)).toFixed(4),
        size.toFixed(3),
        (size + Math.cos(i * 78.2)).toFixed(4)
      ].join()
    })
    writeFileSync(table, `kind,price,size,weight\n${lines.join('\n')}\n`)
    const given = [
      '--context',
      'size,kind',
      '--categorical',
      'one-hot',
      '--standardize',
      '--iterations',
      '300'
    ]
    const outcome = await ffjord('train', '--data', table, '--out', out, ...brief, ...given, '--json')
    if (outcome.code !== 0) throw new Error(outcome.stderr)
    expect(JSON.parse(outcome.stdout).files).toContain('report.html')
  }, 120_000)

  test('the context has an element a level, of zeros and ones', async () => {
    using flow = await Flow.load(model)
    expect(flow.description.context).toMatchObject({
      size: 4,
      columns: ['size', 'kind=blue', 'kind=green', 'kind=red']
    })
    expect(flow.table!.context).toEqual([
      expect.objectContaining({ name: 'size', type: 'real' }),
      { name: 'kind', type: 'category', levels: ['blue', 'green', 'red'], exact: true }
    ])
    const data = await fromFile(table, { categorical: 'one-hot', context: ['kind', 'size'] })
    const { contextData, columns } = data.condition(['kind'])
    expect(columns).toEqual(['price', 'size', 'weight'])
    expect([...contextData!.slice(0, 9)]).toEqual([0, 0, 1, 1, 0, 0, 0, 1, 0])
  })

  test('the report shows curves, log-densities, marginals, and rows with their context', () => {
    const page = readFileSync(join(out, 'report.html'), 'utf8')
    for (const words of [
      'Marginals',
      'one sample at the context of each row',
      'Log-densities',
      'Least likely rows (test)',
      '<th>given kind</th>',
      'id="charts"',
      'Conditioned on'
    ])
      expect(page).toContain(words)
    expect(page).not.toContain('From base to data')
  })

  test('samples follow the level that is given, by value or by table', async () => {
    const mean = async (context: string) => {
      const samples = join(folder, 'given-samples.csv')
      const { code, stderr } = await ffjord(
        'sample',
        '--model',
        model,
        '-n',
        '200',
        '--context',
        context,
        '--out',
        samples
      )
      expect([code, stderr]).toEqual([0, expect.any(String)])
      // With the columns that they are conditioned on, in the order of the training file.
      const [head] = readFileSync(samples, 'utf8').split('\n', 1)
      expect(head).toBe('kind,price,size,weight')
      const { data, columns } = await fromFile(samples, { columns: ['price', 'weight'] })
      expect(columns).toEqual(['price', 'weight'])
      return [...data].reduce((sum, value, i) => sum + (i % 2 === 0 ? value / 200 : 0), 0)
    }
    expect(await mean('2,red')).toBeLessThan(-3)
    expect(await mean('size=2,kind=green')).toBeGreaterThan(3)
    expect(await mean('{"kind": "green", "size": 2}')).toBeGreaterThan(3)
    const contexts = join(folder, 'contexts.csv')
    writeFileSync(contexts, `kind,note,size\n${'red,a,2\n'.repeat(200)}`)
    expect(await mean(contexts)).toBeLessThan(-3)
    writeFileSync(contexts, 'kind,note,size\nred,a,2\n')
    expect(await mean(contexts)).toBeLessThan(-3)
  })

  test.each([
    [['--context', '2,pink'], "'pink' is no level of 'kind' (blue, green, red)"],
    [['--context', '2'], 'size,kind as values (kind: blue, green, red)'],
    [['--context', 'big,red'], "'big' is given for 'size'"],
    [[], 'size,kind as values']
  ])('sample with %j is refused', async (given, words) => {
    const { code, stderr } = await ffjord('sample', '--model', model, '-n', '5', '--out', '-', ...given)
    expect(stderr).toContain(words)
    expect(code).toBe(2)
  })

  test('eval, logprob and plot read the context by name, and refuse levels that training never saw', async () => {
    const shuffled = join(folder, 'given-shuffled.csv')
    writeFileSync(shuffled, 'weight,kind,id,price,size\n2.5,red,1,-6,2\n2.5,red,2,6,2\n')
    const { stdout } = await ffjord('logprob', '--model', model, '--data', shuffled, '--out', '-')
    const scores = stdout
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => Number(line.split(',')[5]))
    expect(scores[0]).toBeGreaterThan(scores[1]! + 3)
    const evaluated = await ffjord('eval', '--model', model, '--data', table, '--json')
    expect(JSON.parse(evaluated.stdout).n).toBe(400)
    const figures = join(folder, 'given-figures')
    expect((await ffjord('plot', '--model', model, '--data', table, '--out', figures)).code).toBe(0)
    const page = readFileSync(join(figures, 'report.html'), 'utf8')
    expect(page).toContain('How the flow scores the rows.')
    expect(page).toContain('Least likely rows (data)')
    expect(page).not.toContain('closest training row')
    const against = ['--data', shuffled, '--against', table, '--out', figures]
    expect((await ffjord('plot', '--model', model, ...against)).code).toBe(0)
    const both = readFileSync(join(figures, 'report.html'), 'utf8')
    expect(both).toContain('rows it was trained on, and rows it never saw')
    expect(both).toContain('Least likely rows (test)')
    expect(both).toContain('Distance to the closest training row')
    writeFileSync(shuffled, 'weight,kind,price,size\n2.5,pink,-6,2\n')
    const unknown = await ffjord('eval', '--model', model, '--data', shuffled)
    expect(unknown.stderr).toContain("line 2, column 2 ('kind'): 'pink' is no level that training saw")
    writeFileSync(shuffled, 'weight,price,size\n2.5,-6,2\n')
    const missing = await ffjord('eval', '--model', model, '--data', shuffled)
    expect(missing.stderr).toContain("has no column 'kind', which the model was trained on")
  })
})

test.each([
  [['--columns', 'price,note', '--categorical', 'refuse'], 1, "line 2, column 4 ('note'): 'x' is no number"],
  [['--exclude', 'nota'], 2, "did you mean 'note'?"],
  [['--exclude', 'note', '--bounds', 'price=0:100'], 1, "lies outside the column's interval (0, 100)"],
  [['--exclude', 'note', '--bounds', 'prize=0:'], 2, "did you mean 'price'?"],
  [['--exclude', 'note', '--bounds', 'price'], 2, 'name=lower:upper'],
  [['--columns', 'price,price'], 2, 'twice'],
  [['--exclude', 'note', '--validation', '0.0001'], 1, 'empty'],
  [['--exclude', 'note', '--test', '/nowhere.csv'], 2, '/nowhere.csv']
] as const)('train with %j ends with %d', async (given, expected, words) => {
  const { code, stderr } = await ffjord(
    'train',
    '--data',
    csv,
    '--out',
    join(folder, 'refused'),
    ...brief,
    ...given
  )
  expect(stderr).toContain(words)
  expect(code).toBe(expected)
  expect(existsSync(join(folder, 'refused', 'model.safetensors'))).toBe(false)
})

describe('a table that cannot be used', () => {
  /** 200 rows of a, b and c, with `change` made to the cells of each. */
  function write(name: string, change: (row: string[], i: number) => void, head = 'a,b,c'): string {
    const path = join(folder, name)
    const lines = Array.from({ length: 200 }, (_, i) => {
      const row = [12.9, 7.1, 3.3].map((pace) => Math.sin(i * pace).toFixed(4))
      change(row, i)
      return row.join(',')
    })
    writeFileSync(path, `${head}\n${lines.join('\n')}\n`)
    return path
  }
  const at50 = (work: (row: string[]) => void) => (row: string[], i: number) => {
    if (i === 50) work(row)
  }
  const train = (path: string, out: string, ...given: string[]) =>
    ffjord('train', '--data', path, '--out', join(folder, out), ...brief, '--no-report', ...given)
  const set = (c: number, value: string) => at50((row) => (row[c] = value))

  test.each<[string, (row: string[], i: number) => void, string]>([
    ['a repeated column', (row) => (row[2] = row[0]!), "column 'c' repeats 'a'"],
    [
      'a repeated column of whole numbers',
      (row, i) => (row[0] = row[2] = String((i * i) % 17)),
      "column 'c' repeats 'a'"
    ],
    ['a cell more', at50((row) => row.push('9')), 'line 52: 4 columns in place of 3'],
    ['a cell less', at50((row) => row.pop()), 'line 52: 2 columns in place of 3'],
    [
      'text',
      set(1, 'abc'),
      "column 'b' has 1 of 200 cells that are no numbers, such as 'abc' in line 52; leave out"
    ],
    ['inf', set(1, '-inf'), "such as '-inf' in line 52"],
    ['1e400', set(0, '1e400'), "such as '1e400' in line 52"],
    ['1e39', set(0, '1e39'), "line 52, column 1 ('a'): '1e39' is more than float32 holds"]
  ])('%s', async (name, change, words) => {
    const path = write(`${name}.csv`, change)
    const { code, stderr } = await train(path, name)
    expect(stderr).toContain(`${path}, `)
    expect(stderr).toContain(words)
    expect(code).toBe(1)
  })

  test('what stands in all columns is told at once, with the flags that help', async () => {
    const path = write(
      'several.csv',
      at50((row) => {
        row[0] = 'abc'
        row[2] = '-'
      })
    )
    const { code, stderr } = await train(path, 'several')
    expect([code, stderr]).toEqual([1, expect.stringContaining('(--invalid drop, or --exclude a)')])
    expect(stderr).toContain('(--invalid drop, or --exclude c)')
    const dropped = await train(path, 'several', '--invalid', 'drop')
    expect([dropped.code, dropped.stderr]).toEqual([0, expect.stringContaining('1 of 200 rows')])
  })

  test.each<[string, (row: string[], i: number) => void, string]>([
    ['a constant', (row) => (row[1] = '0.5'), 'left out: a constant (0.5)'],
    ['a whole constant', (row) => (row[1] = '5'), 'left out: a constant (5)'],
    ['an id', (row, i) => (row[1] = `A${i}`), 'left out: an id or a remark'],
    ['a row number', (row, i) => (row[1] = String(i)), 'left out: a row number or an index'],
    ['NaN', set(1, 'NaN'), '1 of 200 rows of '],
    ['nothing', set(2, ''), '1 of 200 rows of ']
  ])('%s is left out, and told', async (name, change, words) => {
    const { code, stderr } = await train(write(`${name}.csv`, change), name)
    expect([code, stderr]).toEqual([0, expect.stringContaining(words)])
  })

  test('columns of a resumed run that changed', async () => {
    const path = write('resumed.csv', () => undefined)
    expect((await train(path, 'resumed')).code).toBe(0)
    const resume = () => ffjord('train', '--resume', '--out', join(folder, 'resumed'), '--iterations', '40')
    for (const head of ['a,b,d', 'c,b,a']) {
      write('resumed.csv', () => undefined, head)
      const { code, stderr } = await resume()
      expect(stderr).toContain(
        `resumed.csv has the columns ${head.replaceAll(',', ', ')}, and the run was started on a, b, c`
      )
      expect(code).toBe(1)
    }
  })

  test('dates of a resumed run that begin earlier', async () => {
    const path = join(folder, 'dated.csv')
    const days = Array.from({ length: 60 }, (_, i) => `${10 + ((7 * i) % 19)}/05/2024,${Math.sin(i)}`)
    const put = (first: string[]) => writeFileSync(path, `d,x\n${[...first, ...days].join('\n')}\n`)
    put([])
    expect((await train(path, 'dated')).code).toBe(0)
    put(['01/05/2024,0.5'])
    const { code, stderr } = await ffjord(
      'train',
      '--resume',
      '--out',
      join(folder, 'dated'),
      '--iterations',
      '40'
    )
    expect(stderr).toContain(
      "dated.csv has 'd' in days since 2024-05-01, and the run was started on days since 2024-05-10; resume with the table as it was"
    )
    expect(code).toBe(1)
  })

  test('a context that training did not have', async () => {
    const path = write('contexts.csv', () => undefined)
    expect((await train(path, 'contexts', '--context', 'c')).code).toBe(0)
    const model = join(folder, 'contexts', 'model.safetensors')
    const evaluate = (data: string) => ffjord('eval', '--model', model, '--data', data, '--json')
    const toy = await evaluate('moons')
    expect([toy.code, toy.stderr]).toEqual([
      2,
      expect.stringContaining('the context (c) lies in columns of a table')
    ])
    const less = await evaluate(write('less.csv', (row) => row.pop(), 'a,b'))
    expect([less.code, less.stderr]).toEqual([
      2,
      expect.stringContaining("no column 'c', which the model was trained on")
    ])
    // Columns without names are taken by their places.
    const unnamed = await evaluate(write('unnamed.csv', () => undefined, '0.1,0.2,0.3'))
    expect(unnamed.stderr).toBe('')
    expect(JSON.parse(unnamed.stdout).n).toBe(201)
    const scored = await ffjord(
      'logprob',
      '--model',
      model,
      '--data',
      join(folder, 'unnamed.csv'),
      '--out',
      '-'
    )
    expect(scored.stdout.trim().split('\n')).toHaveLength(202)
  })
})

test('values that repeat are pointed out; columns that float32 cannot hold are float64', async () => {
  const lines = Array.from({ length: 400 }, (_, i) => `${(0.25 * (i % 5)).toFixed(2)},${1e6 + Math.sin(i)}`)
  const path = join(folder, 'repeats.csv')
  writeFileSync(path, `a,b\n${lines.join('\n')}\n`)
  const run = ['train', '--data', path, '--out', join(folder, 'repeats'), ...brief, '--no-report']
  const { stderr } = await ffjord(...run)
  expect(stderr).toContain("column 'a' has only 5 different values in 400 rows")
  expect(stderr).toContain('--dequantize a=0.25')
  expect(stderr).not.toContain("column 'b'")
})

describe('a run that is killed', () => {
  const endless = [
    '--hidden',
    '8,8',
    '--blocks',
    '1',
    '--batch',
    '64',
    '--exclude',
    'note',
    '--iterations',
    '1000000',
    '--stop-after',
    '1000000'
  ]

  /** Starts a run, and ends it with SIGKILL once `moment` has come. */
  async function killed(out: string, moment: () => boolean): Promise<void> {
    const child = spawn(process.execPath, [command, 'train', '--data', csv, '--out', out, ...endless])
    await new Promise<void>((resolve, reject) => {
      child.on('exit', (code) => reject(new Error(`ended with ${code} by itself`)))
      const poll = setInterval(() => {
        if (!moment()) return
        clearInterval(poll)
        child.removeAllListeners('exit')
        child.on('exit', () => resolve())
        child.kill('SIGKILL')
      }, 5)
    })
  }

  const resume = (out: string, iterations: number) =>
    ffjord('train', '--resume', '--out', out, '--iterations', String(iterations), '--no-report', '--json')

  test('goes on from its last checkpoint', async () => {
    const out = join(folder, 'killed')
    const model = join(out, 'model.safetensors')
    await killed(out, () => existsSync(model))
    using flow = await Flow.load(model)
    const reached = Number(/"iteration":(\d+)/.exec(JSON.stringify(await metadata(model)))![1])
    expect(reached).toBeGreaterThan(0)
    expect(flow.table!.columns.map(({ name }) => name)).toEqual(['price', 'area', 'rooms'])
    const { stdout, stderr } = await resume(out, reached + 20)
    expect(stderr).not.toContain('ffjord:')
    expect(JSON.parse(stdout)).toMatchObject({ iterations: reached + 20 })
    const iterations = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).iteration as number)
    expect(iterations).toEqual(Array.from({ length: reached + 20 }, (_, i) => i + 1))
  }, 120_000)

  test('starts again where it had no checkpoint yet', async () => {
    // A run may be faster than the kill, though hardly ten times.
    let out = ''
    for (let attempt = 0; attempt < 10; attempt++) {
      out = join(folder, `early${attempt}`)
      await killed(out, () => existsSync(join(out, 'options.json')))
      if (!existsSync(join(out, 'model.safetensors'))) break
    }
    expect(existsSync(join(out, 'model.safetensors'))).toBe(false)
    const { stdout, code } = await resume(out, 10)
    expect([code, JSON.parse(stdout).iterations]).toEqual([0, 10])
  }, 120_000)

  test('keeps the last checkpoint where its folder goes away', async () => {
    const [out, moved] = [join(folder, 'moved-from'), join(folder, 'moved-to')]
    const child = spawn(process.execPath, [command, 'train', '--data', csv, '--out', out, ...endless])
    let stderr = ''
    child.stderr.on('data', (text) => {
      stderr += text
    })
    const poll = setInterval(() => {
      if (!existsSync(join(out, 'model.safetensors'))) return
      clearInterval(poll)
      renameSync(out, moved)
    }, 5)
    const code = await new Promise((resolve) => child.on('exit', resolve))
    expect(code).toBe(1)
    expect(stderr).toContain('ENOENT')
    using flow = await Flow.load(join(moved, 'model.safetensors'))
    expect(flow.shape).toEqual([3])
  }, 120_000)

  const refusal = whyNoSmallDisk()
  const onSmallDisk = refusal === undefined ? test : test.skip
  const reason = refusal === undefined ? '' : ` (skipped, as none can be made here: ${refusal})`
  onSmallDisk(
    `keeps the last checkpoint on a full disk${reason}`,
    async () => {
      const disk = join(folder, 'disk')
      mkdirSync(disk)
      mountSmallDisk(disk)
      try {
        const out = join(disk, 'run')
        const model = join(out, 'model.safetensors')
        const child = spawn(process.execPath, [command, 'train', '--data', csv, '--out', out, ...endless])
        let stderr = ''
        child.stderr.on('data', (text) => {
          stderr += text
        })
        const poll = setInterval(() => {
          if (!existsSync(model)) return
          clearInterval(poll)
          try {
            for (let i = 0; ; i++) writeFileSync(join(disk, `filler${i}`), Buffer.alloc(16_384))
          } catch {
            // full
          }
        }, 5)
        expect(await new Promise((resolve) => child.on('exit', resolve))).toBe(1)
        expect(stderr).toMatch(/ENOSPC|no space/)
        expect(stderr).toContain('is whole; go on from it with --resume')
        ;(await Flow.load(model)).dispose()
      } finally {
        execFileSync('umount', [disk])
      }
    },
    120_000
  )
})

function mountSmallDisk(path: string): void {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', path], { stdio: 'pipe' })
}

/** The reason for which this process may not mount one, if there is one. */
function whyNoSmallDisk(): string | undefined {
  const disk = mkdtempSync(join(tmpdir(), 'ffjord-disk-'))
  try {
    mountSmallDisk(disk)
    execFileSync('umount', [disk])
    return undefined
  } catch (error) {
    return (error as Error).message.trim().split('\n').at(-1)
  } finally {
    rmSync(disk, { recursive: true, force: true })
  }
}

async function metadata(path: string): Promise<unknown> {
  const { readSafetensors } = await import('ffjord')
  return JSON.parse((await readSafetensors(path)).metadata.ffjord!)
}
