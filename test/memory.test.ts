/** What a model needs of memory is told before it is taken. */
import { execFile } from 'node:child_process'
import { freemem } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Flow, type FlowOptions } from 'ffjord'
import { memoryLimit } from '../lib/flow/memory'
import { engineNames } from './engines'
import { failure } from './failure'

const wide = (width: number, more: object = {}): FlowOptions => ({
  shape: [2],
  blocks: [{ type: 'cnf', net: { hidden: [width, width], ...more } }]
})

describe.each(engineNames)('%s', (device) => {
  test('a model that needs more than is allowed is refused, with both sizes and what to give', async () => {
    const need = 300 * 300 * 4 * 5 // the middle matrix: weights, gradients, moments, average
    const { message } = await failure(
      () => Flow.create({ ...wide(300), device, memory: need }),
      'OUT_OF_MEMORY'
    )
    const asked = Number(/memory: (\d+)/.exec(message)![1])
    expect(asked).toBeGreaterThan(need)
    expect(message).toMatch(/MiB.+MiB/)
    await failure(() => Flow.create({ ...wide(300), device, memory: asked - 1 }), 'OUT_OF_MEMORY')
    using flow = await Flow.create({ ...wide(300), device, memory: asked })
    expect(flow.endTimes).toHaveLength(1)
  })

  test('spectral normalisation needs more: W/σ, its cotangent, u and v', async () => {
    const need = async (more: object) => {
      const { message } = await failure(
        () => Flow.create({ ...wide(300, more), device, memory: 1 }),
        'OUT_OF_MEMORY'
      )
      return Number(/memory: (\d+)/.exec(message)![1])
    }
    expect(await need({ spectralNorm: 1 })).toBeGreaterThan((await need({})) + 2 * 4 * 300 * 300)
  })
})

test.each([0, -1, Number.NaN, '1GB'])('a memory of %p is refused', async (memory) => {
  await failure(() => Flow.create({ ...wide(4), memory: memory as number }), 'INVALID_OPTION')
})

test('the limit is known, and no larger than what there is', () => {
  expect(memoryLimit()).toBeGreaterThan(2 ** 26)
  expect(memoryLimit()).toBeLessThan(2 ** 46)
})

/** A limit of this process would stay, so another one has it; that has no transpiler, so it runs the built package. */
const isLinux = process.platform === 'linux'
const limited = isLinux ? test : test.skip

limited(
  `a limit of the address space counts${isLinux ? '' : ' (skipped: only Linux tells it)'}`,
  async () => {
    const built = join(__dirname, '..', 'dist', 'index.js')
    const script = `
    const { Flow } = require(process.argv[1])
    Flow.create(${JSON.stringify(wide(9000))}).then(() => console.log('made'), ({ code, message }) => console.log(code, message))`
    const { stdout } = await promisify(execFile)('bash', [
      '-c',
      'ulimit -v 4194304; exec "$0" "$@"',
      process.execPath,
      '-e',
      script,
      built
    ])
    expect(stdout).toMatch(/^OUT_OF_MEMORY .+2\.00 GiB are allowed/)
  }
)

test('timers run while the weights of a large model are drawn', async () => {
  let longest = 0
  let before = performance.now()
  const timer = setInterval(() => {
    longest = Math.max(longest, performance.now() - before)
    before = performance.now()
  }, 5)
  const begun = performance.now()
  using _ = await Flow.create(wide(3000))
  const taken = performance.now() - begun
  clearInterval(timer)
  expect(taken).toBeGreaterThan(50)
  expect(longest).toBeLessThan(taken / 2)
})

test('images need room for the margins that filters read', async () => {
  const need = async (kernel: number) => {
    const convolution = { kernel, padding: (kernel - 1) / 2 }
    const { message } = await failure(
      () =>
        Flow.create({
          shape: [1, 4, 4],
          blocks: [
            { type: 'cnf', net: { hidden: [16, 16], strides: [convolution, convolution, convolution] } }
          ],
          device: 'cpu',
          memory: 1
        }),
      'OUT_OF_MEMORY'
    )
    return Number(/memory: (\d+)/.exec(message)![1])
  }
  // 16 channels twice, in four arrays of 32 columns, on 4 × 4 pixels in 7 more; filters take 40 × 16 × 16 more, some times over.
  expect((await need(7)) - (await need(3))).toBeGreaterThan(
    4 * 2 * 16 * 4 * 32 * ((4 + 7) ** 2 - (4 + 3) ** 2)
  )
})

test('where memory is short, the passes of images are run again, in training too, to the same bits', async () => {
  const built = join(__dirname, '..', 'dist', 'index.js')
  const script = `
    const { Flow, fromImages } = require(process.argv[1])
    const run = async () => {
      const flow = await Flow.create({
        shape: [1, 16, 16],
        blocks: [{ type: 'cnf', net: { hidden: [8], strides: [1, 1], activation: 'softplus' } }],
        trace: { noise: 'rademacher', probes: 300 },
        solver: { method: 'rk4', steps: 1 },
        device: 'cpu', threads: 1, seed: 1
      })
      const before = process.resourceUsage().maxRSS
      const x = Float32Array.from({ length: 512 }, (_, i) => Math.sin(i))
      const { loss, inputGradient } = await flow.loss(x, { inputGradient: true, seed: 2 })
      const numbers = Object.values(flow.gradients()).flatMap(({ data }) => [...data])
      const taken = process.resourceUsage().maxRSS - before
      const images = fromImages(Uint8Array.from({ length: 512 }, (_, i) => (i * i) % 256), { shape: [1, 16, 16] })
      const optimizer = { type: 'sgd', lr: 1e-6 }
      await flow.fit(images, { iterations: 2, batch: 2, accumulate: 2, optimizer, seed: 3 })
      const trained = Object.values(flow.parameters()).flatMap(({ data }) => [...data])
      console.log(JSON.stringify({ loss, numbers, input: [...inputGradient.data], trained, taken }))
    }
    run()`
  const found = async (bytes?: number) => {
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', script, built], {
      env: { ...process.env, ...(bytes && { FFJORD_MEMORY: String(bytes) }) }
    })
    const { taken, ...numbers } = JSON.parse(stdout) as { taken: number; trained: number[] }
    return { taken, numbers }
  }
  const [plenty, short] = [await found(), await found(2 ** 28)]
  expect(short.numbers).toEqual(plenty.numbers)
  expect(short.numbers.trained.every(Number.isFinite)).toBe(true)
  // What four stages keep is some hundred MiB, where there is room for it.
  if (freemem() > 8e9) expect(plenty.taken - short.taken).toBeGreaterThan(50 * 1024)
  else console.log(`memory is not compared, as ${freemem()} bytes are free and 8e9 are needed to keep all`)
}, 60_000)
