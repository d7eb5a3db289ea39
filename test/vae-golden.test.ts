/** A whole autoencoder against PyTorch's, and against the closed form of a linear Gaussian model, on every engine that has one. */
import { join } from 'node:path'
import { readSafetensors, Vae, type VaeOptions } from 'ffjord'
import { normalizeSettings } from '../lib/flow/normalize-settings'
import { binding } from '../lib/native/binding'
import type { NativeLayer } from '../lib/native/interface'
import { engineNames, largestDifference } from './engines'

const native = binding()
const devices = engineNames.filter((name) => native.engines().find((one) => one.name === name)!.autoencoders)

const gated = (channels: number, rest: Partial<NativeLayer & { type: 'convolution' }> = {}): NativeLayer => ({
  type: 'convolution',
  channels,
  kernel: [3, 3],
  stride: 1,
  padding: 0,
  outputPadding: 0,
  transposed: false,
  gated: true,
  activation: 'identity',
  ...rest
})

test.each(devices)(
  '%s: values and gradients of an autoencoder with planar flows are PyTorch’s',
  async (device) => {
    const { tensors } = await readSafetensors(join(__dirname, 'golden', 'autoencoder', 'planar.safetensors'))
    const tensor = (name: string) => tensors.get(name)!.data as Float64Array
    const [valueTolerance, gradientTolerance] = device === 'reference' ? [1e-10, 1e-9] : [1e-5, 1e-5]
    const vae = new native.Vae(
      {
        shape: [1, 6, 6],
        likelihood: 'bernoulli',
        latent: 3,
        encoder: [gated(4, { stride: 2, padding: 1 }), gated(5)],
        decoder: [
          gated(4, { transposed: true }),
          gated(3, { transposed: true, stride: 2, padding: 1, outputPadding: 1 })
        ],
        head: [gated(1, { kernel: [1, 1], gated: false })],
        posterior: { type: 'planar', flows: 2 }
      },
      device,
      0,
      1
    )
    const weights = vae.read('parameters')
    for (const { name, offset } of vae.parameters) weights.set(tensor(`param.${name}`), offset)
    vae.write('parameters', weights)

    const call = {
      batch: 4,
      binarize: false,
      noise: { seed: 0, call: 0, rowOffset: 0 },
      settings: normalizeSettings({}).training,
      images: Float32Array.from(tensor('x')),
      eps: Float32Array.from(tensor('eps'))
    }
    const found = await vae.elbo({ ...call, latent: true, float64: true })
    const pairs = [
      ['reconstructions', 'reconstruction'],
      ['kls', 'kl'],
      ['logDet', 'log_det'],
      ['mean', 'mean'],
      ['variance', 'variance'],
      ['zk', 'zk']
    ] as const
    for (const [ours, theirs] of pairs)
      expect({ ours, off: largestDifference(found[ours]!, tensor(theirs)) < 30 * valueTolerance }).toEqual({
        ours,
        off: true
      })
    const { images } = await vae.decode({ count: 4, z: Float32Array.from(tensor('zk')) })
    expect(largestDifference(images, tensor('x_mean'))).toBeLessThan(1e-6)

    const { loss } = await vae.loss({ ...call, beta: 1 })
    expect(Math.abs(loss / tensor('loss')[0]! - 1)).toBeLessThan(valueTolerance)
    const gradients = vae.read('gradients')
    for (const { name, offset, size } of vae.parameters) {
      const expected = tensor(`grad.${name}`)
      const scale = Math.max(...expected.map(Math.abs))
      const off = largestDifference(gradients.slice(offset, offset + size), expected) / scale
      expect({ name, off: off < gradientTolerance }).toEqual({ name, off: true })
    }
    vae.dispose()
  }
)

