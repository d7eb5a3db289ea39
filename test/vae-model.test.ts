/** The autoencoder of the native core, on every engine that has one: its loss against finite differences and closed forms. */
import { normalizeSettings } from '../lib/flow/normalize-settings'
import { binding } from '../lib/native/binding'
import type { NativeArray, NativeLayer, NativeVae, NativeVaeDescription } from '../lib/native/interface'
import { engineNames, largestDifference } from './engines'

const native = binding()
const devices = engineNames.filter((name) => native.engines().find((one) => one.name === name)!.autoencoders)
const { training: settings } = normalizeSettings({})

const conv = (
  channels: number,
  kernel: number[],
  rest: Partial<NativeLayer & { type: 'convolution' }> = {}
): NativeLayer => ({
  type: 'convolution',
  channels,
  kernel,
  stride: 1,
  padding: 0,
  outputPadding: 0,
  transposed: false,
  gated: true,
  activation: 'identity',
  ...rest
})
const dense = (units: number, rest: Partial<NativeLayer & { type: 'dense' }> = {}): NativeLayer => ({
  type: 'dense',
  units,
  gated: false,
  activation: 'identity',
  ...rest
})

/** Images of 6 by 5, through every kind of layer. */
function description(likelihood: 'bernoulli' | 'categorical'): NativeVaeDescription {
  return {
    shape: [1, 6, 5],
    likelihood,
    latent: 2,
    encoder: [conv(3, [3, 3], { stride: 2, padding: 1 }), dense(7, { gated: true, activation: 'tanh' })],
    decoder: [
      dense(12, { activation: 'elu' }),
      { type: 'reshape', shape: [3, 2, 2] },
      conv(4, [3, 2], { stride: 2, outputPadding: 1, transposed: true })
    ],
    head: [conv(likelihood === 'bernoulli' ? 1 : 256, [1, 1], { gated: false })],
    posterior: { type: 'none' },
    ...(likelihood === 'categorical' && { variance: { least: 0.4, most: 0.9 } })
  }
}
const size = 30

const draws = (count: number, block = 0) =>
  native.noise('uniform', { seed: 3, call: 0, block, probe: 0 }, 0, 1, count)

function images(likelihood: 'bernoulli' | 'categorical', batch: number): Float32Array {
  return draws(batch * size).map((u) =>
    likelihood === 'bernoulli' ? Math.round(u) : Math.floor(256 * u) / 255
  )
}

const noise = { seed: 1, call: 0, rowOffset: 0 }
const batch = 3
const common = { batch, binarize: false, noise, settings }

function create(device: string, likelihood: 'bernoulli' | 'categorical'): NativeVae {
  return new native.Vae(description(likelihood), device, 5, 1)
}

/** Of the float64 engine, with the same weights. */
function exact(likelihood: 'bernoulli' | 'categorical', weights: NativeArray): NativeVae {
  const vae = create('reference', likelihood)
  vae.write('parameters', weights)
  return vae
}

const cases = devices.flatMap((device) =>
  (['bernoulli', 'categorical'] as const).map((kind) => [device, kind] as const)
)

test.each(['bernoulli', 'categorical'] as const)(
  'gradients of the whole are its finite differences: %s',
  async (kind) => {
    const vae = create('reference', kind)
    const x = images(kind, batch)
    const call = { ...common, images: x, eps: draws(batch * 2, 1).map((u) => 4 * u - 2), beta: 0.3 }
    const weights = vae.read('parameters').slice() as Float64Array
    const { loss, reconstruction, kl } = await vae.loss(call)
    expect(loss).toBeCloseTo(reconstruction + 0.3 * kl, 12)
    const gradients = vae.read('gradients') as Float64Array
    const at = async (i: number, h: number) => {
      const moved = weights.slice()
      moved[i]! += h
      vae.write('parameters', moved)
      const found = await vae.elbo({ ...call, latent: false, float64: true })
      return found.reconstruction + 0.3 * found.kl
    }
    for (const { name, offset, size } of vae.parameters)
      for (let i = offset; i < offset + size; i += Math.ceil(size / 5)) {
        const slope = ((await at(i, 1e-5)) - (await at(i, -1e-5))) / 2e-5
        expect({ name, off: Math.abs(slope - gradients[i]!) < 1e-7 }).toEqual({ name, off: true })
      }
    vae.dispose()
  }
)

