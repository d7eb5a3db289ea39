import { type Batch, Flow, type FlowOptions, fromArray, type Solver, toy } from 'ffjord'
import { optionsOf, toyRecipe } from '../lib/cli/recipes'
import { measure } from './clock'
import type { Context } from './context'
import { onOneCore } from './machine'
import { against, type Section, time, times } from './table'

const BATCH = 1024
const ITERATIONS = 1500
const ERROR = 1e-4
/** The share of torchdiffeq's evaluations, at equal error. */
const TARGETS: Record<string, number> = { batch: 0.8, sample: 0.6 }

const CONTROLS: Record<string, Solver> = {
  torchdiffeq: { controller: 'torchdiffeq' },
  batch: { control: 'batch' },
  tile: { control: 'tile' },
  sample: { control: 'sample' }
}

interface Problem {
  name: string
  options: FlowOptions
  data: { rows: Float32Array; test: Float32Array }
}

/** A solve at one tolerance. */
interface Point {
  tolerance: number
  evaluations: number
  rms: number
}

/** Step control on trained nets: what each kind spends to reach one error of log p, in evaluations and in time. */
export async function control(context: Context): Promise<Section> {
  const rows: string[][] = []
  const data: unknown[] = []
  for (const problem of problems(context.quick)) {
    const weights = await train(problem, context.quick)
    const found = await Promise.resolve(compare(context, problem, weights))
    const [theirs] = found
    for (const one of found) {
      const ratio = one.evaluations / theirs!.evaluations
      const target = TARGETS[one.name]
      rows.push([
        problem.name,
        one.name,
        one.tolerance.toExponential(1),
        one.rms.toExponential(1),
        one.evaluations.toFixed(1),
        times(ratio),
        target ? `≤ ${target} ×: ${against(ratio, target, 'at most')}` : '',
        time(one.logProb),
        time(one.wall),
        time(one.training)
      ])
    }
    data.push({ problem: problem.name, found })
  }
  return {
    name: 'control',
    title: `Step control at equal error: rms ${ERROR} of log p, B = ${BATCH}`,
    columns: [
      'net',
      'control',
      'tolerance',
      'rms error',
      'evaluations a row',
      'of torchdiffeq’s',
      'target',
      'log p, CPU s of one core',
      'log p, wall, all cores',
      'loss and gradient, one core'
    ],
    rows,
    notes: [
      `Trained for ${ITERATIONS} iterations on ${toyRecipe.batch} rows each; errors against a float64 solve by dopri8 at 1e-11. Evaluations at an error of ${ERROR}: ` +
        'a line through log evaluations and log error over the tolerances of a ladder of eight a decade, since with a handful of steps one tolerance says little. Times: at the tolerance where the ladder passes that error.',
      'torchdiffeq: controller ‘torchdiffeq’, which makes that library’s steps. Evaluations: Σ over rows / B, both of the first step included.',
      'tile: one step for 32 neighbouring rows; sample: one a row, rows that arrive make place for others.'
    ],
    data
  }
}

function problems(quick: boolean): Problem[] {
  const flat = (
    name: 'pinwheel' | 'checkerboard',
    layer: 'concat' | 'concatsquash',
    hidden: number[]
  ): Problem => ({
    name: `${name}, 2-${hidden.join('-')}-2 ${layer}`,
    options: flow(2, layer, hidden),
    data: {
      rows: toy(name, { seed: 1 }).sample(50_000).data,
      test: toy(name, { seed: 2 }).sample(BATCH).data
    }
  })
  const all = [
    flat('pinwheel', 'concat', [64, 64]),
    flat('checkerboard', 'concat', [64, 64, 64]),
    flat('pinwheel', 'concatsquash', [64, 64]),
    {
      name: 'three toys side by side, 6-64-64-64-6 concat',
      options: flow(6, 'concat', [64, 64, 64]),
      data: { rows: sideBySide(1, 50_000), test: sideBySide(2, BATCH) }
    }
  ]
  return quick ? all.slice(0, 1) : all
}

function flow(size: number, layer: 'concat' | 'concatsquash', hidden: number[]): FlowOptions {
  return { ...optionsOf({ ...toyRecipe, layer, hidden, trace: 'exact' }, [size]).flow, seed: 0 }
}

/** Independent columns of three toy densities: (count, 6). */
function sideBySide(seed: number, count: number): Float32Array {
  const parts = (['pinwheel', 'moons', 'circles'] as const).map(
    (name) => toy(name, { seed }).sample(count).data
  )
  return Float32Array.from({ length: count * 6 }, (_, i) => {
    const column = i % 6
    return parts[column >> 1]![2 * Math.floor(i / 6) + (column & 1)]!
  })
}

