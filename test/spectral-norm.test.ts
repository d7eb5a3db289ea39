import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Device, Flow, type FlowOptions, readSafetensors, type Tensor, toy, type Weights } from 'ffjord'
import { engineNames, largestDifference, tolerance } from './engines'

const x = Float64Array.of(0.4, -0.9, 1.3, 0.2, -0.6, 0.7)

function options(device: Device, net: object = {}, change: Partial<FlowOptions> = {}): FlowOptions {
  return {
    shape: [2],
    blocks: [{ type: 'cnf', time: 0.8, net: { hidden: [9, 5], spectralNorm: 1, ...net } }],
    trace: 'exact',
    solver: { method: 'rk4', steps: 4 },
    seed: 2,
    device,
    ...change
  }
}

/** Largest singular value of (rows, rest), by many power iterations. */
function spectralNorm({ data, shape }: Tensor<Float32Array | Float64Array>): number {
  const rows = shape[0]!
  const columns = data.length / rows
  let v = Float64Array.from({ length: columns }, (_, i) => Math.cos(i))
  let norm = 0
  for (let i = 0; i < 2000; i++) {
    const u = Float64Array.from({ length: rows }, (_, r) =>
      v.reduce((sum, one, c) => sum + one * data[r * columns + c]!, 0)
    )
    v = v.map((_, c) => u.reduce((sum, one, r) => sum + one * data[r * columns + c]!, 0))
    norm = Math.hypot(...v)
    v = v.map((one) => one / norm)
  }
  return Math.sqrt(norm)
}

const matrices = (weights: Weights) => Object.entries(weights).filter(([name]) => name.endsWith('.weight'))

describe.each(engineNames)('%s', (device) => {
  test('every matrix of the net acts with norm 1, under the names of the reference', async () => {
    using flow = await Flow.create(options(device))
    const first = 'chain.0.odefunc.diffeq.layers.0.'
    expect(Object.keys(flow.parameters()).filter((name) => name.startsWith(first))).toEqual(
      [
        '_layer.weight_orig',
        '_layer.bias',
        '_hyper_bias.weight_orig',
        '_hyper_gate.weight_orig',
        '_hyper_gate.bias'
      ].map((name) => first + name)
    )
    const buffers = flow.buffers()
    expect(matrices(buffers)).toHaveLength(9)
    for (const [, matrix] of matrices(buffers)) expect(spectralNorm(matrix)).toBeCloseTo(1, 3)
    expect(buffers[`${first}_layer.weight_u`]!.shape).toEqual([9])
    expect(buffers[`${first}_layer.weight_v`]!.shape).toEqual([2])
  })

  test.each(['ignore', 'concat', 'squash', 'blend'] as const)(
    '%s acts as a plain net of W/σ',
    async (layer) => {
      using flow = await Flow.create(options(device, { layer }))
      using plain = await Flow.create(options(device, { layer, spectralNorm: 0 }))
      const weights = Object.entries(flow.parameters()).filter(([name]) => !name.endsWith('_orig'))
      plain.setParameters(Object.fromEntries([...weights, ...matrices(flow.buffers())]))
      expect(largestDifference(await flow.logProb(x), await plain.logProb(x))).toBeLessThan(tolerance(device))
    }
  )

  test.each(['checkpoint', 'adjoint'] as const)(
    'gradients of the weights behind σ, by %s',
    async (gradient) => {
      const solver = { method: 'rk4', steps: 20 } as const
      using flow = await Flow.create(options(device, {}, { gradient, solver }))
      const precise = tolerance(device) < 1e-6
      const names = Object.keys(flow.parameters()).filter((name) => name.endsWith('_orig'))
      const start = flow.parameters()
      for (const name of names) {
        const { data } = start[name]!
        const along = Float64Array.from(data, (_, i) => Math.sin(1 + 3 * i))
        const loss = async (step: number) => {
          flow.setParameters({ [name]: Float64Array.from(data, (w, i) => w + step * along[i]!) })
          return (await flow.loss(x)).loss
        }
        const step = precise ? 1e-5 : 3e-3
        const difference = ((await loss(step)) - (await loss(-step))) / (2 * step)
        await loss(0)
        const bar = Float64Array.from(flow.gradients()[name]!.data)
        const derivative = bar.reduce((sum, one, i) => sum + one * along[i]!, 0)
        // The loss does not see the length of W
        const radial = bar.reduce((sum, one, i) => sum + one * data[i]!, 0)
        const allowed = (precise ? 1e-7 : 1e-3) + (gradient === 'adjoint' ? 1e-4 : 0)
        expect(Math.abs(derivative - difference)).toBeLessThan(allowed)
        expect(Math.abs(radial)).toBeLessThan(precise ? 1e-9 : 1e-5)
      }
    }
  )

  test('u and v follow the steps, and come back with the file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ffjord-spectral-'))
    const path = join(folder, 'model.safetensors')
    const fit = { batch: 32, optimizer: { type: 'adam', lr: 0.05 } } as const
    using whole = await Flow.create(options(device))
    const before = whole.buffers()
    await whole.fit(toy('moons'), { ...fit, iterations: 20 })
    const u = 'chain.0.odefunc.diffeq.layers.1._layer.weight_u'
    expect(largestDifference(whole.buffers()[u]!.data, before[u]!.data)).toBeGreaterThan(1e-3)
    for (const [, matrix] of matrices(whole.buffers())) expect(spectralNorm(matrix)).toBeCloseTo(1, 1)

    using begun = await Flow.create(options(device))
    await begun.fit(toy('moons'), { ...fit, iterations: 12 })
    await begun.save(path)
    using resumed = await Flow.load(path, { device })
    expect(await resumed.logProb(x, { seed: 1 })).toEqual(await begun.logProb(x, { seed: 1 }))
    await resumed.fit(toy('moons'), { ...fit, iterations: 20, resume: true })
    expect(resumed.parameters()).toEqual(whole.parameters())
    expect(resumed.buffers()).toEqual(whole.buffers())
    const stored = await readSafetensors(path)
    expect([...stored.tensors.keys()].filter((name) => name.includes('layers.1._layer.weight'))).toEqual(
      expect.arrayContaining(
        ['weight', 'weight_orig', 'weight_u', 'weight_v'].map((one) => u.replace('weight_u', one))
      )
    )
    rmSync(folder, { recursive: true, force: true })
  })
})

test('filters, strided and transposed, have their outputs for rows', async () => {
  const net = { hidden: [3, 4], strides: [2, 1, -2], spectralNorm: 1, layer: 'concat' }
  using flow = await Flow.create({
    ...options('reference'),
    shape: [2, 4, 4],
    blocks: [{ type: 'cnf', net } as FlowOptions['blocks'][number]]
  })
  const layer = (l: number) => `chain.0.odefunc.diffeq.layers.${l}._layer.weight`
  const { [layer(0)]: strided, [layer(2)]: transposed } = flow.buffers()
  expect(strided!.shape).toEqual([3, 3, 4, 4])
  expect(spectralNorm(strided!)).toBeCloseTo(1, 3)
  const [inputs, outputs] = transposed!.shape as [number, number]
  const data = Float64Array.from({ length: transposed!.data.length }, (_, at) => {
    const [o, i, tap] = [Math.floor(at / (16 * inputs)), Math.floor(at / 16) % inputs, at % 16]
    return transposed!.data[(i * outputs + o) * 16 + tap]!
  })
  expect(spectralNorm({ data, shape: [outputs, inputs * 16] })).toBeCloseTo(1, 3)
})
