import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, type FlowOptions, toy } from 'ffjord'

const options: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'batch_norm' }, { type: 'cnf', net: { hidden: [8] } }],
  trace: { noise: 'gaussian' },
  solver: { rtol: 1e-3, atol: 1e-3 },
  seed: 1,
  device: 'cpu'
}

/** Weights after a fit that comes up after every iteration, where `between` is run. */
async function trained(between: (flow: Flow) => Promise<unknown>) {
  using flow = await Flow.create(options)
  const { data } = toy('moons', { seed: 1 }).sample(200)
  const held = toy('moons', { seed: 2 }).sample(20)
  const fit = flow.fit(data, { iterations: 8, batch: 50, validation: { data: held, every: 1 } })
  let times = 0
  for await (const _ of fit) {
    times++
    await between(flow)
  }
  expect(times).toBe(8)
  return flow.parameters()
}

test('samples and scores between iterations leave training as it was, to the bit', async () => {
  const x = toy('moons', { seed: 3 }).sample(5)
  const alone = await trained(async () => {})
  const watched = await trained(async (flow) => {
    await flow.sample(3)
    await flow.sampleAndLogProb(2)
    await flow.logProb(x)
    await flow.inverse(x)
    await flow.score(x)
    await flow.velocity(x, { t: 0, divergence: true })
    await flow.trajectory({ samples: 2, times: 3 })
    flow.sampleBase(4)
  })
  expect(watched).toEqual(alone)
})

test('samples without a seed go on after a model was saved and loaded', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-noise-'))
  const path = join(folder, 'model.safetensors')
  using flow = await Flow.create(options)
  const first = await flow.sample(2)
  await flow.save(path)
  using again = await Flow.load(path, { device: 'cpu' })
  rmSync(folder, { recursive: true })
  const next = await flow.sample(2)
  expect(next).not.toEqual(first)
  expect(await again.sample(2)).toEqual(next)
})
