/** Autoencoders on every engine that has them: bounds against closed forms and quadrature, training, model files, refusals. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Device, Flow, fromArray, type NetLayer, type Posterior, Vae, type VaeOptions } from 'ffjord'
import { openImages } from '../lib/cli/vae-data'
import { describePosterior } from '../lib/cli/vae-presets'
import { binding } from '../lib/native/binding'
import { engineNames } from './engines'

const devices = engineNames.filter((name) =>
  binding()
    .engines()
    .some((one) => one.name === name && one.autoencoders)
)

const dense = (units: number, activation: 'identity' | 'tanh' = 'identity'): NetLayer => ({
  type: 'dense',
  units,
  activation
})

function options(device: Device, posterior: Posterior, latent = 2): VaeOptions {
  return {
    shape: [1, 3, 4],
    likelihood: 'bernoulli',
    latent,
    encoder: [dense(10, 'tanh')],
    decoder: [dense(10, 'tanh')],
    head: [dense(12)],
    posterior,
    device,
    seed: 1,
    threads: 1
  }
}

const posteriors: Posterior[] = [
  { type: 'none' },
  { type: 'planar', flows: 2 },
  { type: 'iaf', flows: 2, width: 4 },
  { type: 'sylvester', basis: 'orthogonal', flows: 2, vectors: 2 },
  { type: 'sylvester', basis: 'householder', flows: 2, vectors: 2 },
  { type: 'sylvester', basis: 'triangular', flows: 2 },
  { type: 'cnf', hidden: [6] },
  { type: 'cnf_bias', hidden: [6] },
  { type: 'cnf_rank', hidden: [6], rank: 2 }
]

/** Bars of two rows or two columns: four kinds of images. */
function bars(count: number): Float32Array {
  const data = new Float32Array(12 * count)
  for (let i = 0; i < count; i++)
    for (let y = 0; y < 3; y++)
      for (let x = 0; x < 4; x++) {
        const kind = i % 4
        const on = kind < 2 ? (y + kind) % 2 === 0 : (x + kind) % 2 === 0
        data[12 * i + 4 * y + x] = on ? 1 : 0
      }
  return data
}

const folder = mkdtempSync(join(tmpdir(), 'ffjord-vae-'))
afterAll(() => rmSync(folder, { recursive: true }))

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length

