import { Flow, odeint } from 'ffjord'
import { failure } from './failure'

/** Sizes of which each call would take over a terabyte; none may be allocated, nor be drawn in part. */
const wide = 4096
const huge = 2 ** 31 - 1

let flow: Flow
beforeAll(async () => {
  flow = await Flow.create({
    shape: [wide],
    blocks: [{ type: 'cnf', net: { hidden: [1] } }],
    context: { size: 512 }
  })
})
afterAll(() => flow.dispose())

const context = { context: [new Array(512).fill(0)] }
const row = () => [new Array(wide).fill(0)]
const calls: Record<string, () => unknown> = {
  sample: () => flow.sample(2 ** 32 - 1, { context: [new Array(512).fill(0)] }),
  sampleAndLogProb: () => flow.sampleAndLogProb(2 ** 32 - 1, context),
  sampleBase: () => flow.sampleBase(huge),
  'a trajectory of many times': () => flow.trajectory({ x: row(), times: 2 ** 40, ...context }),
  'a trajectory of all times there are': () =>
    flow.trajectory({ x: row(), times: Number.MAX_SAFE_INTEGER, ...context }),
  'a trajectory of many samples': () => flow.trajectory({ samples: huge, times: 2, ...context }),
  'odeint with many states': () =>
    odeint(
      (_, y) => y,
      new Float64Array(500_000).fill(1),
      Float64Array.from({ length: 500_000 }, (_, i) => i),
      {
        method: 'euler',
        steps: 1
      }
    )
}

test.each(Object.entries(calls))('%s is refused before it is begun', async (_, call) => {
  const began = process.memoryUsage().arrayBuffers
  await failure(call, 'OUT_OF_MEMORY')
  expect(process.memoryUsage().arrayBuffers - began).toBeLessThan(2 ** 26)
})
