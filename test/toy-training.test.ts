import { Flow, toy } from 'ffjord'

/**
 * End to end: the entropy is the lowest NLL there is, so a wrong sign, a biased trace or a loss that is not a density
 * cannot pass both bounds.
 */
test('a short run on the pinwheel ends near its entropy, and not below', async () => {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', time: 0.5, trainTime: true, net: { hidden: [32, 32] } }],
    solver: { rtol: 1e-3, atol: 1e-3, evaluation: { rtol: 1e-5, atol: 1e-5 } },
    device: 'cpu',
    threads: 1
  })
  const data = toy('pinwheel', { seed: 1 })
  await flow.fit(data, {
    iterations: 400,
    batch: 256,
    optimizer: { type: 'adam', lr: 2e-2 },
    schedule: { type: 'cosine', warmup: 20 }
  })
  const { nll, standardError } = await flow.evaluate(toy('pinwheel', { seed: 2 }), {
    rows: 5000,
    trace: 'exact'
  })
  expect(nll - data.entropy).toBeGreaterThan(-4 * standardError)
  expect(nll - data.entropy).toBeLessThan(0.15)
}, 60_000)
