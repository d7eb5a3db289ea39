import { normalizeDescription } from '../lib/flow/normalize'
import { normalizeOptimizer, normalizeSettings } from '../lib/flow/normalize-settings'
import { binding } from '../lib/native/binding'
import type { NativeFlow, NativeOptimizer } from '../lib/native/interface'

const native = binding()
const description = normalizeDescription({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [4] } }] })
const { training: settings } = normalizeSettings({ regularize: { kinetic: 0.1 } })
const impossible = { ...settings, solver: { ...settings.solver, maxAttempts: 1, rtol: 1e-9, atol: 1e-9 } }
const rows = Float32Array.from({ length: 8 }, (_, i) => Math.sin(3 * i))
const call = { batch: 4, rows, noise: { seed: 7, call: 0, rowOffset: 0 }, settings }
const solve = { ...call, direction: 'forward', training: true, keepTape: true } as const

/** Everything that the binding hands out, of every call and of a call that fails. */
async function results(flow: NativeFlow): Promise<unknown[]> {
  const solved = await flow.solve({ ...solve, times: Float64Array.of(0, 0.25) })
  const point = {
    block: 0,
    times: Float64Array.of(0.3),
    steer: 0,
    batch: 4,
    z: rows,
    noise: call.noise,
    trace: settings.trace
  }
  const failed = await flow.logProb({ ...call, settings: impossible }).catch((error: unknown) => error)
  const data = flow.upload(4, rows)
  return [
    solved,
    failed,
    data,
    flow.parameters,
    flow.buffers,
    flow.traces(settings),
    native.engines(),
    native.methods(),
    native.cpu(),
    native.regularisers(),
    native.errorCodes(),
    flow.logProbSync(call),
    flow.solveSync(solve),
    await flow.logProb(call),
    await flow.certify(call),
    await flow.score(call),
    await flow.sample({ ...call, temperature: 1, logProb: true }),
    await flow.loss({ ...call, inputGradient: true }),
    await flow.pullback(solved.tape!, { zBar: rows, parameters: true }),
    await flow.velocity({ ...point, divergence: true }),
    await flow.velocityPullback({ ...point, fBar: rows, parameters: true }),
    await flow.step(optimizer()),
    await flow.train({
      objective: 'ml',
      coupling: 'independent',
      parts: 1,
      rows: data,
      indices: Uint32Array.of(0, 1, 2, 3),
      batchSizes: Uint32Array.of(2, 2),
      learningRates: Float64Array.of(1e-3, 1e-3),
      settings,
      optimizer: optimizer(),
      noiseSeed: 1,
      firstCall: 0,
      seconds: 10,
      skipFailures: false
    }),
    native.odeint((_, y) => y, Float64Array.of(1, 2), Float64Array.of(0, 1), settings.solver)
  ]
}

function optimizer(): NativeOptimizer {
  return { ...normalizeOptimizer({ type: 'adam' }), step: 1 }
}

/** All objects and arrays below `value`, but not what is inside arrays of numbers. */
function reachable(value: unknown, seen = new Set<object>()): Set<object> {
  if (typeof value !== 'object' || value === null || seen.has(value)) return seen
  seen.add(value)
  if (!ArrayBuffer.isView(value))
    for (const key of Object.getOwnPropertyNames(value))
      reachable((value as Record<string, unknown>)[key], seen)
  return seen
}

test('no result passes through a setter that a program put on a prototype', async () => {
  const flow = new native.Flow(description, 'cpu', 0, 1)
  const before = reachable(await results(flow))
  const names = new Set(
    [...before].flatMap((one) => (ArrayBuffer.isView(one) ? [] : Object.getOwnPropertyNames(one)))
  )
  for (const name of ['length', 'stack', 'message']) names.delete(name)
  for (const name of ['logProb', 'statistics', 'tape', 'y', 'code', 'rows', '0', '1'])
    expect(names).toContain(name)

  // The prototypes of the binding's realm, which jest's tests do not share.
  const objects = Object.getPrototypeOf(flow.logProbSync(call)) as object
  const lists = Object.getPrototypeOf(native.methods()) as object
  const caught: { name: string; receiver: object }[] = []
  const places = [...names].map((name) => ({ prototype: /^\d+$/.test(name) ? lists : objects, name }))
  for (const { prototype, name } of places)
    Object.defineProperty(prototype, name, {
      configurable: true,
      get: () => undefined,
      set(this: object, value: unknown) {
        caught.push({ name, receiver: this })
        Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true })
      }
    })
  let after: Set<object>
  try {
    after = reachable(await results(flow))
    expect(caught.filter(({ receiver }) => after.has(receiver)).map(({ name }) => name)).toEqual([])
    const probe = Object.create(objects) as { logProb?: number }
    probe.logProb = 1
    expect(caught.at(-1)).toEqual({ name: 'logProb', receiver: probe }) // the trap works
  } finally {
    for (const { prototype, name } of places) delete (prototype as Record<string, unknown>)[name]
  }
  flow.dispose()
})
