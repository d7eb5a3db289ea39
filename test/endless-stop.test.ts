import { Flow, type FlowOptions, fromAsyncIterable, toy } from 'ffjord'
import { failure } from './failure'

const options: FlowOptions = {
  shape: [1],
  blocks: [{ type: 'cnf', net: { hidden: [4] } }],
  solver: { method: 'euler', steps: 2 },
  trace: 'exact',
  threads: 1
}

/** N(0, 1), which such a flow learns at once; without end, or so many rows. */
function* normal(count = Infinity) {
  let state = 1
  const uniform = () => {
    state = (state * 48271) % 2147483647
    return state / 2147483647
  }
  for (let row = 0; row < count; row++)
    yield [Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform())]
}

test('a fit on rows that do not end stops when validation gets no better, with the best weights', async () => {
  using flow = await Flow.create(options)
  const data = fromAsyncIterable(normal(), { shape: [1] })
  const validations: number[] = []
  const fit = flow.fit(data, { batch: 64, optimizer: { type: 'adam', lr: 1e-2 } })
  for await (const { validation } of fit) if (validation !== undefined) validations.push(validation)
  const { stopped, iterations, best } = await fit
  expect(stopped).toBe('patience')
  expect(iterations).toBeLessThan(20_000)
  expect(iterations % 50).toBe(0)
  expect(best!.validation).toBe(Math.min(...validations))
  // log(2πe)/2, give and take what 2,000 rows and a little training leave
  expect(best!.validation).toBeGreaterThan(1.35)
  expect(best!.validation).toBeLessThan(1.5)
  // The rows that were validated on are not among those that were trained on.
  expect(data.state().row).toBe(2000 + 64 * iterations)
})

test('a stream that ends before is trained on to its end', async () => {
  using flow = await Flow.create(options)
  const data = fromAsyncIterable(normal(500), { shape: [1] })
  const result = await flow.fit(data, { batch: 50 })
  expect(result).toMatchObject({ stopped: 'data', iterations: 10 })
  expect(result.validation).toBeUndefined()
})

test('validation that is given is used, and what is wrong with it is told', async () => {
  using flow = await Flow.create({ ...options, shape: [2] })
  const data = toy('moons')
  const validation = { data: [[0, 0.5]], every: 5, patience: 2 }
  const { stopped, iterations } = await flow.fit(data, { batch: 16, validation })
  expect([stopped, iterations % 5]).toEqual(['patience', 0])
  expect(data.state().row).toBe(16 * iterations)
  await failure(() => flow.fit(toy('moons'), { validation: 5 as never }), 'INVALID_OPTION')
  await failure(() => flow.fit([[1, 2]], { validation: 5 as never }), 'INVALID_OPTION')
})

test('a fit that goes on validates on the rows that it held out before', async () => {
  const training = { batch: 64, optimizer: { type: 'adam', lr: 1e-2 } } as const
  const opened = () => fromAsyncIterable(() => normal(), { shape: [1] })
  /** Trains until 100 iterations are done, and then goes on where `next` says. */
  const validations = async (next: () => ReturnType<typeof opened>, data = next()) => {
    using flow = await Flow.create(options)
    const stop = new AbortController()
    for await (const { iteration } of flow.fit(data, { ...training, signal: stop.signal }))
      if (iteration >= 100) stop.abort()
    const found: number[] = []
    const fit = flow.fit(next(), { ...training, resume: true })
    for await (const { validation } of fit) if (validation !== undefined) found.push(validation)
    return found
  }
  using flow = await Flow.create(options)
  const whole: number[] = []
  for await (const { validation } of flow.fit(opened(), training))
    if (validation !== undefined) whole.push(validation)
  const same = opened()
  const found = await validations(() => same)
  expect(found.length).toBeGreaterThan(2)
  expect(found).toEqual(whole.slice(-found.length))
  // A stream that cannot go back is taken from its start by another process.
  const other = await validations(() => fromAsyncIterable(normal(), { shape: [1] }))
  expect(other).toEqual(whole.slice(-other.length))
})
