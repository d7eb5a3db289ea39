import type { AdaptiveMethod } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { measure } from '../clock'
import { time } from '../table'
import { type AblationContext, type Finding, power, rootMeanSquare, short } from './part'
import { freshRows, recomputed, train } from './toy-flow'

const DENSITY = '2spirals'
const METHODS: AdaptiveMethod[] = ['dopri5', 'tsit5', 'bosh3']
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
  const { flow } = await train(context, DENSITY, { iterations: context.quick ? 30 : 1000 })
  const { data: x } = freshRows(DENSITY).sample(rows)
  const exact = await recomputed(flow, {
    device: 'reference',
    solver: { method: 'dopri5', rtol: 1e-10, atol: 1e-10 }
  })
  const truth = await exact.logProb(Float64Array.from(x))
  exact.dispose()

  const solves: Solve[] = []
  for (const method of METHODS) {
    context.note(method)
    const solver = await recomputed(flow, { solver: { method }, threads: 1 })
    for (const tolerance of context.quick ? [1e-2, 1e-4] : TOLERANCES) {
      const call = () => solver.logProb(x, { rtol: tolerance, atol: tolerance })
      const error = rootMeanSquare(await call(), truth)
      const { best } = await measure(call, context.quick ? 0.02 : 0.5)
      solves.push({ method, tolerance, nfe: solver.statistics!.nfe, error, seconds: best })
    }
    solver.dispose()
  }
  flow.dispose()

  const series = (x: keyof Solve, y: keyof Solve) =>
    METHODS.map((method) => {
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
      `log p of ${rows} rows of ${DENSITY} under a flow trained on it; one step for the batch, PI control, exact trace.`,
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