describe.each(devices)('%s', (device) => {
  test.each(posteriors)(
    'a posterior $type $basis: estimates of log p are above those of ELBO',
    async (one) => {
      using vae = await Vae.create(options(device, one))
      const images = bars(4)
      const { elbo, reconstruction, kl } = await vae.elbo(images, { seed: 2 })
      elbo.forEach((nats, i) => {
        expect(nats).toBeCloseTo(-reconstruction[i]! - kl[i]!, 4)
      })
      const likely = await vae.logLikelihood(images, { seed: 2, samples: 64 })
      likely.logLikelihood.forEach((nats, i) => {
        expect(nats).toBeGreaterThanOrEqual(likely.elbo[i]!)
      })
      // The same draws are the same numbers.
      expect((await vae.logLikelihood(images, { seed: 2, samples: 64 })).logLikelihood).toEqual(
        likely.logLikelihood
      )
    }
  )

  test.each(['none', 'cnf_rank'] as const)('importance sampling agrees with quadrature: %s', async (type) => {
    const posterior: Posterior = type === 'none' ? { type } : { type, hidden: [6], rank: 2 }
    using vae = await Vae.create(options(device, posterior, 1))
    const images = bars(2)
    const { logLikelihood } = await vae.logLikelihood(images, { samples: 4000, clamp: 0, seed: 3 })
    const points = 801
    const z = Float32Array.from({ length: points }, (_, i) => -8 + (16 * i) / (points - 1))
    const { data: pixels } = await vae.decode(z)
    for (let image = 0; image < 2; image++) {
      let sum = 0
      for (let i = 0; i < points; i++) {
        let log = -0.5 * z[i]! ** 2 - 0.5 * Math.log(2 * Math.PI)
        for (let d = 0; d < 12; d++) {
          const p = pixels[12 * i + d]!
          log += Math.log(images[12 * image + d] === 1 ? p : 1 - p)
        }
        sum += Math.exp(log) * (16 / (points - 1))
      }
      expect(Math.abs(logLikelihood[image]! - Math.log(sum))).toBeLessThan(0.02)
    }
  })

  test('a fit lowers −ELBO, resumes where it stood, and its file holds all of it', async () => {
    const images = bars(40)
    const epochs = 30
    const fitting = { warmup: 5, batch: 16, optimizer: { type: 'adam', lr: 0.02 } as const }
    const one = options(device, { type: 'planar', flows: 2 })
    using vae = await Vae.create(one)
    const before = await vae.evaluate(images)
    const validation = { data: bars(8) }
    const result = await vae.fit(images, { ...fitting, epochs, validation, keepBest: true })
    expect(result.iterations).toBe(3 * epochs)
    const after = await vae.evaluate(images)
    expect(after.negativeElbo).toBeLessThan(before.negativeElbo - 1)
    expect(after.n).toBe(40)
    expect(after.activeUnits).toBeGreaterThan(0)
    expect(after.negativeElbo).toBeCloseTo(mean(after.negativeElbos), 4)

    // Halves of a fit, with a file between them, are the whole.
    const path = join(folder, `${device.replace(':', '-')}.safetensors`)
    using first = await Vae.create(one)
    await first.fit(images, { ...fitting, epochs: 10 })
    await first.save(path)
    using second = await Vae.load(path, { device, threads: 1 })
    expect(second.description).toEqual(first.description)
    await second.fit(images, { ...fitting, epochs: 20, resume: true })
    using whole = await Vae.create(one)
    await whole.fit(images, { ...fitting, epochs: 20 })
    expect(second.parameters()).toEqual(whole.parameters())
  })

  test('validates the average of the weights where one is kept, and tells where the weights come from', async () => {
    const images = fromArray(bars(40), { shape: [12] })
    const validation = { data: bars(8) }
    const fitting = { epochs: 60, warmup: 1, batch: 16, validation } as const
    const optimizer = { type: 'adam', lr: 0.02, average: 0.9 } as const
    using last = await Vae.create(options(device, { type: 'none' }))
    const result = await last.fit(images, { ...fitting, optimizer })
    expect(
      Math.abs((await last.evaluate(validation.data)).negativeElbo - result.validation!)
    ).toBeGreaterThan(1e-3)
    using kept = await Vae.create(options(device, { type: 'none' }))
    const { best } = await kept.fit(images, { ...fitting, optimizer, keepBest: true })
    expect((await kept.evaluate(validation.data)).negativeElbo).toBe(best!.validation)
    expect(kept.provenance).toMatchObject({ rows: 40, iterations: 180, validation: best!.validation })

    // The best of a fit that kept no weights cannot be restored by a later one.
    const grey = { data: new Float32Array(24).fill(0.5) }
    const more = { ...fitting, epochs: 62, validation: grey, keepBest: true, resume: true }
    const path = join(folder, 'no-best.safetensors')
    await last.save(path)
    using again = await Vae.load(path, { device, threads: 1 })
    for (const one of [last, again]) expect((await one.fit(images, more)).best).toEqual(result.best)
  })

  test.each(posteriors)('a file of a posterior $type $basis is the model', async (one) => {
    using vae = await Vae.create(options(device, one))
    const path = join(folder, 'posterior.safetensors')
    await vae.save(path)
    using again = await Vae.load(path, { device, threads: 1 })
    expect(again.description).toEqual(vae.description)
    expect(again.parameters()).toEqual(vae.parameters())
    const call = { seed: 1 }
    expect(await again.elbo(bars(4), call)).toEqual(await vae.elbo(bars(4), call))
  })

  test('progress tells β, the parts of −ELBO, and every iteration once', async () => {
    using vae = await Vae.create(options(device, { type: 'none' }))
    const seen: number[] = []
    let last = 0
    for await (const progress of vae.fit(bars(20), { epochs: 4, warmup: 4, batch: 10 })) {
      for (const record of progress.records) {
        seen.push(record.iteration)
        expect(record.beta).toBeCloseTo(Math.ceil(record.iteration / 2) / 4, 6)
        expect(record.loss).toBeCloseTo(record.reconstruction + record.beta * record.kl, 3)
      }
      last = progress.epoch
    }
    expect(seen).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
    expect(last).toBe(4)
  })

  test('images come in and out', async () => {
    using vae = await Vae.create(options(device, { type: 'planar' }))
    const samples = await vae.sample(3, { seed: 5 })
    expect(samples.shape).toEqual([3, 1, 3, 4])
    expect(samples).toEqual(await vae.sample(3, { seed: 5 }))
    const drawn = await vae.sample(3, { seed: 5, draw: true })
    expect(drawn.data.every((pixel) => pixel === 0 || pixel === 1)).toBe(true)
    const again = await vae.reconstruct(bars(2))
    expect(again.shape).toEqual([2, 1, 3, 4])
    expect(again.data.every((pixel) => pixel > 0 && pixel < 1)).toBe(true)
    const { mean, variance, h } = await vae.encode(bars(2))
    expect([mean.shape, variance.shape, h.shape]).toEqual([
      [2, 2],
      [2, 2],
      [2, 10]
    ])
  })
})

