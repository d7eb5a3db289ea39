import { Flow, type HutchinsonTrace } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { type AblationContext, type Finding, fittedExponent, mean, short } from './part'

const SIZE = 32
const WIDTHS = [1, 2, 4, 8, 16]
const NOISES = ['gaussian', 'rademacher'] as const

interface Variances {
  noise: (typeof NOISES)[number]
  width: number
  /** The variance of one probe about its own mean, averaged over rows. */
  plain: number
  bottleneck: number
  /** Root mean square distance of the mean from the exact trace, in standard errors of that mean. */
  bias: number
}

/** The variance of the divergence by noise of the narrowest layer's width (eq. 9) against that of the data's. */
export async function bottleneck(context: AblationContext): Promise<Finding> {
  const { quick, device } = context
  const [rows, draws] = quick ? [16, 20] : [64, 400]
  const found: Variances[] = []
  for (const width of quick ? [2, 8] : WIDTHS) {
    const flow = await Flow.create({
      shape: [SIZE],
      blocks: [{ type: 'cnf', net: { hidden: [64, width, 64], layer: 'concat', activation: 'tanh' } }],
      device,
      seed: 3
    })
    const { data: z } = flow.sampleBase(rows, { seed: 1 })
    const divergence = async (trace: HutchinsonTrace | 'exact', seed: number) =>
      (await flow.velocity(z, { t: 0.25, divergence: true, trace, seed })).divergence!
    const exact = await divergence('exact', 0)
    const measure = async (trace: HutchinsonTrace) => {
      const estimates: Float32Array[] = []
      for (let seed = 0; seed < draws; seed++) estimates.push(await divergence(trace, seed))
      const centres = exact.map((_, row) => mean(estimates.map((estimate) => estimate[row]!)))
      const spread = (row: number) =>
        mean(estimates.map((estimate) => (estimate[row]! - centres[row]!) ** 2)) * (draws / (draws - 1))
      const variances = exact.map((_, row) => spread(row))
      // Rademacher noise is exact at width 1, ε² = 1: its distance has no standard error
      const distances = exact.map(
        (truth, row) => (centres[row]! - truth) ** 2 / Math.max(variances[row]! / draws, 1e-14)
      )
      return { variance: mean(variances), bias: Math.sqrt(mean(distances)) }
    }
    for (const noise of NOISES) {
      const plain = await measure({ noise })
      const narrow = await measure({ noise, bottleneck: true })
      found.push({ noise, width, plain: plain.variance, bottleneck: narrow.variance, bias: narrow.bias })
    }
    flow.dispose()
  }

  const of = (noise: string) => found.filter((one) => one.noise === noise)
  const points = (noise: string) =>
    of(noise)
      .map((one) => ({ x: one.width, y: one.bottleneck / one.plain }))
      .filter(({ y }) => y > 1e-9)
  return {
    name: 'bottleneck',
    title: 'Noise of a bottleneck',
    columns: [
      'noise',
      'width',
      'plain variance',
      'bottleneck variance',
      'ratio',
      'distance from the exact trace'
    ],
    rows: found.map(({ noise, width, plain, bottleneck, bias }) => [
      noise,
      String(width),
      short(plain),
      short(bottleneck),
      short(bottleneck / plain),
      `${bias.toFixed(2)} standard errors`
    ]),
    notes: [
      `Divergence of untrained ${SIZE}-64-width-64-${SIZE} concat tanh nets at ${rows} points with one probe; variance over ${draws} draws of the noise, mean over the points.`,
      `Fitted exponents of the ratio in the width: ${NOISES.map((noise) => `${noise} ${fittedExponent(points(noise)).toFixed(2)}`).join(', ')}. ` +
        'With one hidden unit Rademacher noise is exact.'
    ],
    data: found,
    figure: chart([
      {
        title: 'Variance of the divergence, bottleneck over plain',
        xName: 'width of the bottleneck',
        yName: 'ratio',
        logX: true,
        logY: true,
        series: NOISES.map((noise) => ({ name: noise, points: points(noise) }))
      }
    ])
  }
}
