/** Times of a velocity: numbers, within what the field is trained on. */
import { Flow, type FlowOptions } from 'ffjord'
import { engineNames } from './engines'
import { failure } from './failure'

const options: FlowOptions = { shape: [2], blocks: [{ type: 'cnf', time: 0.3, net: { hidden: [4] } }] }
const z = Float32Array.of(0.1, 0.2)

describe.each(engineNames)('%s', (device) => {
  let flow: Flow
  beforeAll(async () => {
    flow = await Flow.create({ ...options, device })
  })
  afterAll(() => flow.dispose())

  const calls = (t: unknown, of = flow) => [
    () => of.velocity(z, { t: t as number }),
    () => of.velocityPullback(z, { t: t as number, f: z })
  ]

  test.each([
    ['null', [null]],
    ['text', ['1']],
    ['a bigint', [1n]],
    ['a boolean', [true]],
    ['an array', [[0.1]]],
    ['a hole', Array(1)],
    ['bigints', BigInt64Array.of(0n)],
    ['bytes without a type', new DataView(new ArrayBuffer(8))],
    ['an object', { length: 1, 0: 0.1 }],
    ['text alone', '0.1']
  ])('%s is no time', async (_, t) => {
    for (const call of calls(t)) await failure(call, 'INVALID_INPUT')
  })

  test('nor are NaN and infinity', async () => {
    for (const call of calls([Number.NaN])) await failure(call, 'NOT_FINITE')
    for (const call of calls(Number.POSITIVE_INFINITY)) await failure(call, 'INVALID_OPTION')
  })

  test.each([-1e30, -1e-4, 0.301, 1, 1e30])('at %p the field was never trained', async (t) => {
    for (const call of [...calls(t), ...calls([t])]) {
      const { message } = await failure(call, 'INVALID_ARGUMENT')
      expect(message).toContain('0.3')
    }
  })

  test('the ends count, however they were rounded, as do lists of whole numbers', async () => {
    const end = flow.endTimes[0]!
    for (const t of [0, -0, 0.3, end, Math.fround(0.3), 3 * 0.1, end + 1e-7, 0.3 - 3 * 0.1])
      for (const call of calls(t)) expect(await call()).toBeDefined()
    const { f } = await flow.velocity(z, { t: [0] })
    expect((await flow.velocity(z, { t: Int8Array.of(0) as never })).f).toEqual(f)
  })

  test('a steered flow is trained beyond its end', async () => {
    using steered = await Flow.create({ ...options, device, regularize: { steer: 0.5 } })
    for (const call of calls(0.44, steered)) expect(await call()).toBeDefined()
    for (const call of calls(0.46, steered)) await failure(call, 'INVALID_ARGUMENT')
  })

  test('cotangents of the divergence are numbers, too', async () => {
    const pull = (divergence: unknown) => () =>
      flow.velocityPullback(z, { t: 0.1, f: z, divergence: divergence as number[] })
    for (const divergence of [[null], ['1'], [1n]]) await failure(pull(divergence), 'INVALID_INPUT')
    expect(await pull([1])()).toBeDefined()
  })
})
