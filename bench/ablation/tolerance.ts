import { adaptiveMethods } from '../../lib/native/methods'
import { chart } from '../../lib/report/chart'
import { time } from '../table'
import { type AblationContext, cpuSeconds, type Finding, power, rootMeanSquare, short } from './part'
import { freshRows, recomputed, train } from './toy-flow'

const DENSITY = '2spirals'
/** A method of low order takes too many steps beyond this. */
const MOST_EVALUATIONS = 2000
const TOLERANCES = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7]

interface Solve {
  method: string
  tolerance: number
  nfe: number
  /** Root mean square over rows of the distance from a tight float64 solve, nats. */
  error: number
  seconds: number
}

/** What a tolerance buys: evaluations, accuracy of log p, time. */
export async function tolerance(context: AblationContext): Promise<Finding> {
  const rows = context.quick ? 64 : 512
  const methods = context.quick ? adaptiveMethods.slice(0, 2) : adaptiveMethods
  const { flow } = await train(context, DENSITY, { iterations: context.quick ? 30 : 1000 })
  const { data: x } = freshRows(DENSITY).sample(rows)
  const exact = await recomputed(flow, {
    device: 'reference',
    solver: { method: 'dopri5', rtol: 1e-10, atol: 1e-10 }
  })
  const truth = await exact.logProb(Float64Array.from(x))
  exact.dispose()

  const solves: Solve[] = []
  for (const method of methods) {
    context.note(method)
    const solver = await recomputed(flow, { solver: { method }, threads: 1 })
    for (const tolerance of context.quick ? [1e-2, 1e-4] : TOLERANCES) {
      const call = () => solver.logProb(x, { rtol: tolerance, atol: tolerance })
      const error = rootMeanSquare(await call(), truth)
      const seconds = await cpuSeconds(call, context.quick ? 0.02 : 1)
      const { nfe } = solver.statistics!
      solves.push({ method, tolerance, nfe, error, seconds })
      if (nfe > MOST_EVALUATIONS) break
    }
    solver.dispose()
  }
  flow.dispose()

  const series = (x: keyof Solve, y: keyof Solve) =>
    methods.map((method) => {
      const own = solves.filter((solve) => solve.method === method)
      return { name: method, points: own.map((solve) => ({ x: Number(solve[x]), y: Number(solve[y]) })) }
    })
  const axes = (xName: string, yName: string) => ({ xName, yName, logX: true, logY: true })
  return {
    name: 'tolerance',
    title: 'What a tolerance buys',
    columns: ['solver', 'rtol = atol', 'NFE', 'rms error of log p, nats', `${rows} rows, one core`],
    rows: solves.map(({ method, tolerance, nfe, error, seconds }) => [
      method,
      power(tolerance),
      nfe.toFixed(0),
      short(error),
      time(seconds)
    ]),
    notes: [
      `log p of ${rows} rows of ${DENSITY} under a flow trained on it; one step for the batch, PI control, exact trace. A method ends at its first solve of more than ${MOST_EVALUATIONS} evaluations.`,
      'Error: root mean square over the rows, from dopri5 at 1e-10 on the float64 engine. In float32 it ends near 1e-6.'
    ],
    data: solves,
    figure: chart([
      { title: 'Evaluations', ...axes('tolerance', 'NFE'), series: series('tolerance', 'nfe') },
      { title: 'Error', ...axes('tolerance', 'rms error of log p'), series: series('tolerance', 'error') },
      {
        title: 'Price of accuracy',
        ...axes('rms error of log p', 'seconds'),
        series: series('error', 'seconds')
      }
    ])
  }
}
