import { type Block, Flow, type FlowOptions, fromArray, type Trace, toy } from 'ffjord'

import type { Context } from './context'
import { against, percent, type Section } from './table'

const TARGET = 0.93
const tolerances = [1e-3, 1e-4, 1e-5]
const traces: Record<string, Trace> = {
  exact: 'exact',
  rademacher: { noise: 'rademacher' },
  gaussian: { noise: 'gaussian' }
}

const flows: Record<string, Omit<FlowOptions, 'device'>> = {
  'pinwheel, 32-32-32 concatsquash': {
    shape: [2],
    blocks: [{ type: 'cnf', time: 1, net: { hidden: [32, 32, 32] } }]
  },
  'rings, two blocks of 32-32 concat softplus': {
    shape: [2],
    blocks: [1, 2].map(() => ({
      type: 'cnf',
      time: 0.5,
      net: { hidden: [32, 32], layer: 'concat', activation: 'softplus' }
    }))
  }
}

/** Every fixed transform, its interval or mean moved by `offset`: rows are 0.5 + pinwheel / 10 + offset. */
const transforms: Record<string, (offset: number) => Block[]> = {
  standardize: (offset) => [{ type: 'standardize', mean: [0.5 + offset, 0.5 + offset], scale: [0.15, 0.15] }],
  whiten: (offset) => [{ type: 'whiten', mean: [0.5 + offset, 0.5 + offset], matrix: [7, 0, -1, 7] }],
  support: (offset) => [
    { type: 'support', lower: [offset, offset - 1], upper: [1 + offset, null] },
    { type: 'standardize', mean: [0, 0.4], scale: [0.7, 0.1] }
  ],
  logit: (offset) => [
    { type: 'standardize', mean: [offset, offset], scale: [1, 1] },
    { type: 'logit', alpha: 1e-3 }
  ],
  zero_mean: (offset) => [
    { type: 'standardize', mean: [offset, offset], scale: [1, 1] },
    { type: 'zero_mean' },
    { type: 'standardize', mean: [0, 0], scale: [0.15, 0.15] }
  ]
}
/** Where the rows lie, and the precision that they are given in. */
const places: [offset: number, given: 'float32' | 'float64'][] = [
  [0, 'float32'],
  [1e5, 'float32'],
  [1e5, 'float64'],
  [1.7e9, 'float64']
]

interface Coverage {
  flow: string
  offset?: number
  given: 'float32' | 'float64'
  trace: string
  tolerance: number
  rows: number
  covered: number
  /** Root mean squares over the rows, nats: of the distance from the float64 value, and of the two errors. */
  error: number
  probes: number
  solver: number
  roundTrip: number
}

/** How often value ± 2 (probe ⊕ solver error) covers the float64 log-density at 1e-10, on rows of trained flows. */
export async function certify({ quick, device }: Context): Promise<Section> {
  const rows = quick ? 100 : 1000
  const found: Coverage[] = []
  for (const [name, options] of Object.entries(flows)) {
    const density = name.startsWith('rings') ? 'rings' : 'pinwheel'
    using trained = await Flow.create({ ...options, device: device as 'cpu' })
    await trained.fit(toy(density, { seed: 1 }), {
      objective: 'fm',
      iterations: quick ? 100 : 2000,
      batch: 256,
      optimizer: { type: 'adam', lr: 5e-3 },
      schedule: { type: 'cosine' }
    })
    const { data: x } = toy(density, { seed: 2 }).sample(rows)
    const truth = await float64LogProb(options, trained, Float64Array.from(x))
    for (const trace of Object.keys(traces))
      for (const tolerance of tolerances)
        found.push({ flow: name, given: 'float32', ...(await coverage(trained, x, truth, trace, tolerance)) })
  }
  for (const name of Object.keys(transforms)) found.push(...(await farFromZero(name, rows, quick, device)))
  return table(found)
}

