import { Flow, fromRows, type RowBatch } from 'ffjord'
import { failure } from './failure'

const rows = Array.from({ length: 6 }, (_, i) => [Math.sin(i), Math.cos(i)])
const context = rows.map(([a, b]) => [a! - b!])

async function setUp() {
  const flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [4] } }],
    context: 1,
    solver: { method: 'rk4', steps: 2 },
    seed: 1
  })
  const batches = fromRows(rows, { context }).batches({ size: 6, shuffle: false })
  const { value } = await batches.next()
  return { flow, batch: value as RowBatch }
}

test('a batch of a data set brings its context to every call that takes rows', async () => {
  const { flow, batch } = await setUp()
  const { data, shape } = batch
  const bare = { data, shape }
  const given = { context, seed: 1 }
  const seed = { seed: 1 }
  const pairs: [string, unknown, unknown][] = [
    ['loss', await flow.loss(batch, seed), await flow.loss(bare, given)],
    ['logProb', await flow.logProb(batch, seed), await flow.logProb(bare, given)],
    ['logProbSync', flow.logProbSync(batch, seed), flow.logProbSync(bare, given)],
    ['forward', await flow.forward(batch, seed), await flow.forward(bare, given)],
    ['inverse', await flow.inverse(batch, seed), await flow.inverse(bare, given)],
    ['score', await flow.score(batch, seed), await flow.score(bare, given)],
    ['velocity', await flow.velocity(batch, { t: 0.1 }), await flow.velocity(bare, { t: 0.1, context })],
    [
      'trajectory',
      await flow.trajectory({ x: batch, times: 3, ...seed }),
      await flow.trajectory({ x: bare, times: 3, ...given })
    ],
    ['solve', (await flow.solve(batch, seed)).z, (await flow.solve(bare, given)).z],
    ['evaluate', await flow.evaluate(batch, seed), await flow.evaluate(fromRows(rows, { context }), seed)]
  ]
  for (const [name, found, expected] of pairs) expect([name, found]).toEqual([name, expected])
  // Otherwise nothing of this would show.
  expect(await flow.logProb(bare, { context: [[3]] })).not.toEqual(await flow.logProb(batch))
  expect((await flow.fit(batch, { iterations: 2 })).iterations).toBe(2)
  flow.dispose()
})

test('a context beside that of the batch is a contradiction, and one that the flow does not take is refused', async () => {
  const { flow, batch } = await setUp()
  await failure(() => flow.loss(batch, { context }), 'CONTRADICTORY_OPTIONS')
  await failure(() => flow.logProb(batch, { context: [[0]] }), 'CONTRADICTORY_OPTIONS')
  await failure(() => flow.loss({ data: batch.data, shape: batch.shape }), 'MISSING_CONTEXT')
  using plain = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
  await failure(() => plain.logProb(batch), 'CONTRADICTORY_OPTIONS')
  flow.dispose()
})
