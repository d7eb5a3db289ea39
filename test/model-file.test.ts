import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, type FlowOptions, readSafetensors, type StoredTensor, toy, writeSafetensors } from 'ffjord'
import { engineNames } from './engines'
import { failure } from './failure'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-model-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

const options: FlowOptions = {
  shape: [2],
  blocks: [
    { type: 'batch_norm', lag: 0.5 },
    { type: 'cnf', time: 0.7, trainTime: true, net: { hidden: [6, 5], activation: 'swish' } },
    { type: 'standardize', mean: [1, 2], scale: [3, 4] }
  ],
  trace: { noise: 'gaussian' },
  solver: { method: 'tsit5', rtol: 1e-4, evaluation: { rtol: 1e-6 } },
  seed: 2 ** 40 + 1
}
const x = Float32Array.of(0.1, 0.2, -0.5, 1)

async function rewrite(
  path: string,
  change: (tensors: Map<string, StoredTensor>, metadata: Record<string, string>) => void
): Promise<string> {
  const { tensors, metadata } = await readSafetensors(path)
  change(tensors, metadata)
  const changed = join(folder, 'changed.safetensors')
  await writeSafetensors(changed, { tensors, metadata })
  return changed
}

describe.each(engineNames)('%s', (device) => {
  let flow: Flow
  let path: string
  beforeAll(async () => {
    path = join(folder, `${device}.safetensors`)
    flow = await Flow.create({ ...options, device })
    await flow.fit(toy('moons'), { iterations: 3, batch: 16, optimizer: { type: 'adam', average: 0.9 } })
    await flow.save(path)
  })
  afterAll(() => flow.dispose())

  test('a loaded flow is the saved one: weights, statistics, options, noise', async () => {
    using again = await Flow.load(path, { device })
    expect(again.parameters()).toEqual(flow.parameters())
    expect(again.buffers()).toEqual(flow.buffers())
    expect(again.average()).toEqual(flow.average())
    expect(again.average()).not.toEqual(again.parameters())
    expect(again.description).toEqual(flow.description)
    expect(again.options).toEqual(flow.options)
    expect(again.seed).toBe(flow.seed)
    expect(again.optimizer().state).toEqual(flow.optimizer().state)
    expect(await again.logProb(x)).toEqual(await flow.logProb(x)) // the next call's noise
    using other = await Flow.load(path, { device, trace: 'exact' })
    expect(other.traces[0]).toMatch(/^exact/)
  })

  test('the file has the names, shapes and buffers of the reference implementation', async () => {
    const { tensors, metadata } = await readSafetensors(path)
    const shapes = Object.fromEntries([...tensors].map(([name, { shape }]) => [name, shape]))
    expect(shapes).toMatchObject({
      'chain.0.weight': [2],
      'chain.0.running_mean': [2],
      'chain.0.step': [1],
      'chain.1.sqrt_end_time': [1],
      'chain.1.odefunc._num_evals': [],
      'chain.1.odefunc.diffeq.layers.0._layer.weight': [6, 2],
      'chain.1.odefunc.diffeq.layers.0._hyper_gate.weight': [6, 1],
      'chain.1.odefunc.diffeq.layers.0._hyper_gate.bias': [6],
      'chain.1.odefunc.diffeq.layers.0._hyper_bias.weight': [6, 1],
      'chain.1.odefunc.diffeq.activation_fns.1.beta': [1],
      'optimizer.exp_avg.chain.1.sqrt_end_time': [1],
      'optimizer.exp_avg_sq.chain.1.sqrt_end_time': [1],
      'ema.chain.1.sqrt_end_time': [1],
      'random.seed': [1]
    })
    expect(JSON.parse(metadata.shape!)).toEqual([2])
    expect(JSON.parse(metadata.blocks!)[1]).toEqual({
      type: 'cnf',
      time: 0.7,
      trainTime: true,
      net: { hidden: [6, 5], layer: 'concatsquash', activation: 'swish' }
    })
    expect(metadata.trace).toBe('gaussian')
  })

  test('a file of weights alone holds just the state dict', async () => {
    const bare = join(folder, 'bare.safetensors')
    await flow.save(bare, { weightsOnly: true })
    const { tensors } = await readSafetensors(bare)
    expect([...tensors.keys()].every((name) => name.startsWith('chain.'))).toBe(true)
    using again = await Flow.load(bare, { device })
    expect(again.parameters()).toEqual(flow.parameters())
  })

  test('a PyTorch file without a description is read with one; a shared β goes to every layer', async () => {
    const foreign = await rewrite(path, (tensors, metadata) => {
      for (const name of tensors.keys()) if (!name.startsWith('chain.')) tensors.delete(name)
      const prefix = 'chain.1.odefunc.diffeq.activation_fns'
      tensors.set(`${prefix}.0.beta`, { shape: [], data: Float32Array.of(0.25) })
      tensors.delete(`${prefix}.1.beta`)
      tensors.delete('chain.0.step')
      for (const key of Object.keys(metadata)) delete metadata[key]
    })
    await failure(() => Flow.load(foreign, { device }), 'INVALID_FILE')
    using again = await Flow.load(foreign, { shape: options.shape, blocks: options.blocks, device })
    const parameters = again.parameters()
    for (const layer of [0, 1])
      expect(parameters[`chain.1.odefunc.diffeq.activation_fns.${layer}.beta`]!.data[0]).toBe(0.25)
    expect(parameters['chain.1.sqrt_end_time']).toEqual(flow.parameters()['chain.1.sqrt_end_time'])
  })

  test('files that are truncated, of another model or poisoned are refused', async () => {
    const cut = await rewrite(path, () => undefined)
    truncateSync(cut, 2000)
    await failure(() => Flow.load(cut), 'INVALID_FILE')
    await failure(() => Flow.load(join(folder, 'none')), 'FILE_NOT_FOUND')
    const blocks: FlowOptions['blocks'] = [{ type: 'cnf', net: { hidden: [4] } }]
    await failure(() => Flow.load(path, { blocks, device }), 'WRONG_MODEL')
    const narrow: FlowOptions['blocks'] = [
      options.blocks[0]!,
      { type: 'cnf', net: { hidden: [6, 4], activation: 'swish' } },
      options.blocks[2]!
    ]
    await failure(() => Flow.load(path, { blocks: narrow, device }), 'WRONG_MODEL')
    const extra = await rewrite(path, (tensors) =>
      tensors.set('chain.9.weight', { shape: [1], data: new Float32Array(1) })
    )
    await failure(() => Flow.load(extra), 'WRONG_MODEL')
    const nan = await rewrite(path, (tensors) =>
      (tensors.get('chain.0.weight')!.data as Float32Array).fill(Number.NaN)
    )
    await failure(() => Flow.load(nan), 'INVALID_FILE')
    const json = await rewrite(path, (_, metadata) => {
      metadata.blocks = '[{'
    })
    await failure(() => Flow.load(json), 'INVALID_FILE')
    const unknown = await rewrite(path, (_, metadata) => {
      metadata.blocks = '[{"type":"planar"}]'
    })
    await failure(() => Flow.load(unknown), 'INVALID_FILE')
    const odd = await rewrite(path, (_, metadata) => {
      metadata.ffjord = '{"version":1,"options":{},"optimizer":{"options":5},"training":7}'
    })
    await failure(() => Flow.load(odd), 'INVALID_FILE')
  })

  test('a save that fails keeps the file that was there, and leaves no other', async () => {
    const before = readdirSync(folder).length
    await failure(() => flow.save(join(folder, 'none', 'model.safetensors')), 'FILE_NOT_WRITABLE')
    expect(readdirSync(folder)).toHaveLength(before)
    await failure(() => flow.save(path, { weightOnly: true } as object), 'UNKNOWN_OPTION')
  })
})
