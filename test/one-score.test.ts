import { type Batch, Flow, type FlowOptions } from 'ffjord'
import { binding } from '../lib/native/binding'
import { engineNames, largestDifference, tolerance } from './engines'

/** One row, one score: whatever rows stand beside it, wherever it stands, however a batch is cut. */

const seed = Number(process.env.FFJORD_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31))
console.log(`seed ${seed}; repeat with FFJORD_TEST_SEED=${seed}`)

/** Uniform in [0, 1), by the seed alone. */
function generator(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}
const draw = generator(seed)
const pick = <T>(values: readonly T[]): T => values[Math.floor(draw() * values.length)]!
const shuffled = (count: number) =>
  Array.from({ length: count }, (_, i) => ({ i, rank: draw() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ i }) => i)

interface Case {
  name: string
  options: Omit<FlowOptions, 'device'>
}

/** Nets, traces and solvers of training by the seed; of each trace at least one. */
const cases: Case[] = Array.from({ length: 8 }, (_, i) => {
  const size = 1 + Math.floor(draw() * 3)
  const layer = pick(['concat', 'concatsquash', 'squash', 'blend', 'ignore'] as const)
  const hidden = pick([[9], [8, 7], [16, 16]])
  const trace =
    i % 2 === 0 ? 'exact' : { noise: pick(['gaussian', 'rademacher'] as const), probes: pick([1, 2]) }
  const solver = pick([
    {},
    { controller: 'torchdiffeq' },
    { method: 'tsit5' },
    { control: 'tile' },
    { method: 'rk4', steps: 6 }
  ] as const)
  const context = draw() < 0.5 ? 2 : undefined
  const net = { hidden, layer: context && layer === 'blend' ? 'concat' : layer } as const
  return {
    name: JSON.stringify({ size, net, trace, solver, context }),
    options: {
      shape: [size],
      blocks: [
        { type: 'standardize', mean: Array(size).fill(0.1), scale: Array(size).fill(2) },
        { type: 'cnf', time: 1, trainTime: true, net },
        { type: 'cnf', time: 1, net }
      ],
      trace,
      solver,
      seed: i,
      ...(context && { context })
    }
  }
})

const COUNT = 70