test.each(cases)('%s computes what the float64 engine does: %s', async (device, kind) => {
  const vae = create(device, kind)
  const weights = vae.read('parameters')
  const reference = exact(kind, weights)
  for (const batch of [3, 37]) {
    const call = { ...common, batch, images: images(kind, batch), beta: 0.7 }
    const [ours, theirs] = [await vae.loss(call), await reference.loss(call)]
    expect(Math.abs(ours.loss / theirs.loss - 1)).toBeLessThan(1e-6)
    const scale = Math.max(...reference.read('gradients').map(Math.abs))
    expect(largestDifference(vae.read('gradients'), reference.read('gradients')) / scale).toBeLessThan(1e-5)
    const [one, two] = [
      await vae.elbo({ ...call, latent: true, float64: true }),
      await reference.elbo({ ...call, latent: true, float64: true })
    ]
    for (const name of ['reconstructions', 'kls', 'logDet', 'mean', 'variance', 'z0', 'zk'] as const)
      expect(largestDifference(one[name]!, two[name]!)).toBeLessThan(1e-4)
    const z = one.zk!
    expect(
      largestDifference(
        (await vae.decode({ count: batch, z })).images,
        (await reference.decode({ count: batch, z })).images
      )
    ).toBeLessThan(1e-5)
  }
  vae.dispose()
  reference.dispose()
})

test.each(cases)(
  '%s: the loss is made of its rows, whatever stands beside them: %s',
  async (device, kind) => {
    const vae = create(device, kind)
    const count = 300 // in two parts
    const x = images(kind, count)
    const all = await vae.elbo({
      ...common,
      batch: count,
      images: x,
      noise: { ...noise, byValues: true },
      latent: true
    })
    const rows = Array.from(all.reconstructions, (value, i) => value + all.kls[i]!)
    expect(all.reconstruction + all.kl).toBeCloseTo(rows.reduce((a, b) => a + b) / count, 4)
    const one = await vae.elbo({
      ...common,
      batch: 1,
      images: x.slice(287 * size, 288 * size),
      noise: { ...noise, byValues: true },
      latent: true
    })
    expect(one.reconstructions[0]).toBeCloseTo(all.reconstructions[287]!, 4)
    expect(one.kls[0]).toBeCloseTo(all.kls[287]!, 4)
    expect(largestDifference(all.z0!, all.zk!)).toBe(0) // without a flow
    vae.dispose()
  }
)

test.each(cases)(
  '%s: log p(x) by importance sampling is the integral over z, and never below its own ELBO: %s',
  async (device, kind) => {
    // One latent dimension, whose integral a fine sum gives.
    const vae = new native.Vae({ ...description(kind), latent: 1 }, device, 5, 1)
    const x = images(kind, 2)
    const steps = 2001
    const z = Float32Array.from({ length: steps }, (_, i) => (16 * i) / (steps - 1) - 8)
    const { images: means } = await vae.decode({ count: steps, z })
    const samples = kind === 'bernoulli' ? 4000 : 100
    const found = await vae.logLikelihood({
      ...common,
      batch: 2,
      images: x,
      samples,
      clamp: 0,
      float64: true
    })
    for (let b = 0; b < 2; b++) {
      expect(found.meanLogWeight[b]).toBeLessThanOrEqual(found.logLikelihood[b]!)
      if (kind === 'categorical') continue // means tell no probabilities of classes
      let integral = 0
      for (let i = 0; i < steps; i++) {
        let log = -0.5 * (z[i]! ** 2 + Math.log(2 * Math.PI))
        for (let d = 0; d < size; d++) {
          const p = means[i * size + d]!
          log += Math.log(x[b * size + d] ? p : 1 - p)
        }
        integral += Math.exp(log) * (16 / (steps - 1))
      }
      expect(Math.abs(found.logLikelihood[b]! - Math.log(integral))).toBeLessThan(0.05)
    }
    const again = await vae.logLikelihood({
      ...common,
      batch: 1,
      images: x.slice(size),
      noise: { ...noise, rowOffset: 1 },
      samples,
      clamp: 0,
      float64: true
    })
    expect(again.logLikelihood[0]).toBeCloseTo(found.logLikelihood[1]!, 9) // an image has its own draws
    // The last number of all, which evaluation takes, does not wrap around to the draws of training.
    const one = { ...common, batch: 1, images: x.slice(size), float64: true }
    const last = { ...noise, call: 2 ** 32 - 1, rowOffset: 1 }
    const sampled = await vae.logLikelihood({ ...one, noise: last, samples: 1, clamp: 0 })
    const trained = await vae.elbo({ ...one, noise: { ...noise, call: 0, rowOffset: 0 }, latent: false })
    const elbo = -trained.reconstructions[0]! - trained.kls[0]!
    expect(Math.abs(sampled.logLikelihood[0]! - elbo)).toBeGreaterThan(1e-4)
    vae.dispose()
  }
)

