import { Flow, type FlowOptions, fromArray, toy } from 'ffjord'

import { measure } from './clock'
import type { Context } from './context'
import { onOneCore } from './machine'
import { type Section, time, times } from './table'

const BATCHES = [1, 128, 4096]
const ITERATIONS = 600

interface Problem {
  name: string
  options: FlowOptions
  rows: Float32Array
  /** What evaluation takes where nothing is said. */
  alone: 'sample' | 'tile'
}

/**
 * What it costs that a row's score does not depend on the rows beside it: logProb of trained nets where rows step by themselves against one
 * step for the batch, at one tolerance.
 */
export async function evaluationControl(context: Context): Promise<Section> {
  const lines: string[][] = []
  const data: unknown[] = []
  for (const problem of problems(context.quick)) {
    const weights = await train(problem, context.quick)
    const truth = await logProb(problem, weights, {
      device: 'reference',
      control: 'sample',
      tolerance: 1e-10
    })
    for (const batch of context.quick ? BATCHES.slice(0, 2) : BATCHES) {
      const [shared, alone] = await onOneCore(async () => [
        await cost(problem, weights, 'batch', batch, truth, context.quick),
        await cost(problem, weights, problem.alone, batch, truth, context.quick)
      ])
      lines.push([
        problem.name,
        String(batch),
        problem.alone,
        shared!.evaluations.toFixed(1),
        alone!.evaluations.toFixed(1),
        times(alone!.evaluations / shared!.evaluations),
        time(shared!.seconds),
        time(alone!.seconds),
        times(alone!.seconds / shared!.seconds),
        shared!.rms.toExponential(1),
        alone!.rms.toExponential(1),
        shared!.company.toExponential(1),
        alone!.company.toExponential(1)
      ])
      data.push({ problem: problem.name, batch, shared, alone })
    }
  }
  return {
    name: 'evaluation-control',
    title: 'Step control in evaluation: log p at rtol = atol = 1e-5',
    columns: [
      'net',
      'B',
      'by themselves',
      'evaluations, batch',
      'by themselves',
      'ratio',
      'CPU time, batch',
      'by themselves',
      'ratio',
      'rms error, batch',
      'by themselves',
      'moved by company, batch',
      'by themselves'
    ],
    rows: lines,
    notes: [
      `Nets trained for ${ITERATIONS} iterations; times of one core, best of a run in which both take turns. Errors against a float64 solve at 1e-10.`,
      'Moved by company: the largest |difference| of a row’s log p between the whole batch and the row alone, over 16 rows (B = 1: none).',
      'tile: what hyper layers take in evaluation, 32 or 64 neighbouring rows, as they cannot have a time a row.'
    ],
    data
  }
}

function problems(quick: boolean): Problem[] {
  const count = 20_000
  const toyRows = toy('checkerboard', { seed: 1 }).sample(count).data
  const table = Float32Array.from({ length: count * 6 }, (_, i) => {
    const column = i % 6
    return tables[column >> 1]![2 * Math.floor(i / 6) + (column & 1)]!
  })
  const flow = (
    size: number,
    hidden: number[],
    layer: 'concat' | 'concatsquash' | 'hyper',
    blocks = 1
  ): FlowOptions => ({
    shape: [size],
    blocks: Array.from({ length: blocks }, () => ({
      type: 'cnf' as const,
      trainTime: true,
      net: { hidden, layer }
    })),
    solver: { rtol: 1e-4, atol: 1e-4 },
    seed: 0
  })
  const all: Problem[] = [
    {
      name: 'toy, 2-64-64-64-2 concat',
      options: flow(2, [64, 64, 64], 'concat'),
      rows: toyRows,
      alone: 'sample'
    },
    {
      name: 'toy, 2-64-64-2 concatsquash',
      options: flow(2, [64, 64], 'concatsquash'),
      rows: toyRows,
      alone: 'sample'
    },
    {
      name: 'table, two blocks of 6-64-64-6 concat',
      options: flow(6, [64, 64], 'concat', 2),
      rows: table,
      alone: 'sample'
    },
    { name: 'toy, 2-16-16-2 hyper', options: flow(2, [16, 16], 'hyper'), rows: toyRows, alone: 'tile' }
  ]
  return quick ? all.slice(0, 1) : all
}

const tables = (['pinwheel', 'moons', 'circles'] as const).map(
  (name) => toy(name, { seed: 3 }).sample(20_000).data
)

type Weights = ReturnType<Flow['parameters']>

async function train({ options, rows }: Problem, quick: boolean): Promise<Weights> {
  using flow = await Flow.create({ ...options, device: 'cpu' })
  await flow.fit(fromArray(rows, { shape: options.shape }), {
    iterations: quick ? 30 : ITERATIONS,
    batch: 512,
    optimizer: { type: 'adam', lr: 5e-3 }
  })
  return flow.parameters()
}

interface Way {
  device: 'cpu' | 'reference'
  control: 'batch' | 'tile' | 'sample'
  tolerance: number
}

async function withFlow<T>(
  problem: Problem,
  weights: Weights,
  way: Way,
  use: (flow: Flow) => Promise<T>
): Promise<T> {
  const { device, control, tolerance } = way
  using flow = await Flow.create({
    ...problem.options,
    solver: { evaluation: { control, rtol: tolerance, atol: tolerance } },
    device,
    ...(device === 'cpu' && { threads: 1 })
  })
  flow.setParameters(weights)
  return await use(flow)
}

/** log p of the first 512 rows. */
function logProb(problem: Problem, weights: Weights, way: Way): Promise<Float64Array> {
  return withFlow(problem, weights, way, (flow) => flow.logProb(Float64Array.from(head(problem, 512))))
}

async function cost(
  problem: Problem,
  weights: Weights,
  control: Way['control'],
  batch: number,
  truth: Float64Array,
  quick: boolean
) {
  return withFlow(problem, weights, { device: 'cpu', control, tolerance: 1e-5 }, async (flow) => {
    const x = head(problem, batch)
    const { best: seconds } = await measure(() => flow.logProb(x), quick ? 0.2 : 2)
    const found = await flow.logProb(x)
    const evaluations = flow.statistics!.nfe
    const size = problem.options.shape[0]!
    let company = 0
    let squares = 0
    const compared = Math.min(batch, truth.length)
    for (let row = 0; row < compared; row++) squares += (found[row]! - truth[row]!) ** 2
    for (let row = 0; row < Math.min(16, batch); row++) {
      const [alone] = await flow.logProb(x.subarray(row * size, (row + 1) * size))
      company = Math.max(company, Math.abs(alone! - found[row]!))
    }
    return { evaluations, seconds, rms: Math.sqrt(squares / compared), company }
  })
}

function head({ options, rows }: Problem, count: number): Float32Array {
  return rows.subarray(0, count * options.shape[0]!)
}
