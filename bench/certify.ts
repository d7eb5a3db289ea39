import { Flow, type FlowOptions, type Trace, toy } from 'ffjord'

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

interface Coverage {
  flow: string
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
    const truth = await float64LogProb(options, trained, x)
    for (const [trace, asked] of Object.entries(traces))
      for (const tolerance of tolerances) {
        const call = { certify: true, trace: asked, rtol: tolerance, atol: tolerance, seed: 1 } as const
        const { logProb, probeError, solverError, roundTripError } = await trained.logProb(x, call)
        const distance = logProb.map((value, i) => Math.abs(value - truth[i]!))
        const covered = distance.filter(
          (far, i) => far <= 2 * Math.hypot(probeError[i]!, solverError[i]!)
        ).length
        found.push({
          flow: name,
          trace,
          tolerance,
          rows,
          covered: covered / rows,
          error: rootMeanSquare(distance),
          probes: rootMeanSquare(probeError),
          solver: rootMeanSquare(solverError),
          roundTrip: rootMeanSquare(roundTripError)
        })
      }
  }
  return table(found)
}

async function float64LogProb(
  options: Omit<FlowOptions, 'device'>,
  trained: Flow,
  x: Float32Array
): Promise<Float64Array> {
  using reference = await Flow.create({ ...options, device: 'reference', trace: 'exact' })
  reference.setParameters(trained.parameters())
  return reference.logProb(Float64Array.from(x), { rtol: 1e-10, atol: 1e-10 })
}

function rootMeanSquare(values: Float32Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length)
}

function table(found: Coverage[]): Section {
  const small = (value: number) => (value === 0 ? '0' : value.toExponential(1))
  return {
    name: 'certify',
    title: 'Coverage of certified log-densities',
    columns: [
      'flow',
      'trace',
      'tolerance',
      'covered',
      'RMS error, nats',
      'probes',
      'solver',
      'round trip',
      `≥ ${percent(TARGET)}`
    ],
    rows: found.map(({ flow, trace, tolerance, covered, error, probes, solver, roundTrip }) => [
      flow,
      trace,
      tolerance.toExponential(),
      percent(covered),
      small(error),
      small(probes),
      small(solver),
      small(roundTrip),
      against(covered, TARGET, 'at least')
    ]),
    notes: [
      `Covered: rows of ${found[0]?.rows} whose float64 log-density (reference engine, exact trace, rtol = atol = 1e-10) lies within ` +
        'value ± 2 √(probe error² + solver error²), as logProb(x, { certify: true }) gives them.',
      'Errors are root mean squares over the rows; the round trip is in units of x. Weights: flow matching on the density.'
    ],
    data: found
  }
}
