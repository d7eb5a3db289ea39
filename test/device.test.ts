import { deviceInfo, Flow, type FlowOptions } from 'ffjord'
import { failure } from './failure'

const image: FlowOptions = {
  shape: [1, 4, 4],
  blocks: [
    { type: 'logit', alpha: 0.05 },
    { type: 'cnf', net: { hidden: [3], layer: 'concat', strides: [1, 1] } },
    { type: 'squeeze' },
    { type: 'cnf', net: { hidden: [3], layer: 'concat', strides: [1, 1] } },
    { type: 'split' }
  ],
  trace: { noise: 'rademacher' },
  solver: { rtol: 1e-6, atol: 1e-6 }
}
const pixels = Float32Array.from({ length: 32 }, (_, i) => (i + 0.5) / 32)

test('the CPU and the reference are here, and unusable devices say why', () => {
  const devices = deviceInfo()
  const named = (name: string) => devices.find((device) => device.name === name)
  expect(named('cpu')).toMatchObject({ usable: true, precision: 'float32', reason: '' })
  expect(named('reference')).toMatchObject({ usable: true, precision: 'float64', convolutions: true })
  for (const { usable, reason } of devices) expect(reason === '').toBe(usable)
})

test('there is an entry for CUDA in every build; where it is unusable it says what is missing', async () => {
  const cuda = deviceInfo().filter(({ name }) => name.startsWith('cuda'))
  expect(cuda.length).toBeGreaterThan(0)
  for (const { usable, reason } of cuda) if (!usable) expect(reason).toMatch(/driver|card|without CUDA|cpu/)
  if (!cuda[0]!.usable) await failure(() => Flow.create({ ...image, device: 'cuda' }), 'DEVICE_UNUSABLE')
})

test('auto takes the fastest device that can compute the flow', async () => {
  using dense = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
  expect(dense.device).not.toBe('reference')
  using convolutional = await Flow.create(image)
  expect(deviceInfo().find(({ name }) => name === convolutional.device)?.convolutions).toBe(true)
  for (const { name, convolutions, usable } of deviceInfo())
    if (usable && !convolutions)
      await failure(() => Flow.create({ ...image, device: name as 'cpu' }), 'UNSUPPORTED')
})

test('images go through squeeze and split, and come back', async () => {
  using flow = await Flow.create(image)
  const { z, deltaLogp } = await flow.forward(pixels, { seed: 1 })
  expect(z.shape).toEqual([2, 1, 4, 4])
  expect(deltaLogp.every(Number.isFinite)).toBe(true)
  const { x } = await flow.inverse(z, { seed: 1 })
  for (let i = 0; i < pixels.length; i++) expect(Math.abs(x.data[i]! - pixels[i]!)).toBeLessThan(1e-4)
  expect((await flow.sample(3)).shape).toEqual([3, 1, 4, 4])
  const { f } = await flow.velocity({ data: pixels, shape: [2, 4, 2, 2] }, { t: 0, block: 1 })
  expect(f.shape).toEqual([2, 4, 2, 2])
  await failure(() => flow.trajectory({ x: pixels, times: 3 }), 'UNSUPPORTED')
})

test('bits per dimension follow from nats', async () => {
  using flow = await Flow.create({ shape: [1, 4, 4], blocks: [{ type: 'zero_mean' }] })
  const { nll, bitsPerDim, rows } = await flow.evaluate(pixels)
  expect(rows).toBe(2)
  expect(bitsPerDim).toBeCloseTo((nll / 16 + Math.log(256)) / Math.log(2), 10)
})
