// A table of runs of `ffjord vae train` on one set: node build/bench/bench/vae-runs.js [--samples S --images N] FOLDER FOLDER … tests the model
// of each run's folder as it stands and prints Markdown. Differences are to the first, image by image with the same noise; the NLL is that
// of the first N test images by S importance samples each.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Vae } from 'ffjord'
import { markdown } from './table'

const command = resolve(__dirname, '..', '..', '..', 'dist', 'cli', 'index.js')

/** What `ffjord vae eval --json` prints, and the −ELBO of every image that it writes. */
interface Evaluation {
  negativeElbo: number
  standardError: number
  reconstruction: number
  kl: number
  n: number
  activeUnits: number
  nll?: number
  nllStandardError?: number
  negativeElbos: number[]
}

interface Run {
  name: string
  data: string
  batch: number
  /** Seconds of training and passes over the training images. */
  seconds: number
  epochs: number
  skipped: number
  found: Evaluation
  likely?: Evaluation
}

interface Iteration {
  iteration: number
  seconds: number
  skipped: boolean
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { samples: { type: 'string' }, images: { type: 'string' } }
  })
  if (positionals.length === 0) throw new Error('give the folders of runs, first the one to compare with')
  const samples = values.samples === undefined ? undefined : Number(values.samples)
  const images = values.images === undefined ? undefined : Number(values.images)
  const runs: Run[] = []
  for (const folder of positionals) {
    const run = await test(folder, samples, images)
    if (runs[0] && runs[0].data !== run.data)
      throw new Error(`${folder} was trained on ${run.data}, and ${positionals[0]} on ${runs[0].data}`)
    runs.push(run)
    console.error(`${run.name}: ${run.found.negativeElbo.toFixed(2)}`)
  }
  console.log(
    markdown({
      name: 'vae',
      title: `Test −ELBO, nats an image, of ${runs[0]!.found.n} images`,
      columns: [
        'run',
        'epochs',
        'seconds',
        'test −ELBO',
        `less that of ${runs[0]!.name}, paired`,
        'reconstruction',
        'KL',
        'active units',
        `NLL${samples === undefined ? '' : `, ${runs[0]!.likely!.n} images`}`
      ],
      rows: runs.map((run) => row(run, runs[0]!)),
      notes: [],
      data: undefined
    })
  )
}

async function test(folder: string, samples?: number, images?: number): Promise<Run> {
  const { data, batch } = JSON.parse(readFileSync(join(folder, 'options.json'), 'utf8'))
  const lines = readFileSync(join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n')
  const iterations = lines.map((line) => JSON.parse(line) as Iteration)
  using vae = await Vae.load(join(folder, 'model.safetensors'))
  const rows = vae.provenance?.rows ?? Number.NaN
  const first = images === undefined ? [] : ['--images', String(images)]
  return {
    name: basename(folder),
    data,
    batch,
    seconds: iterations.reduce((sum, { seconds }) => sum + seconds, 0),
    epochs: iterations.length / Math.ceil(rows / batch),
    skipped: iterations.filter(({ skipped }) => skipped).length,
    found: evaluate(folder, data, []),
    ...(samples !== undefined && {
      likely: evaluate(folder, data, ['--samples', String(samples), ...first])
    })
  }
}

function evaluate(folder: string, data: string, options: readonly string[]): Evaluation {
  const out = mkdtempSync(join(tmpdir(), 'ffjord-vae-runs-'))
  try {
    const file = join(out, 'images.csv')
    const words = ['vae', 'eval', '--model', folder, '--data', data, '--json', '--out', file, ...options]
    const printed = execFileSync(process.execPath, [command, ...words], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit']
    })
    const rows = readFileSync(file, 'utf8').trim().split('\n').slice(1)
    return { ...JSON.parse(printed), negativeElbos: rows.map((line) => Number(line.split(',')[0])) }
  } finally {
    rmSync(out, { recursive: true })
  }
}

function row({ name, epochs, seconds, skipped, found, likely }: Run, first: Run): string[] {
  const differences = found.negativeElbos.map((nats, i) => nats - first.found.negativeElbos[i]!)
  return [
    name,
    `${Number(epochs.toFixed(1))}${skipped > 0 ? ` (${skipped} iterations skipped)` : ''}`,
    seconds.toFixed(0),
    `${found.negativeElbo.toFixed(2)} ± ${found.standardError.toFixed(2)}`,
    found === first.found ? '' : withError(differences),
    found.reconstruction.toFixed(2),
    found.kl.toFixed(2),
    String(found.activeUnits),
    likely ? `${likely.nll!.toFixed(2)} ± ${likely.nllStandardError!.toFixed(2)}` : ''
  ]
}

/** Mean and its standard error. */
function withError(values: readonly number[]): string {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1)
  return `${mean.toFixed(2)} ± ${Math.sqrt(variance / values.length).toFixed(2)}`
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
