import { Flow, type HutchinsonTrace } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { type AblationContext, type Finding, fittedExponent, mean, short } from './part'

const SIZE = 16
const NOISES = ['gaussian', 'rademacher'] as const
const PROBES = [1, 2, 4, 8, 16, 32]

interface Variance {
  noise: (typeof NOISES)[number]
  probes: number
  /** The variance of the estimate about its own mean, averaged over rows. */
  variance: number
  /** Root mean square distance of the mean from the exact trace, in standard errors of that mean. */
  bias: number
}

/** The variance of Hutchinson's estimate, measured over seeds. */
export async function probes(context: AblationContext): Promise<Finding> {
  const { quick, device } = context
  const [rows, draws] = quick ? [16, 20] : [64, 400]
  const flow = await Flow.create({
    shape: [SIZE],
    blocks: [{ type: 'cnf', net: { hidden: [64, 64], layer: 'concat', activation: 'tanh' } }],
    device,
    seed: 3
  })
  const { data: z } = flow.sampleBase(rows, { seed: 1 })
  const divergence = async (trace: HutchinsonTrace | 'exact', seed: number) =>
    (await flow.velocity(z, { t: 0.25, divergence: true, trace, seed })).divergence!
  const exact = await divergence('exact', 0)

  const found: Variance[] = []
  for (const noise of NOISES) {
    for (const count of quick ? [1, 4] : PROBES) {
      const estimates: Float32Array[] = []
      for (let seed = 0; seed < draws; seed++)
        estimates.push(await divergence({ noise, probes: count }, seed))
      const centres = exact.map((_, row) => mean(estimates.map((estimate) => estimate[row]!)))
      const variances = exact.map(
        (_, row) =>
          mean(estimates.map((estimate) => (estimate[row]! - centres[row]!) ** 2)) * (draws / (draws - 1))
      )
      const bias = Math.sqrt(
        mean(exact.map((truth, row) => (centres[row]! - truth) ** 2 / (variances[row]! / draws)))
      )
      found.push({ noise, probes: count, variance: mean(variances), bias })
    }
  }
  flow.dispose()

  const of = (noise: string) => found.filter((one) => one.noise === noise)
  const points = (noise: string) => of(noise).map((one) => ({ x: one.probes, y: one.variance }))
  return {
    name: 'probes',
    title: 'Variance of the trace',
    columns: ['noise', 'probes', 'variance', '× probes', 'distance from the exact trace'],
    rows: found.map(({ noise, probes, variance, bias }) => [
      noise,
      String(probes),
      short(variance),
      short(variance * probes),
      `${bias.toFixed(2)} standard errors`
    ]),
    notes: [
      `Divergence of an untrained ${SIZE}-64-64-${SIZE} concat tanh net at ${rows} points; variance over ${draws} draws of the noise, mean over the points.`,
      `Fitted exponents: ${NOISES.map((noise) => `${noise} ${fittedExponent(points(noise)).toFixed(2)}`).join(', ')}; independent probes give −1. ` +
        'The mean of an unbiased estimate is about one standard error from the exact trace.'
    ],
    data: found,
    figure: chart([
      {
        title: 'Variance of the divergence',
        xName: 'probes',
        yName: 'variance',
        logX: true,
        logY: true,
        series: NOISES.map((noise) => ({ name: noise, points: points(noise) }))
      }
    ])
  }
}