/** One set of weights behind a transform, wherever the rows lie. */
async function farFromZero(name: string, rows: number, quick: boolean, device: string): Promise<Coverage[]> {
  const options = (offset: number): Omit<FlowOptions, 'device'> => ({
    shape: [2],
    blocks: [...transforms[name]!(offset), { type: 'cnf', time: 1, net: { hidden: [32, 32] } }]
  })
  const near = (seed: number, count: number) =>
    Float64Array.from(toy('pinwheel', { seed }).sample(count).data, (value) => 0.5 + value / 10)
  using trained = await Flow.create({ ...options(0), device: device as 'cpu' })
  await trained.fit(fromArray(near(1, 20_000), { shape: [2] }), {
    objective: 'fm',
    iterations: quick ? 100 : 1000,
    batch: 256,
    optimizer: { type: 'adam', lr: 5e-3 },
    schedule: { type: 'cosine' }
  })
  const found: Coverage[] = []
  for (const [offset, given] of places) {
    using moved = await Flow.create({ ...options(offset), device: device as 'cpu' })
    moved.setParameters(trained.parameters())
    const x = near(2, rows).map((value) => value + offset)
    const truth = await float64LogProb(options(offset), trained, x)
    const asked = given === 'float64' ? x : Float32Array.from(x)
    for (const trace of ['exact', 'rademacher'])
      found.push({ flow: name, offset, given, ...(await coverage(moved, asked, truth, trace, 1e-5)) })
  }
  return found
}

async function coverage(
  flow: Flow,
  x: Float32Array | Float64Array,
  truth: Float64Array,
  trace: string,
  tolerance: number
) {
  const call = { certify: true, trace: traces[trace]!, rtol: tolerance, atol: tolerance, seed: 1 } as const
  const { logProb, probeError, solverError, roundTripError } = await flow.logProb(x, call)
  const distance = Float64Array.from(truth, (value, i) => Math.abs(value - logProb[i]!))
  const rows = truth.length
  const covered = distance.filter((far, i) => far <= 2 * Math.hypot(probeError[i]!, solverError[i]!)).length
  return {
    trace,
    tolerance,
    rows,
    covered: covered / rows,
    error: rootMeanSquare(distance),
    probes: rootMeanSquare(probeError),
    solver: rootMeanSquare(solverError),
    roundTrip: rootMeanSquare(roundTripError)
  }
}

async function float64LogProb(
  options: Omit<FlowOptions, 'device'>,
  trained: Flow,
  x: Float64Array
): Promise<Float64Array> {
  using reference = await Flow.create({ ...options, device: 'reference', trace: 'exact' })
  reference.setParameters(trained.parameters())
  return reference.logProb(x, { rtol: 1e-10, atol: 1e-10 })
}

function rootMeanSquare(values: Float32Array | Float64Array): number {
  return Math.sqrt(Float64Array.from(values).reduce((sum, value) => sum + value * value, 0) / values.length)
}

function table(found: Coverage[]): Section {
  const small = (value: number) => (value === 0 ? '0' : value.toExponential(1))
  return {
    name: 'certify',
    title: 'Coverage of certified log-densities',
    columns: [
      'flow',
      'rows at',
      'given in',
      'trace',
      'tolerance',
      'covered',
      'RMS error, nats',
      'probes',
      'solver',
      'round trip',
      `≥ ${percent(TARGET)}`
    ],
    rows: found.map(
      ({ flow, offset, given, trace, tolerance, covered, error, probes, solver, roundTrip }) => [
        flow,
        offset === undefined || offset === 0 ? '0' : offset.toExponential(),
        given,
        trace,
        tolerance.toExponential(),
        percent(covered),
        small(error),
        small(probes),
        small(solver),
        small(roundTrip),
        against(covered, TARGET, 'at least')
      ]
    ),
    notes: [
      `Covered: rows of ${found[0]?.rows} whose float64 log-density (reference engine, exact trace, rtol = atol = 1e-10) lies within ` +
        'value ± 2 √(probe error² + solver error²), as logProb(x, { certify: true }) gives them.',
      'Flows named after a transform begin with it, its mean or interval at the offset that the rows lie at; the true value is that of ' +
        'the float64 rows, also where they were given in float32.',
      "Noise follows from a row's values as float32 holds them: at 1.7e9 all rows have one value there, and with it one draw of the " +
        'probes, so that their errors are not independent.',
      'Errors are root mean squares over the rows; the round trip is in units of x. Weights: flow matching on the density.'
    ],
    data: found
  }
}
