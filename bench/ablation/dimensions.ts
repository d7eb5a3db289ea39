import { Flow, type Trace } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { time } from '../table'
import { type AblationContext, cpuSeconds, type Finding, fittedExponent } from './part'

const SIZES = [2, 5, 10, 30, 100, 300, 1000, 3000, 10_000]
/** The exact trace takes D unit tangents; beyond this it takes minutes. */
const LARGEST_EXACT = 300
const HIDDEN = [64, 64, 64]
const BATCH = 64

interface Price {
  trace: 'one probe' | 'exact'
  size: number
  seconds: number
}

/** What (f, divergence) costs as the number of columns grows: the paper's O((DH + D) L̂), a solve being L̂ of these. */
export async function dimensions(context: AblationContext): Promise<Finding> {
  const { quick, device } = context
  const prices: Price[] = []
  for (const size of quick ? [2, 30, 300] : SIZES) {
    const flow = await Flow.create({
      shape: [size],
      blocks: [{ type: 'cnf', net: { hidden: HIDDEN, layer: 'concat', activation: 'tanh' } }],
      device,
      threads: 1
    })
    const { data: z } = flow.sampleBase(BATCH, { seed: 1 })
    const price = async (name: Price['trace'], trace: Trace) => {
      const call = () => flow.velocity(z, { t: 0.25, divergence: true, trace, seed: 1 })
      prices.push({ trace: name, size, seconds: await cpuSeconds(call, quick ? 0.02 : 1) })
    }
    await price('one probe', { noise: 'rademacher' })
    if (size <= (quick ? 30 : LARGEST_EXACT)) await price('exact', 'exact')
    context.note(`D = ${size}`)
    flow.dispose()
  }
  const points = (trace: Price['trace'], from = 0) =>
    prices
      .filter((one) => one.trace === trace && one.size >= from)
      .map((one) => ({ x: one.size, y: one.seconds }))
  const exponent = (trace: Price['trace'], from: number) => {
    const wide = points(trace, from)
    return wide.length > 1 ? fittedExponent(wide).toFixed(2) : 'unknown'
  }
  return {
    name: 'dimensions',
    title: 'What an evaluation costs as D grows',
    columns: ['D', 'one probe', 'exact by D tangents'],
    rows: [...new Set(prices.map(({ size }) => size))].map((size) => {
      const cell = (trace: Price['trace']) => {
        const found = prices.find((one) => one.size === size && one.trace === trace)
        return found ? time(found.seconds) : ''
      }
      return [String(size), cell('one probe'), cell('exact')]
    }),
    notes: [
      `(f, divergence) of D-${HIDDEN.join('-')}-D concat tanh at ${BATCH} rows, one core, through the binding; a solve costs its NFE of these.`,
      `Fitted exponent of one probe over D ≥ ${quick ? 30 : 300}: ${exponent('one probe', quick ? 30 : 300)}, and 1 is what O(D H) says; of the exact trace over D ≥ ${quick ? 2 : 10}: ` +
        `${exponent('exact', quick ? 2 : 10)}. Three hidden layers have no closed form, so the exact trace pushes D tangents.`
    ],
    data: prices,
    figure: chart([
      {
        title: '(f, divergence) of 64 rows',
        xName: 'D',
        yName: 'seconds',
        logX: true,
        logY: true,
        series: [
          { name: 'one probe', points: points('one probe') },
          { name: 'exact', points: points('exact') }
        ]
      }
    ])
  }
}
