import { type Block, Flow, multiscale } from 'ffjord'
import { failure } from './failure'

const net = { hidden: [64, 64, 64], layer: 'concat', activation: 'softplus' } as const
const types = (blocks: readonly Block[]) => blocks.map((block) => block.type).join(' ')

// Grathwohl et al. 2019, ODENVP of the published program: its parameters, counted there.
test.each([
  ['MNIST', [1, 28, 28], 800646],
  ['CIFAR-10', [3, 32, 32], 1358882]
])('the multiscale flow of %s has the published number of weights', async (_, shape, count) => {
  const blocks = multiscale({ shape, ...net })
  using flow = await Flow.create({ shape, blocks, device: 'reference' })
  expect(Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)).toBe(count)
})

test('each scale squeezes between its blocks and splits behind them', () => {
  expect(types(multiscale({ shape: [1, 8, 8], hidden: [4], blocks: 1 }))).toBe(
    'logit cnf squeeze cnf split cnf'
  )
  const first = multiscale({
    shape: [1, 8, 8],
    hidden: [4],
    squeezeFirst: true,
    input: { type: 'zero_mean' }
  })
  expect(types(first)).toBe('zero_mean squeeze cnf cnf')
})

test('sides that cannot be halved are refused', async () => {
  const { message } = await failure(() => multiscale({ shape: [1, 18, 18], hidden: [4] }), 'INVALID_OPTION')
  expect(message).toContain('9 × 9')
  await failure(() => multiscale({ shape: [1, 3, 3], hidden: [4] }), 'INVALID_OPTION')
  await failure(() => multiscale({ shape: [4], hidden: [4] }), 'INVALID_OPTION')
  await failure(() => multiscale({ shape: [1, 8, 8], hidden: [4], blocks: 1e9 }), 'INVALID_OPTION')
})

const image = [1, 4, 4]
const images = (rows: number) => Float32Array.from({ length: 16 * rows }, (_, i) => Math.sin(3 * i) / 2)

test('a field on two scales is the sum of its nets, and is exact by lattices', async () => {
  const blocks: Block[] = [
    { type: 'cnf', time: 0.5, net: { hidden: [3], strides: [1, 1], parallel: 2, layer: 'concatcoord' } }
  ]
  using flow = await Flow.create({ shape: image, blocks, trace: 'exact', device: 'reference', seed: 3 })
  expect(Object.keys(flow.parameters())).toContain('chain.0.odefunc.diffeq.models.1.layers.0._layer.weight')
  const z = images(2)
  const { f } = await flow.velocity(z, { t: 0.2 })
  const halves: Float32Array[] = []
  for (const scale of [0, 1]) {
    const weights = flow.parameters()
    for (const [name, { data }] of Object.entries(weights))
      if (name.includes(`models.${scale}.`)) data.fill(0)
    using one = await Flow.create({ shape: image, blocks, device: 'reference' })
    one.setParameters(weights)
    halves.push((await one.velocity(z, { t: 0.2 })).f.data)
  }
  for (const [i, value] of f.data.entries()) expect(value).toBeCloseTo(halves[0]![i]! + halves[1]![i]!, 6)
})

test('a last layer of zeros leaves the bias alone', async () => {
  const blocks: Block[] = [{ type: 'cnf', net: { hidden: [3], strides: [1, 1], zeroLast: true } }]
  using flow = await Flow.create({ shape: image, blocks, device: 'reference' })
  const { f, divergence } = await flow.velocity(images(1), { t: 0.1, divergence: true, trace: 'exact' })
  expect(new Set(f.data).size).toBe(1)
  expect(f.data[0]).not.toBe(0)
  expect(divergence![0]).toBe(0)
})

test('flow matching goes through squeezes', async () => {
  const cnf: Block = { type: 'cnf', time: 1, net: { hidden: [8], strides: [1, 1], layer: 'concat' } }
  using flow = await Flow.create({
    shape: image,
    blocks: [cnf, { type: 'squeeze' }, cnf],
    device: 'reference',
    seed: 1
  })
  // Rows (s, s, …) with s = ±1: the first channel's pixels agree, which any order of elements would show.
  const rows = Float32Array.from({ length: 16 * 64 }, (_, i) => ((i >> 4) % 2 ? 1 : -1) * (1 + (i % 4) / 4))
  const before = await flow.evaluate(rows)
  await flow.fit(rows, { objective: 'fm', iterations: 150, batch: 32, optimizer: { type: 'adam', lr: 1e-2 } })
  const after = await flow.evaluate(rows)
  expect(after.nll).toBeLessThan(before.nll - 3)
})