describe.each(engineNames)('%s', (device) => {
  test.each(cases)('$name', async ({ options }) => {
    using flow = await Flow.create({ ...options, device })
    const size = options.shape[0]!
    const rows = Array.from({ length: COUNT }, () => Array.from({ length: size }, () => 6 * draw() - 3))
    const contexts = Array.from({ length: COUNT }, () => [draw(), draw()])
    // An equal row at another place.
    rows[COUNT - 1] = rows[3]!
    contexts[COUNT - 1] = contexts[3]!
    const scores = async (order: readonly number[]) => {
      const x = order.map((row) => rows[row]!) as Batch
      const given = options.context ? { context: order.map((row) => contexts[row]!) } : {}
      return {
        logProb: [...(await flow.logProb(x, given))],
        z: [...(await flow.forward(x, given)).z.data],
        score: [...(await flow.score(x, given)).data]
      }
    }
    const all = Array.from({ length: COUNT }, (_, i) => i)
    const whole = await scores(all)
    expect(whole.logProb[COUNT - 1]).toBe(whole.logProb[3])
    const of = (order: readonly number[]) => ({
      logProb: order.map((row) => whole.logProb[row]!),
      z: order.flatMap((row) => whole.z.slice(row * size, (row + 1) * size)),
      score: order.flatMap((row) => whole.score.slice(row * size, (row + 1) * size))
    })
    const orders = [
      shuffled(COUNT),
      all.slice(5, 5 + 1 + Math.floor(draw() * 40)),
      [Math.floor(draw() * COUNT)],
      [...all, ...shuffled(COUNT), 3]
    ]
    for (const order of orders) {
      const found = await scores(order)
      const expected = of(order)
      if (device === 'cpu' || device === 'reference') expect(found).toEqual(expected)
      for (const what of ['logProb', 'z', 'score'] as const)
        expect(largestDifference(found[what], expected[what])).toBeLessThan(1e-4)
    }
    // The same noise on every engine.
    using reference = await Flow.create({ ...options, device: 'reference' })
    const given = options.context ? { context: contexts } : {}
    const theirs = await reference.logProb(rows, given)
    expect(largestDifference(whole.logProb, theirs)).toBeLessThan(10 * Math.max(tolerance(device), 1e-5))
  })

  test('errors of a log-density are the row’s own as well', async () => {
    using flow = await Flow.create({
      shape: [2],
      blocks: [{ type: 'cnf', time: 1, net: { hidden: [6], layer: 'concat' } }],
      trace: { noise: 'gaussian' },
      solver: { rtol: 1e-3, atol: 1e-3 },
      device
    })
    const rows = Array.from({ length: 9 }, () => [2 * draw() - 1, 2 * draw() - 1])
    const order = shuffled(9)
    const whole = await flow.logProb(rows, { certify: true })
    const turned = await flow.logProb(order.map((row) => rows[row]!) as Batch, { certify: true })
    for (const what of ['logProb', 'probeError', 'solverError', 'roundTripError'] as const)
      expect(
        largestDifference(
          turned[what],
          order.map((row) => whole[what][row]!)
        )
      ).toBeLessThan(device === 'cpu' || device === 'reference' ? 1e-30 : 1e-4)
  })

  test('estimates of different rows have independent noise, which follows the seed', async () => {
    const options: FlowOptions = {
      shape: [2],
      blocks: [{ type: 'cnf', time: 1, net: { hidden: [16], layer: 'concat' } }],
      solver: { rtol: 1e-4, atol: 1e-4 },
      seed: 2,
      device
    }
    using flow = await Flow.create(options)
    const weights = flow.parameters()
    // A field whose Jacobian is far from diagonal, so that an estimate has variance.
    const doubled = Object.entries(weights).map(([name, { data }]) => [name, data.map((value) => 2 * value)])
    flow.setParameters(Object.fromEntries(doubled))
    // Rows close to each other: nearly one density, noise of their own.
    const x = Float32Array.from({ length: 2 * 400 }, (_, i) => (i % 2) + 1e-4 * (i >> 1))
    const trace = { noise: 'gaussian' } as const
    const exact = await flow.logProb(x, { trace: 'exact' })
    const errors = async (seed?: number) => {
      const estimate = await flow.logProb(x, { trace, ...(seed !== undefined && { seed }) })
      return Array.from(estimate, (value, i) => value - exact[i]!)
    }
    const [own, again, one, two] = [await errors(), await errors(), await errors(1), await errors(2)]
    expect(again).toEqual(own)
    expect(await errors(2)).toEqual(two)
    const correlation = (a: readonly number[], b: readonly number[]) => {
      const dot = (u: readonly number[], v: readonly number[]) =>
        u.reduce((sum, value, i) => sum + value * v[i]!, 0)
      return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
    }
    const variance = own.reduce((sum, value) => sum + value ** 2, 0) / own.length
    expect(variance).toBeGreaterThan(1e-4)
    // Of 400 pairs, 5 standard errors are 0.25.
    expect(Math.abs(correlation(one, two))).toBeLessThan(0.25)
    expect(Math.abs(correlation(own.slice(1), own.slice(0, -1)))).toBeLessThan(0.25)
    expect(Math.abs(own.reduce((sum, value) => sum + value, 0) / own.length)).toBeLessThan(
      5 * Math.sqrt(variance / own.length)
    )
    // Given noise rules.
    const noise = [new Float32Array(800).fill(1)]
    expect(await flow.logProb(x, { trace, noise })).not.toEqual(await flow.logProb(x, { trace }))
  })
})

test('keys of rows are those of their numbers, in either precision, and differ where rows do', () => {
  const { rowKeys } = binding()
  const rows = Float32Array.from({ length: 2 * 20_000 }, (_, i) => Math.floor(i / 2) * (i % 2 === 0 ? 1 : -3))
  const keys = rowKeys(rows, 20_000)
  expect(rowKeys(Float64Array.from(rows), 20_000)).toEqual(keys)
  const names = new Set(Array.from({ length: 20_000 }, (_, row) => `${keys[2 * row]} ${keys[2 * row + 1]}`))
  expect(names.size).toBe(20_000)
  expect(rowKeys(Float32Array.of(0, -0), 2).slice(0, 2)).toEqual(rowKeys(Float32Array.of(-0, 0), 2).slice(2))
  // Far from zero float32 holds one number where float64 holds many; their noise must still be independent.
  const far = rowKeys(Float64Array.of(1.7e9, 1.7e9 + 1e-3), 2)
  expect(far.slice(0, 2)).not.toEqual(far.slice(2))
  // The order of the numbers counts.
  expect(rowKeys(Float32Array.of(1, 2), 1)).not.toEqual(rowKeys(Float32Array.of(2, 1), 1))
})

test('a row has one score in either precision of its array', async () => {
  using flow = await Flow.create({
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [8] } }],
    trace: { noise: 'rademacher' },
    device: 'reference'
  })
  const x = Float32Array.from({ length: 20 }, () => draw())
  const double = await flow.logProb(Float64Array.from(x))
  expect(Float32Array.from(double)).toEqual(await flow.logProb(x))
  expect(flow.logProbSync(x)).toEqual(await flow.logProb(x))
})
