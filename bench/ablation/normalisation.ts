import { Flow, fromArray } from 'ffjord'
import { RowRandom } from '../../lib/data/random'
import { chart } from '../../lib/report/chart'
import { type AblationContext, type Finding, power, short } from './part'
import { recomputed } from './toy-flow'

/** Equal parts at these means: the mixture of figure 8 of Grathwohl et al. 2019, as approx_error_1d.py draws it. */
const MEANS = [-2.8, -0.9, 2]
const DEVIATION = Math.sqrt(0.4)
const REACH = 15
const TOLERANCES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8]
const ENGINES = ['cpu', 'reference'] as const

interface Mass {
  engine: (typeof ENGINES)[number]
  tolerance: number
  /** |1 − ∫ p| */
  error: number
  nfe: number
}

/** How far a learned density is from mass 1 because its solver is not exact. */
export async function normalisation(context: AblationContext): Promise<Finding> {
  const { quick } = context
  const flow = await Flow.create({
    shape: [1],
    blocks: [
      { type: 'cnf', trainTime: true, net: { hidden: [64, 64], layer: 'concat', activation: 'tanh' } }
    ],
    solver: { rtol: 1e-4, atol: 1e-4 },
    trace: 'exact'
  })
  const iterations = quick ? 30 : 800
  await flow.fit(mixture(20_000), {
    iterations,
    batch: 256,
    optimizer: { type: 'adam', lr: 1e-2 },
    schedule: { type: 'cosine', warmup: 20 }
  })

  const points = quick ? 401 : 4001
  const x = Float64Array.from({ length: points }, (_, i) => -REACH + (2 * REACH * i) / (points - 1))
  const masses: Mass[] = []
  for (const engine of ENGINES) {
    const own = await recomputed(flow, { device: engine })
    for (const tolerance of quick ? [1e-2, 1e-4] : TOLERANCES) {
      const logProb = await own.logProb(x, { rtol: tolerance, atol: tolerance })
      const mass = logProb.reduce((sum, value) => sum + Math.exp(value), 0) * (x[1]! - x[0]!)
      masses.push({ engine, tolerance, error: Math.abs(1 - mass), nfe: own.statistics!.nfe })
    }
    context.note(engine)
    own.dispose()
  }
  flow.dispose()
  const of = (engine: string) => masses.filter((one) => one.engine === engine)
  return {
    name: 'normalisation',
    title: 'Mass of a learned density',
    columns: ['engine', 'rtol = atol', 'mass off by', 'NFE'],
    rows: masses.map(({ engine, tolerance, error, nfe }) => [
      `${engine} (${engine === 'cpu' ? 'float32' : 'float64'})`,
      power(tolerance),
      short(error),
      nfe.toFixed(0)
    ]),
    notes: [
      `A mixture of normals at ${MEANS.join(', ')} with variance 0.4, learned by 1-64-64-1 concat tanh in ${iterations} iterations; figure 8 of the paper.`,
      `∫: sum over ${points} points in [−${REACH}, ${REACH}], exact to rounding for so smooth a density. dopri5, one step for all points.`
    ],
    data: masses,
    figure: chart([
      {
        title: '|1 − ∫p|',
        xName: 'tolerance',
        yName: '|1 − ∫p|',
        logX: true,
        logY: true,
        series: ENGINES.map((engine) => ({
          name: engine === 'cpu' ? 'cpu, float32' : 'reference, float64',
          points: of(engine).map((one) => ({ x: one.tolerance, y: one.error }))
        }))
      }
    ])
  }
}

function mixture(rows: number) {
  const random = new RowRandom(1)
  const data = Float32Array.from({ length: rows }, (_, row) => {
    random.seek(row)
    return MEANS[Math.floor(random.uniform() * MEANS.length)]! + DEVIATION * random.normal()
  })
  return fromArray(data, { shape: [1] })
}