async function train({ name, options, data }: Problem, quick: boolean) {
  const model = await Flow.create({ ...options, device: 'cpu' })
  try {
    const short = { iterations: quick ? 50 : ITERATIONS }
    await model.fit(fromArray(data.rows, { shape: options.shape }), { ...optionsOf(toyRecipe).fit, ...short })
    console.log(`trained ${name}`)
    return model.parameters()
  } finally {
    model.dispose()
  }
}

type Weights = ReturnType<Flow['parameters']>

async function withFlow<T>(
  { options }: Problem,
  weights: Weights,
  change: Partial<FlowOptions>,
  use: (flow: Flow) => Promise<T>
): Promise<T> {
  const model = await Flow.create({ ...options, ...change })
  try {
    model.setParameters(weights)
    return await use(model)
  } finally {
    model.dispose()
  }
}

/** A solver that steps alike in training and for log-densities. */
function solver(name: string, tolerance: number): Solver {
  const chosen = CONTROLS[name]
  return { ...chosen, rtol: tolerance, atol: tolerance, evaluation: chosen } as Solver
}

async function compare({ quick }: Context, problem: Problem, weights: Weights) {
  const x = problem.data.test
  const exact: Solver = { method: 'dopri8', rtol: 1e-11, atol: 1e-11 }
  const truth = await withFlow(problem, weights, { solver: exact, device: 'reference' }, (model) =>
    model.logProb(Float64Array.from(x))
  )
  const at = (name: string, tolerance: number, use: (flow: Flow) => Promise<unknown>) =>
    withFlow(
      problem,
      weights,
      {
        device: 'cpu',
        threads: 1,
        solver: solver(name, tolerance)
      },
      async (model) => {
        const logProb = await model.logProb(x)
        const point = { tolerance, evaluations: model.statistics!.nfe, rms: rms(logProb, truth) }
        await use(model)
        return point
      }
    )

  const found = []
  for (const name of Object.keys(CONTROLS)) {
    const ladder: Point[] = []
    for (let exponent = 3; exponent <= 6.75; exponent += 0.125)
      ladder.push(await at(name, 10 ** -exponent, async () => {}))
    const tolerance = toleranceFor(ladder, ERROR)
    const seconds = quick ? 0.3 : 2
    let logProb = 0
    let training = 0
    const point = await onOneCore(() =>
      at(name, tolerance, async (model) => {
        logProb = (await measure(() => model.logProb(x), seconds)).best
        training = (await measure(() => model.loss(x as Batch), seconds)).best
      })
    )
    const wall = await withFlow(
      problem,
      weights,
      { device: 'cpu', solver: solver(name, tolerance) },
      async (model) => (await measure(() => model.logProb(x), seconds)).wallBest
    )
    const evaluations = evaluationsFor(ladder, ERROR)
    found.push({ name, ...point, evaluations, logProb, wall, training, ladder })
  }
  return found
}

/** Log-linear between the two points of the ladder around `error`; the last one where none is as exact. */
function toleranceFor(ladder: Point[], error: number): number {
  const after = ladder.findIndex(({ rms }) => rms <= error)
  if (after <= 0) return ladder.at(after)!.tolerance
  const [a, b] = [ladder[after - 1]!, ladder[after]!]
  const share = Math.log(a.rms / error) / Math.log(a.rms / b.rms)
  return Math.exp(Math.log(a.tolerance) + share * Math.log(b.tolerance / a.tolerance))
}

/** A line through log evaluations over log error, of the points within a factor of six of `error`. */
function evaluationsFor(ladder: Point[], error: number): number {
  const near = ladder
    .map(({ rms, evaluations }) => ({ x: Math.log(rms / error), y: Math.log(evaluations) }))
    .filter(({ x }) => Math.abs(x) <= Math.log(6))
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length
  const [x0, y0] = [mean(near.map(({ x }) => x)), mean(near.map(({ y }) => y))]
  const slope = mean(near.map(({ x, y }) => (x - x0) * (y - y0))) / mean(near.map(({ x }) => (x - x0) ** 2))
  return Math.exp(y0 - slope * x0)
}

function rms(values: ArrayLike<number>, truth: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < truth.length; i++) sum += (values[i]! - truth[i]!) ** 2
  return Math.sqrt(sum / truth.length)
}