describe.each(devices)('%s: a linear Gaussian model', (device) => {
  // Logits of class k that are linear in k and in z, and −k²/2σ² beside: the classes are those of N(a + b z, σ²) in levels, whose sum over all
  // of them is the integral to the last digit of float32 where σ is above 1. So x is N(a, b bᵀ + σ² I), and z given x is a Gaussian.
  const sigma = 8
  const a = [120, 110, 140]
  const b = [20, -10, 15]
  const precision = 1 + b.reduce((sum, slope) => sum + slope ** 2, 0) / sigma ** 2
  const levels = [130, 96, 149, 84, 131, 118]
  const options: VaeOptions = {
    shape: [1, 1, 3],
    likelihood: 'categorical',
    latent: 1,
    encoder: [{ type: 'dense', units: 3 }],
    decoder: [{ type: 'dense', units: 1 }],
    head: [{ type: 'dense', units: 3 * 256 }],
    posterior: { type: 'none' },
    device,
    threads: 1,
    seed: 1
  }

  /** log N(x; a, b bᵀ + σ² I), by the lemmas of Sherman and Morrison and of Sylvester. */
  function logDensity(x: readonly number[]): number {
    const off = x.map((level, d) => level - a[d]!)
    const squares = off.reduce((sum, value) => sum + value ** 2, 0)
    const along = off.reduce((sum, value, d) => sum + value * b[d]!, 0)
    const distance = squares / sigma ** 2 - along ** 2 / sigma ** 4 / precision
    return -0.5 * (distance + 3 * Math.log(2 * Math.PI * sigma ** 2) + Math.log(precision))
  }

  /** With the exact posterior of z as the encoder's, but for a shift of its mean. */
  async function model(shift: number): Promise<Vae> {
    const vae = await Vae.create({ ...options, variance: { least: 0, most: 100 } })
    const variance = 1 / precision
    vae.setParameters({
      'q_z_nn.0.weight': Float64Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255),
      'q_z_nn.0.bias': Float64Array.from(a, (mean) => -mean),
      'q_z_mean.weight': Float64Array.from(b, (slope) => (slope / sigma ** 2) * variance),
      'q_z_mean.bias': Float64Array.of(shift),
      'q_z_var.0.weight': new Float64Array(3),
      'q_z_var.0.bias': Float64Array.of(Math.log(Math.expm1(variance))),
      'p_x_nn.0.weight': Float64Array.of(1),
      'p_x_nn.0.bias': Float64Array.of(0),
      'p_x_mean.0.weight': Float64Array.from({ length: 768 }, (_, i) => {
        const k = Math.floor(i / 3)
        return (k * b[i % 3]!) / sigma ** 2
      }),
      'p_x_mean.0.bias': Float64Array.from({ length: 768 }, (_, i) => {
        const k = Math.floor(i / 3)
        return (k * a[i % 3]! - k ** 2 / 2) / sigma ** 2
      })
    })
    return vae
  }
  const images = Float32Array.from(levels, (level) => level / 255)
  const exact = [logDensity(levels.slice(0, 3)), logDensity(levels.slice(3))]

  test('by its own posterior every draw gives log p(x)', async () => {
    using vae = await model(0)
    const { elbo } = await vae.elbo(images, { seed: 4 })
    const { logLikelihood } = await vae.logLikelihood(images, { samples: 3, seed: 4 })
    exact.forEach((nats, i) => {
      expect(Math.abs(elbo[i]! - nats)).toBeLessThan(1e-3)
      expect(Math.abs(logLikelihood[i]! - nats)).toBeLessThan(1e-3)
    })
  })

  test('by another one ELBO is lower by its divergence, and samples make up for it', async () => {
    const shift = 0.15
    using vae = await model(shift)
    const samples = 2000
    const found = await vae.logLikelihood(images, { samples, seed: 4 })
    exact.forEach((nats, i) => {
      // KL(N(m + s, v), N(m, v)) = s² / 2v, here 0.14; the mean of so many draws has a standard error of s / √(v samples).
      const divergence = (shift ** 2 * precision) / 2
      expect(Math.abs(found.elbo[i]! - (nats - divergence))).toBeLessThan(0.06)
      expect(Math.abs(found.logLikelihood[i]! - nats)).toBeLessThan(0.06)
    })
  })
})
