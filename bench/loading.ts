import { execFileSync } from 'node:child_process'
import { appendFileSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, fromFile, streamFile } from 'ffjord'
import type { Context } from './context'
import { against, percent, type Section, time } from './table'

const WIDTH = 63
const SECONDS = 5
const TIMES_DATA = 2.5
const IDLE = 0.02

interface Load {
  rows: number
  seconds: number
  cpuSeconds: number
  bytes: number
  peak: number
}

/** A million rows of 63 columns from each format: seconds and memory; and whether training waits for its rows. */
export async function loading({ quick, device }: Context): Promise<Section> {
  const rows = quick ? 20_000 : 1_000_000
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-loading-'))
  try {
    const files = await writeFiles(folder, rows)
    const loads = files.map(([file, key]) => {
      const given = [join(__dirname, 'load-one.js'), join(folder, file), ...(key ? [key] : [])]
      const load = JSON.parse(execFileSync(process.execPath, given, { encoding: 'utf8' })) as Load
      return { file, size: statSync(join(folder, file)).size, ...load }
    })
    const waits = [
      { name: 'rows in memory', ...(await waiting(await fromFile(join(folder, 'table.npy')), device)) },
      {
        name: 'rows streamed from .parquet',
        ...(await waiting(await streamFile(join(folder, 'table.parquet'), { repeat: true }), device))
      }
    ]
    return {
      name: 'loading',
      title: `Loading ${rows.toLocaleString('en-US')} rows of ${WIDTH} columns`,
      columns: [
        'file',
        'MB',
        'wall',
        'CPU',
        `target ${SECONDS} s of CPU`,
        'peak / data',
        `target ${TIMES_DATA}`
      ],
      rows: [
        ...loads.map(({ file, size, seconds, cpuSeconds, peak, bytes }) => [
          file,
          (size / 1e6).toFixed(0),
          time(seconds),
          time(cpuSeconds),
          against(cpuSeconds, SECONDS, 'at most'),
          (peak / bytes).toFixed(2),
          against(peak / bytes, TIMES_DATA, 'at most')
        ]),
        ...waits.map(({ name, first, share }) => [
          `training waits for ${name}`,
          '',
          `${time(first)}, then ${percent(share)}`,
          '',
          `under ${percent(IDLE)}: ${against(share, IDLE, 'at most')}`,
          '',
          ''
        ])
      ],
      notes: [
        'Each file is loaded and its columns measured in a process of its own; the data are float32. CPU seconds are those ' +
          'of all threads: wall times follow the load of the machine. Peak memory is above what the process held before.',
        'Training: batches of 512 rows, a net of 64, 64, tolerance 1e-3; the time until the first rows are there, and the ' +
          'share of the time from then on that goes by between two bursts until the next ones are.'
      ],
      data: { loads, waits }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Seconds until a training has its first rows, and the share of its time that it waits for more from then on. */
async function waiting(data: Awaited<ReturnType<typeof streamFile>>, device: string) {
  using flow = await Flow.create({
    shape: [WIDTH],
    blocks: [{ type: 'cnf', net: { hidden: [64, 64], layer: 'concat' } }],
    solver: { rtol: 1e-3, atol: 1e-3 },
    device: device as 'cpu'
  })
  const waits: number[] = []
  const peek = data.peek.bind(data)
  data.peek = async (...given) => {
    const start = performance.now()
    const feed = await peek(...given)
    waits.push((performance.now() - start) / 1000)
    return feed
  }
  const start = performance.now()
  await flow.fit(data, { iterations: 600, batch: 512 })
  const seconds = (performance.now() - start) / 1000
  const [first, ...later] = waits as [number, ...number[]]
  return { first, share: later.reduce((sum, wait) => sum + wait, 0) / (seconds - first) }
}

/** Writes one table in every format; returns the names of the files, and keys within them. */
async function writeFiles(folder: string, rows: number): Promise<[file: string, key?: string][]> {
  const data = new Float32Array(rows * WIDTH)
  // A linear congruential generator (Numerical Recipes): quick, and nothing that compresses.
  for (let i = 0, state = 1; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    data[i] = state / 2 ** 31 - 1
  }
  const at = (file: string) => join(folder, file)
  const column = (c: number) => Float32Array.from({ length: rows }, (_, row) => data[row * WIDTH + c]!)
  const columns = Array.from({ length: WIDTH }, (_, c) => ({ name: `c${c}`, data: column(c) }))

  const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${rows}, ${WIDTH}), }`.padEnd(117)
  writeFileSync(at('table.npy'), Buffer.from(`\x93NUMPY\x01\x00\x76\x00${head}\n`, 'latin1'))
  appendFileSync(at('table.npy'), new Uint8Array(data.buffer))

  const { parquetWriteFile } = await import('hyparquet-writer')
  for (const [file, nullable] of [
    ['table.parquet', false],
    ['nullable.parquet', true]
  ] as const)
    parquetWriteFile({
      filename: at(file),
      columnData: columns.map((one) => ({ ...one, type: 'FLOAT', nullable })),
      rowGroupSize: 100_000
    })

  const h5wasm = await import('h5wasm/node')
  await h5wasm.ready
  const hdf5 = new h5wasm.File(at('table.hdf5'), 'w')
  hdf5.create_dataset({ name: 'train', data, shape: [rows, WIDTH], dtype: '<f' })
  hdf5.close()

  const { RecordBatchWriter, tableFromArrays } = await import('apache-arrow')
  const group = Math.min(rows, 100_000)
  const writer = new RecordBatchWriter()
  for (let first = 0; first < rows; first += group) {
    const arrays = Object.fromEntries(
      columns.map(({ name, data }) => [name, data.subarray(first, first + group)])
    )
    for (const batch of tableFromArrays(arrays).batches) writer.write(batch)
  }
  writer.finish()
  writeFileSync(at('table.arrow'), await writer.toUint8Array())

  writeFileSync(at('table.csv'), `${columns.map(({ name }) => name).join(',')}\n`)
  for (let first = 0; first < rows; first += 10_000) {
    const lines: string[] = []
    for (let row = first; row < Math.min(rows, first + 10_000); row++)
      lines.push(Array.from(data.subarray(row * WIDTH, (row + 1) * WIDTH), (x) => x.toPrecision(7)).join(','))
    appendFileSync(at('table.csv'), `${lines.join('\n')}\n`)
  }
  return [
    ['table.npy'],
    ['table.hdf5', 'train'],
    ['table.parquet'],
    ['nullable.parquet'],
    ['table.arrow'],
    ['table.csv']
  ]
}
