import type { Baseline } from '../density/compare'
import type { Flow } from '../flow'
import type { Assessment } from './assess'
import { number } from './facts'
import type { Highlight, History } from './report'

/** The numbers at the head of a report. */
export function highlightsOf(input: {
  flow: Flow
  evaluation?: Assessment
  history?: History
  seconds?: number
  baselines?: readonly Baseline[]
}): Highlight[] {
  const { flow, evaluation, history, seconds, baselines = [] } = input
  const times = flow.endTimes.map((time) => time.toFixed(3))
  return [
    ...(evaluation ? scores(evaluation, baselines) : []),
    { name: 'End time T', value: times.slice(0, 3).join(', ') + (times.length > 3 ? ' …' : '') },
    ...(seconds === undefined ? [] : [duration(seconds, history?.iteration.at(-1))])
  ]
}

function scores(evaluation: Assessment, baselines: readonly Baseline[]): Highlight[] {
  const { nll, standardError, rows, nfe, entropy, klGap, bitsPerDim } = evaluation
  const list: Highlight[] = [
    {
      name: 'Test NLL',
      value: nll.toFixed(3),
      note: `± ${standardError.toFixed(3)} nats, ${number(rows)} rows`
    }
  ]
  if (bitsPerDim !== undefined)
    list.push({ name: 'Bits per dimension', value: bitsPerDim.toFixed(3), note: 'of values of 256 levels' })
  const best = [...baselines].sort((a, b) => a.nll - b.nll)[0]
  if (best) {
    const gain = best.nll - nll
    list.push({
      name: gain < 0 ? 'Worse than a plain density' : 'Better than plain densities',
      value: Math.abs(gain).toFixed(3),
      note: `nats per row; ${best.name} has ${best.nll.toFixed(3)}`
    })
  }
  if (entropy !== undefined)
    list.push({ name: 'Entropy of the data', value: entropy.toFixed(3), note: 'nats: the lowest mean NLL' })
  if (klGap && entropy !== undefined) {
    const difference = nll - entropy
    // The one has the noise of the rows, the other that of the ratio alone: they are told apart where they look different.
    const differs = Math.abs(difference - klGap.value) > 0.001
    list.push({
      name: 'KL gap',
      value: klGap.value.toFixed(3),
      note:
        `± ${klGap.standardError.toFixed(3)} nats, on the test rows` +
        (differs
          ? `; NLL − entropy, ${difference.toFixed(3)} ± ${standardError.toFixed(3)}, has their noise too`
          : '')
    })
  }
  list.push({ name: 'Evaluations', value: nfe.toFixed(1), note: 'of the dynamics per log-density' })
  return list
}

export function duration(seconds: number, iterations: number | undefined): Highlight {
  return {
    name: 'Training time',
    value: seconds < 100 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`,
    ...(iterations !== undefined && { note: `${number(iterations)} iterations` })
  }
}
