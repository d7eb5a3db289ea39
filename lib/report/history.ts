import { bitsPerDim } from '../data/level-noise'
import type { History } from './report'

/** Curves of a training run as the page draws them, at most some thousand points each. */
export interface Curves {
  iteration: number[]
  /** The iteration whose weights were kept. */
  kept?: number
  charts: {
    title: string
    logarithmic?: boolean
    series: {
      name: string
      tone: string
      faint?: boolean
      dashed?: boolean
      dots?: boolean
      values: (number | null)[]
    }[]
  }[]
}

const MOST_POINTS = 2000

const TONES = ['model', 'validation', 'reference', 'data']

/** Thins a history to what a screen can show, and smooths what is noisy. Quantities never measured are left out. */
export function curves(history: History): Curves {
  const stride = Math.max(1, Math.ceil(history.iteration.length / MOST_POINTS))
  const thin = (values: (number | null)[]) => binned(values, stride)
  const iteration = history.iteration.filter(
    (_, i) => i % stride === stride - 1 || i === history.iteration.length - 1
  )
  const inUnits = (values: (number | null)[]) => thin(values.map((value) => units(value, history)))
  const loss = inUnits(history.loss)
  const entropy = history.entropy
  const charts: Curves['charts'] = [
    {
      title: history.lossTitle ?? (history.dimensions ? 'Loss, bits per dimension' : 'Loss, nats per sample'),
      series: [
        { name: 'batch', tone: 'model', faint: true, values: loss },
        { name: 'smoothed', tone: 'model', values: smooth(loss) },
        { name: 'validation', tone: 'validation', dots: true, values: inUnits(history.validation) },
        ...(entropy === undefined
          ? []
          : [{ name: 'entropy', tone: 'reference', dashed: true, values: iteration.map(() => entropy) }])
      ]
    },
    {
      title: 'Its parts, smoothed',
      series: (history.parts ?? []).map(({ name, values }, i) => ({
        name,
        tone: TONES[i % TONES.length]!,
        values: smooth(thin(values))
      }))
    },
    {
      title: 'Evaluations per iteration',
      series: [
        { name: 'forward', tone: 'model', values: thin(history.evaluations) },
        { name: 'backward', tone: 'validation', values: thin(history.backwardEvaluations) }
      ]
    },
    {
      title: 'Solver steps per iteration',
      series: [
        { name: 'accepted', tone: 'model', values: thin(history.accepted) },
        { name: 'rejected', tone: 'validation', values: thin(history.rejected) }
      ]
    },
    {
      title: 'Gradient norm and learning rate',
      logarithmic: true,
      series: [
        { name: 'gradient norm', tone: 'model', values: positive(thin(history.gradientNorm)) },
        { name: 'learning rate', tone: 'reference', values: positive(thin(history.learningRate)) }
      ]
    },
    {
      title: 'Regularisers, without their weights',
      logarithmic: true,
      series: (history.regularisers ?? []).map(({ name, values }, i) => ({
        name,
        tone: TONES[i % TONES.length]!,
        dashed: i >= TONES.length,
        values: positive(thin(values))
      }))
    }
  ]
  for (const chart of charts) {
    chart.series = chart.series.filter((one) => one.values.some((value) => value !== null))
  }
  return {
    iteration,
    ...(history.kept !== undefined && { kept: history.kept }),
    charts: charts.filter((chart) => chart.series.length > 0)
  }
}

/** Nats of an image of 256 levels as bits per dimension. */
function units(nats: number | null, { dimensions, noise }: History): number | null {
  return nats === null || !dimensions ? nats : bitsPerDim(nats, dimensions, noise)
}

/** Means over runs of `stride`; null where a run has no value. */
function binned(values: (number | null)[], stride: number): (number | null)[] {
  const means: (number | null)[] = []
  for (let start = 0; start < values.length; start += stride) {
    const present = values.slice(start, start + stride).filter((value) => value !== null)
    means.push(present.length ? round(present.reduce((sum, value) => sum + value, 0) / present.length) : null)
  }
  return means
}

/** Running mean with a memory of an eightieth of the run, started without bias. */
export function smooth(values: (number | null)[]): (number | null)[] {
  const keep = 1 - 1 / Math.max(4, values.length / 80)
  let [sum, weight] = [0, 0]
  return values.map((value) => {
    if (value === null) return null
    sum = keep * sum + value
    weight = keep * weight + 1
    return round(sum / weight)
  })
}

function positive(values: (number | null)[]): (number | null)[] {
  return values.map((value) => (value !== null && value > 0 ? value : null))
}

function round(value: number): number {
  return Number.isFinite(value) ? +value.toPrecision(6) : 0
}
