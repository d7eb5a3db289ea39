/** Where memory does not hold a batch, the batch is divided: nothing else has to be said, and nothing else changes. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { engineNames } from './engines'

/** A limit of this process would stay, so another one has it; that has no transpiler, so it runs the built package. */
const built = join(__dirname, '..', 'dist', 'index.js')

interface Case {
  width: number
  rows: number
  /** Variables of a process whose memory does not hold all rows at once. */
  short: Record<string, string>
}

/** What each engine asks for before it takes it: in single sizes of 64 MiB, but for a card's own memory. */
const cases: Record<string, Case> = {
  cpu: { width: 512, rows: 8192, short: { FFJORD_MEMORY: String(2 ** 26) } },
  'cuda-emulated': { width: 64, rows: 2048, short: { FFJORD_EMULATOR_MEMORY: '4' } }
}
const skipped = engineNames.filter((name) => !(name in cases))
if (skipped.length > 0)
  console.log(
    `not tried on ${skipped.join(', ')}: the reference takes a row at a time, a card has too much memory`
  )

async function run<T>({ width, rows }: Case, device: string, short: Case['short'], body: string): Promise<T> {
  const script = `
    const { Flow, Vae } = require(process.argv[1])
    const count = ${rows}
    const device = '${device}'
    const rows = Float32Array.from({ length: ${width} * count }, (_, i) => Math.sin(i * 0.7))
    const make = (...before) => Flow.create({
      shape: [${width}],
      blocks: [...before, { type: 'cnf', net: { hidden: [2] } }],
      solver: { method: 'euler', steps: 1 },
      device, threads: 1, seed: 1
    })
    const attempt = async () => { ${body} }
    attempt().then(
      (value) => console.log(JSON.stringify(value)),
      ({ code, message }) => console.log(JSON.stringify({ code, message })))`
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, built], {
    env: { ...process.env, ...short }
  })
  return JSON.parse(stdout)
}

interface Trained {
  warnings: { code: string; parts: number; iteration: number }[]
  weights: number[]
}

const train = (accumulate: number) => `
  const flow = await make()
  const { warnings } = await flow.fit(rows, {
    iterations: 3, batch: count, shuffle: false, accumulate: ${accumulate},
    optimizer: { type: 'sgd', lr: 1e-5 }, seed: 3
  })
  return { warnings, weights: Object.values(flow.parameters()).flatMap(({ data }) => [...data]) }`

describe.each(engineNames.filter((name) => name in cases))('%s', (device) => {
  const one = cases[device]!

  test('training goes on in parts, as if they had been asked for', async () => {
    const divided = await run<Trained>(one, device, one.short, train(1))
    expect(divided).toMatchObject({ warnings: [{ code: 'BATCH_DIVIDED', iteration: 1 }] })
    const { parts } = divided.warnings[0]!
    expect(parts).toBeGreaterThan(1)
    const asked = await run<Trained>(one, device, {}, train(parts))
    expect(asked.warnings).toEqual([])
    expect(divided.weights).toEqual(asked.weights)
  }, 60_000)

  test('log-densities, scores and samples of all rows are what they are where there is room', async () => {
    const body = `
      const flow = await make()
      const { data: scores } = await flow.score(rows, { seed: 2 })
      const samples = await flow.sample(count, { seed: 4 })
      const numbers = [...(await flow.logProb(rows, { seed: 2 })), ...scores, ...samples.data]
      return { some: numbers.filter((_, i) => i % 997 === 0), sum: numbers.reduce((sum, one) => sum + one) }`
    const plenty = await run<{ sum: number }>(one, device, {}, body)
    expect(plenty.sum).toEqual(expect.any(Number))
    expect(await run(one, device, one.short, body)).toEqual(plenty)
  }, 60_000)

  test('batch norm has the moments of a whole batch, or none', async () => {
    const body = `
      const flow = await make({ type: 'batch_norm' })
      await flow.fit(rows, { iterations: 1, batch: count })`
    expect(await run(one, device, one.short, body)).toMatchObject({ code: 'OUT_OF_MEMORY' })
  })

  test('where there is no room for a row, that is said', async () => {
    const none = { FFJORD_MEMORY: '1', FFJORD_EMULATOR_MEMORY: '0' }
    expect(await run(one, device, none, train(1))).toMatchObject({
      code: 'OUT_OF_MEMORY',
      message: expect.stringMatching(/memory/)
    })
  })
})

const withCpu = engineNames.includes('cpu') ? test : test.skip
const skippedCpu = engineNames.includes('cpu') ? '' : ' (skipped: memory of the host is short on cpu alone)'

withCpu(
  `images of an autoencoder are taken in smaller parts${skippedCpu}`,
  async () => {
    const body = `
    const shape = [1, 32, 32]
    const wide = { type: 'convolution', channels: 66, kernel: 3, padding: 1 }
    const vae = await Vae.create({
      shape, likelihood: 'bernoulli', latent: 2, device, threads: 1, seed: 1,
      encoder: [wide],
      decoder: [{ type: 'dense', units: 1024 }, { type: 'reshape', shape }, wide],
      head: [{ type: 'convolution', channels: 1, kernel: 1 }]
    })
    const images = { data: Float32Array.from({ length: 256 * 1024 }, (_, i) => (i * i) % 3 % 2), shape: [256, ...shape] }
    const optimizer = { type: 'sgd', lr: 1e-5 }
    const { negativeElbo } = await vae.fit(images, { epochs: 2, batch: 256, optimizer, seed: 3 })
    const { elbo } = await vae.elbo(images, { seed: 1 })
    return [negativeElbo, ...elbo.filter((_, i) => i % 50 === 0)]`
    const one = cases.cpu!
    const plenty = await run<number[]>(one, 'cpu', {}, body)
    const short = await run<number[]>(one, 'cpu', one.short, body)
    expect(plenty).toHaveLength(7)
    expect(short).toHaveLength(7)
    for (const [i, value] of short.entries()) expect(value / plenty[i]!).toBeCloseTo(1, 5)
  },
  60_000
)