test.each(devices)(
  '%s: training lowers −ELBO, pixels are drawn anew, and a clamp bounds a likelihood',
  async (device) => {
    const vae = create(device, 'bernoulli')
    const count = 20
    const data = vae.upload(count, new Float32Array(count * size).fill(0.9))
    const optimizer = {
      type: 'adamax',
      learningRate: 0.01,
      beta1: 0.9,
      beta2: 0.999,
      epsilon: 1e-7,
      momentum: 0,
      weightDecay: 0,
      clipNorm: 0,
      averageDecay: 0,
      step: 1
    } as const
    const iterations = device.includes('emulated') ? 4 : 80
    const records = await vae.train({
      images: data,
      binarize: true,
      indices: Uint32Array.from({ length: iterations * 10 }, (_, i) => i % count),
      batchSizes: new Uint32Array(iterations).fill(10),
      learningRates: new Float64Array(iterations).fill(0.03),
      betas: Float64Array.from({ length: iterations }, (_, i) => Math.min(1, i / 20)),
      settings,
      optimizer,
      noiseSeed: 7,
      firstCall: 0,
      seconds: 60,
      skipFailures: false
    })
    expect(records).toHaveLength(iterations)
    const first = records[0]!
    expect(first.loss).toBeCloseTo(first.reconstruction, 9) // β = 0
    const mean = (part: typeof records) =>
      part.reduce((sum, { reconstruction }) => sum + reconstruction, 0) / part.length
    if (iterations > 4) expect(mean(records.slice(-10))).toBeLessThan(mean(records.slice(0, 10)) - 1)

    const x = images('bernoulli', 1).fill(1)
    const call = { ...common, batch: 1, images: x, samples: 10, float64: true }
    const bounded = await vae.logLikelihood({ ...call, clamp: 0.499 })
    expect(bounded.logLikelihood[0]! / size).toBeLessThan(0)
    const { images: drawn } = await vae.decode({ count: 2, z: new Float32Array(4), draws: noise })
    expect(Array.from(drawn).every((pixel) => pixel === 0 || pixel === 1)).toBe(true)
    const { images: means } = await vae.decode({ count: 2, z: new Float32Array(4) })
    expect(Array.from(means).every((pixel) => pixel > 0 && pixel < 1)).toBe(true)
    vae.dispose()
  }
)

test('weights have the names of the published model, and first values as its layers', () => {
  const vae = create('reference', 'bernoulli')
  expect(vae.parameters.map(({ name }) => name)).toEqual(
    [
      ...['q_z_nn.0.h', 'q_z_nn.0.g', 'q_z_nn.1.h', 'q_z_nn.1.g', 'q_z_mean', 'q_z_var.0'],
      ...['p_x_nn.0', 'p_x_nn.2.h', 'p_x_nn.2.g', 'p_x_mean.0']
    ].flatMap((name) => [`${name}.weight`, `${name}.bias`])
  )
  const { offset, size, shape } = vae.parameters.find(({ name }) => name === 'p_x_nn.2.h.weight')!
  expect(shape).toEqual([3, 4, 3, 2])
  const largest = Math.max(
    ...vae
      .read('parameters')
      .slice(offset, offset + size)
      .map(Math.abs)
  )
  expect(largest).toBeLessThan(1 / Math.sqrt(4 * 6))
  expect(largest).toBeGreaterThan(0.8 / Math.sqrt(4 * 6))
  vae.dispose()
})

test('parts that do not fit are refused with what to change', async () => {
  const bad = (change: Partial<NativeVaeDescription>) => () =>
    new native.Vae({ ...description('bernoulli'), ...change }, 'reference', 1, 1)
  expect(bad({ head: [dense(7)] })).toThrow('the decoder ends in 7 numbers, and images of 30 need 30')
  expect(bad({ likelihood: 'categorical' })).toThrow('need 7680, 256 a pixel')
  expect(bad({ encoder: [] })).toThrow('q_z_nn: a net needs at least one layer')
  expect(bad({ encoder: [conv(1, [9, 9])] })).toThrow('q_z_nn[0]: the kernel [9, 9] does not fit')
  expect(bad({ variance: { least: 2, most: 1 } })).toThrow('bounds of the variance')
  expect(bad({ posterior: { type: 'radial' } as never })).toThrow(
    "unknown description.posterior.type 'radial'"
  )
  const vae = create('reference', 'bernoulli')
  expect(() => vae.elbo({ ...common, images: new Float32Array(7), latent: false })).toThrow(
    'images must hold 90 numbers'
  )
  expect(() =>
    vae.elbo({ ...common, images: images('bernoulli', 3), eps: new Float32Array(5), latent: false })
  ).toThrow('eps must hold 6 numbers')
  const nan = { ...common, images: images('bernoulli', 3), beta: 1 }
  vae.write('parameters', vae.read('parameters').fill(Number.NaN))
  await expect(vae.loss(nan)).rejects.toMatchObject({ code: 'SOLVE_FAILED' })
  expect(vae.read('gradients').every((value) => value === 0)).toBe(true)
  const other = create('reference', 'bernoulli')
  const data = other.upload(3, images('bernoulli', 3))
  expect(() => vae.train({ images: data } as never)).toThrow('this images belongs to another model')
  vae.dispose()
  expect(() => vae.read('parameters')).toThrow('the model was disposed')
  other.dispose()
})
