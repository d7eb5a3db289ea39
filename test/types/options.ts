/** Programs that must not compile, and beside each one that must: `npm run typecheck` runs them. */
import { Flow, type FlowOptions, fromRows, type Solver, type Trace, toy } from 'ffjord'

const blocks: FlowOptions['blocks'] = [{ type: 'cnf', net: { hidden: [64] } }]

export const solvers: Solver[] = [
  { method: 'dopri5', rtol: 1e-5, control: 'sample' },
  { rtol: 1e-5, evaluation: { rtol: 1e-7 } },
  { method: 'rk4', steps: 20, evaluation: { steps: 40 } },
  { method: 'rk4', steps: 20, evaluation: { method: 'dopri5' } },
  { controller: 'torchdiffeq' },
  { controller: 'torchdiffeq', evaluation: { controller: 'torchdiffeq', rtol: 1e-6 } },
  { rtol: 1e-3, evaluation: { control: 'batch' } },
  // @ts-expect-error dopri5 chooses its steps
  { method: 'dopri5', steps: 20 },
  // @ts-expect-error the default method chooses its steps
  { steps: 20 },
  // @ts-expect-error rk4 needs its steps
  { method: 'rk4' },
  // @ts-expect-error rk4 has no tolerance
  { method: 'rk4', steps: 20, rtol: 1e-5 },
  // @ts-expect-error torchdiffeq's controller is dopri5's
  { method: 'tsit5', controller: 'torchdiffeq' },
  // @ts-expect-error and steps the whole batch
  { controller: 'torchdiffeq', control: 'sample' },
  // @ts-expect-error no such method
  { method: 'dopri6' }
]

export const traces: Trace[] = [
  'auto',
  'exact',
  { noise: 'rademacher', probes: 2, form: 'vjp' },
  // @ts-expect-error probes belong to an estimate
  { exact: true, probes: 2 },
  // @ts-expect-error an estimate says its noise
  { probes: 2 },
  // @ts-expect-error no such noise
  { noise: 'uniform' },
  // @ts-expect-error not a word of this library
  'hutchinson'
]

export async function programs(): Promise<void> {
  const flow = await Flow.create({ shape: [2], blocks, gradient: { method: 'adjoint', norm: 'full' } })
  // @ts-expect-error checkpoints have no norm
  await Flow.create({ shape: [2], blocks, gradient: { method: 'checkpoint', norm: 'full' } })
  // @ts-expect-error probes with an exact trace
  await Flow.create({ shape: [2], blocks, trace: 'exact', probes: 2 })
  // @ts-expect-error a misspelt option
  await Flow.create({ shape: [2], blocks, devise: 'cpu' })
  // @ts-expect-error a net needs its hidden layers
  await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { layer: 'concat' } }] })
  // @ts-expect-error alpha belongs to logit
  await Flow.create({ shape: [2], blocks: [{ type: 'zero_mean', alpha: 0.1 }] })
  // @ts-expect-error no block of that type
  await Flow.create({ shape: [2], blocks: [{ type: 'planar' }] })

  const single: Float32Array = await flow.logProb(new Float32Array(2))
  const double: Float64Array = await flow.logProb(new Float64Array(2))
  const rows: Float32Array = await flow.logProb([[1, 2]])
  // @ts-expect-error float32 in, float32 out
  const mixed: Float64Array = await flow.logProb(new Float32Array(2))
  // @ts-expect-error integers are no data
  await flow.logProb(new Int32Array(2))
  // @ts-expect-error the synchronous form cannot be stopped
  flow.logProbSync(new Float32Array(2), { signal: new AbortController().signal })
  const { data }: { data: Float64Array } = await flow.sample(5, { precision: 'float64' })

  flow.optimizer({ type: 'sgd', momentum: 0.9 })
  // @ts-expect-error adam has no momentum
  flow.optimizer({ type: 'adam', momentum: 0.9 })
  // @ts-expect-error sgd has no beta1
  flow.optimizer({ type: 'sgd', beta1: 0.9 })

  flow.fit(toy('moons'), { iterations: 10, schedule: { type: 'step', factor: 0.1, at: [5] } })
  flow.fit(toy('moons'))
  flow.fit(toy('moons'), { iterations: 10, objective: { type: 'fm+ml', coupling: 'optimal', matching: 5 } })
  // @ts-expect-error one length, not two
  flow.fit(toy('moons'), { iterations: 10, epochs: 2 })
  // @ts-expect-error maximum likelihood couples nothing
  flow.fit(toy('moons'), { iterations: 10, objective: { type: 'ml', coupling: 'optimal' } })
  // @ts-expect-error a step needs every or at
  flow.fit(toy('moons'), { iterations: 10, schedule: { type: 'step', factor: 0.1 } })
  // @ts-expect-error no such density
  toy('pinweel')
  // @ts-expect-error rows are numbers
  fromRows([['1', '2']])

  const forward = await flow.solve(single)
  const reverse = await flow.solve(single, { direction: 'reverse' })
  await forward.pullback({ z: single, deltaLogp: single })
  await reverse.pullback({ x: single })
  // @ts-expect-error the cotangent of what a forward solve returns is z's
  await forward.pullback({ x: single })
  // @ts-expect-error x is what a reverse solve returns
  reverse.z
  // @ts-expect-error one start, not two
  await flow.trajectory({ times: 5, x: single, samples: 3 })
  // @ts-expect-error a start is needed
  await flow.trajectory({ times: 5 })
  void [double, rows, mixed, data]
}