describe('refusals', () => {
  const create = (changes: object) => Vae.create({ ...options('reference', { type: 'none' }), ...changes })

  test.each([
    ['an unknown posterior', { posterior: { type: 'plannar' } }, 'INVALID_OPTION', /did you mean 'planar'/],
    ['cnf_hyper', { posterior: { type: 'cnf_hyper', hidden: [4] } }, 'UNSUPPORTED', /use 'cnf_rank'/],
    ['cnf_lyper', { posterior: { type: 'cnf_lyper', hidden: [4] } }, 'UNSUPPORTED', /use 'cnf_rank'/],
    ['a width', { posterior: { type: 'iaf', width: 5 } }, 'INVALID_OPTION', /multiple/],
    [
      'a layer that moves',
      { posterior: { type: 'cnf_bias', hidden: [4], layer: 'concatsquash' } },
      'CONTRADICTORY_OPTIONS',
      /concat_v2/
    ],
    ['a net alone', { head: undefined }, 'CONTRADICTORY_OPTIONS', /all three/],
    ['an unknown option', { laten: 3 }, 'UNKNOWN_OPTION', /did you mean 'latent'/]
  ])('%s', async (_, changes, code, message) => {
    await expect(create(changes)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  test('images of another size, beyond [0, 1], and files of another posterior', async () => {
    using vae = await create({})
    await expect(vae.elbo(new Float32Array(10))).rejects.toMatchObject({ code: 'INVALID_SHAPE' })
    const [channels, height, width] = vae.shape
    const turned = fromArray(new Float32Array(12), { shape: [channels!, width!, height!] })
    await expect(vae.evaluate(turned)).rejects.toMatchObject({ code: 'INVALID_SHAPE' })
    await expect(vae.elbo(new Float32Array(12).fill(1.5))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const path = join(folder, 'other.safetensors')
    await vae.save(path)
    await expect(Vae.load(path, { posterior: { type: 'planar' } })).rejects.toMatchObject({
      code: 'WRONG_MODEL'
    })
    await expect(Flow.load(path)).rejects.toMatchObject({
      code: 'WRONG_MODEL',
      message: expect.stringMatching(/holds an autoencoder; read it with Vae.load/)
    })
    using flow = await Flow.create({ shape: [12], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
    await flow.save(path)
    await expect(Vae.load(path)).rejects.toMatchObject({
      code: 'WRONG_MODEL',
      message: expect.stringMatching(/holds a flow; read it with Flow.load/)
    })
    const before = vae.parameters()
    await expect(vae.fit(new Float32Array(12).fill(2), { epochs: 1 })).rejects.toMatchObject({
      code: 'INVALID_INPUT'
    })
    expect(vae.parameters()).toEqual(before)
  })
})

describe('the command line', () => {
  test('refuses options that say nothing of the posterior', () => {
    expect(() => describePosterior({ posterior: 'none', flows: 3 })).toThrow(
      /--flows says nothing of --posterior none; it goes with planar, iaf/
    )
    expect(() => describePosterior({ posterior: 'sylvester-triangular', vectors: 3 })).toThrow(/--vectors/)
    expect(() => describePosterior({ posterior: 'cnf', rank: 3 })).toThrow(/--rank.*cnf_rank/)
    expect(describePosterior({ posterior: 'iaf', flows: 2, width: 8 })).toEqual({
      type: 'iaf',
      flows: 2,
      width: 8
    })
  })

  test('does not cut rows of a file into images of another size', async () => {
    const path = join(folder, 'rows.csv')
    writeFileSync(path, `a,b,c,d\n${'0,1,0.5,1\n1,0.25,0,1\n0.5,0.5,1,0\n'.repeat(10)}`)
    const given = { binarize: false, seed: 0 }
    await expect(openImages(`${path}:4x2`, given)).rejects.toThrow(/has 4 numbers a row, which are no 4 × 2/)
    expect((await openImages(`${path}:1x4`, given)).shape).toEqual([1, 1, 4])
  })
})
