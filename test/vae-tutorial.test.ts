// The commands and the program of docs/vae.md on a small file of images.
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PNG } from 'pngjs'
import { RowRandom } from '../lib/data/random'
import { writeNpy } from './npy'

const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
const text = readFileSync(join(__dirname, '..', 'docs', 'vae.md'), 'utf8')
const images = 60

/** Bars across 8 by 8 pixels, at random places. */
function bars(): Float64Array {
  const random = new RowRandom(0)
  const data = new Float64Array(64 * images)
  for (let i = 0; i < images; i++) {
    random.seek(i)
    const place = Math.floor(8 * random.uniform())
    const down = random.uniform() < 0.5
    for (let at = 0; at < 8; at++) data[64 * i + (down ? 8 * at + place : 8 * place + at)] = 1
  }
  return data
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-vae-tutorial-'))
  writeNpy(join(folder, 'images.npy'), bars(), [images, 64])
})
afterAll(() => rmSync(folder, { recursive: true }))

async function run(line: string, cwd = folder): Promise<string> {
  return (await said(line, cwd)).stdout
}

function said(line: string, cwd = folder): Promise<{ stdout: string; stderr: string }> {
  const words = line
    .replace('--epochs 200', '--epochs 1')
    .replace('--samples 500', '--samples 5')
    .split(' ')
    .slice(2)
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [command, ...words], { cwd }, (error, stdout, stderr) => {
      if (error) reject(new Error(`${line}: ${stderr}`))
      else resolve({ stdout, stderr })
    })
  })
}

test('the commands run', async () => {
  const block = /```sh\n([\s\S]*?)```/.exec(text)![1]!
  const [train, evaluate, sample, reconstruct, report] = block.trim().split('\n') as [
    string,
    string,
    string,
    string,
    string
  ]
  expect(await run(train)).toContain('−ELBO')
  expect(readFileSync(join(folder, 'runs', 'vae', 'report.html'), 'utf8')).toContain(
    'The weights of epoch 1 '
  )
  const found = JSON.parse(await run(evaluate)) as Record<string, number>
  expect(found.n).toBe(images / 10)
  expect(found.negativeElbo).toBeCloseTo(found.reconstruction! + found.kl!, 3)
  expect(found.nll).toBeLessThanOrEqual(found.nllBound!)
  const rows = (await run(`${evaluate.replace('--json', '--out -')}`)).split('\n')
  const first = rows.indexOf('negative_elbo,nll')
  const each = rows.slice(first + 1, first + 1 + found.n!).map((row) => row.split(',').map(Number))
  for (const [column, mean] of [found.negativeElbo!, found.nll!].entries())
    expect(each.reduce((sum, row) => sum + row[column]!, 0) / found.n!).toBeCloseTo(mean, 6)
  await run(sample)
  const sheet = PNG.sync.read(readFileSync(join(folder, 'samples.png')))
  expect([sheet.width, sheet.height]).toEqual([8 * 10 - 2, 8 * 10 - 2])
  await run(reconstruct)
  await run(report)
}, 120_000)

test('a run goes on from another folder, as it was started', async () => {
  const out = join(folder, 'runs', 'vae')
  const resume = `npx ffjord vae train --resume --out ${out} --no-report --epochs 2`
  expect(await run(resume, tmpdir())).toContain('Trained')
  await expect(run(`${resume} --lr 1e-4`)).rejects.toThrow(/goes on as it was started: leave out lr/)
  expect(await run(`${resume} --lr 1e-3 --data images.npy`)).toContain('Trained')
  expect(await run(`npx ffjord vae report --run ${out}`, tmpdir())).toContain('Report')
  const cooled = `${resume.replace('--epochs 2', '--epochs 4')} --schedule cosine`
  expect(await run(cooled)).toContain('Trained')
  // An interrupted run says no more than --resume, which has to be enough.
  const options = JSON.parse(readFileSync(join(out, 'options.json'), 'utf8'))
  expect(options).toMatchObject({ epochs: 4, schedule: 'cosine', lr: 1e-3, posterior: 'cnf_rank' })
  const rates = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { learningRate: number }).learningRate)
  expect(rates[0]).toBeCloseTo(1e-3, 12)
  expect(rates.at(-1)).toBeLessThan(5e-4)
  // Before its first checkpoint.
  rmSync(join(out, 'model.safetensors'))
  expect(await run(resume, tmpdir())).toContain('Trained')
}, 120_000)

test('dense layers take images of any size', async () => {
  const train = 'npx ffjord vae train --data images.npy:2x32 --latent 2 --epochs 1 --no-report --json'
  await expect(run(`${train} --out runs/wide`)).rejects.toThrow(/sides are multiples of 4.*--dense/s)
  const { validation } = JSON.parse(await run(`${train} --dense 24,12 --out runs/wide`))
  expect(validation).toBeGreaterThan(0)
  const { Vae } = await import('ffjord')
  using vae = await Vae.load(join(folder, 'runs', 'wide', 'model.safetensors'))
  expect(vae.description.encoder!.map((layer) => 'units' in layer && layer.units)).toEqual([24, 12])
  expect(vae.description.decoder!.map((layer) => 'units' in layer && layer.units)).toEqual([12, 24])
})

test('Frey faces have 256 levels, and grey pixels of a Bernoulli likelihood are remarked on', async () => {
  const short = '--dense 4 --latent 2 --epochs 1 --no-report'
  const faces = join(__dirname, 'images', 'vae')
  const train = `npx ffjord vae train --data frey:${faces} ${short} --out runs/frey`
  expect((await said(train)).stderr).toMatch(/^Training on .* categorical, .*\n(?!The images are grey)/)
  const grey = bars().map((value) => 0.5 * value)
  writeNpy(join(folder, 'grey.npy'), grey, [images, 64])
  const greyTrain = `npx ffjord vae train --data grey.npy ${short} --out runs/grey`
  expect((await said(greyTrain)).stderr).toMatch(/images are grey.*--binarize.*--likelihood categorical/)
  const levels = `${greyTrain} --likelihood categorical --overwrite`
  expect((await said(levels)).stderr).not.toMatch(/images are grey/)
}, 60_000)

test('a run that fails says where it stands', async () => {
  const fails = run(
    'npx ffjord vae train --data images.npy --latent 2 --lr 1e30 --epochs 9 --out runs/failed'
  )
  await expect(fails).rejects.toThrow(
    /The state before the failure is in .*model\.safetensors\n.*SOLVE_FAILED/s
  )
}, 60_000)

test('the program runs', async () => {
  const block = /```ts\n([\s\S]*?)```/.exec(text)![1]!
  const program = block.replace(/^import .*$/m, '').replace('epochs: 20', 'epochs: 2')
  const paths = program.replaceAll(/'(\w+\.\w+)'/g, (_, name: string) => JSON.stringify(join(folder, name)))
  const { fromFile, Vae } = await import('ffjord')
  const run = new Function(
    'fromFile',
    'Vae',
    'console',
    `return (async () => { ${paths}; vae.dispose(); return { negativeElbo, nll } })()`
  )
  const found = await run(fromFile, Vae, { log: () => undefined })
  expect(found.nll).toBeGreaterThan(0)
  expect(found.negativeElbo).toBeGreaterThan(0)
})
