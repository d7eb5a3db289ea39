import type { Baseline } from '../density/compare'
import type { Flow } from '../flow'
import type { CnfBlock } from '../flow/options'
import type { SolverStatistics } from '../flow/statistics'
import type { Assessment } from './assess'

/** The tables of details: names and values as text. */
export type Facts = [name: string, value: string][]

/** '2 → 64 → 64 → 2, concatsquash, tanh; 1 block; exact trace' */
export function describe(flow: Flow): string {
  const blocks = flow.description.blocks.filter((block): block is CnfBlock => block.type === 'cnf')
  const net = blocks[0]?.net
  const widths = net ? [flow.shape[0], ...net.hidden, flow.shape[0]].join(' → ') : `[${flow.shape}]`
  const parts = [
    net ? `${widths}, ${net.layer}, ${net.activation}` : widths,
    `${blocks.length} CNF block${blocks.length === 1 ? '' : 's'}`,
    `trained with ${[...new Set(flow.traces)].join(' and ')} trace`
  ]
  return parts.join(' · ')
}

export function flowRows(flow: Flow): Facts {
  const weights = Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)
  const { solver, gradient, regularize } = flow.options
  const tolerance =
    'steps' in (solver ?? {}) ? undefined : (solver as { rtol?: number; atol?: number } | undefined)
  return [
    ['Shape of a sample', `[${flow.shape.join(', ')}]`],
    ...contextRow(flow),
    ['Blocks', flow.description.blocks.map((block) => block.type).join(', ')],
    ['Parameters', number(weights)],
    ['Trace', [...new Set(flow.traces)].join(', ')],
    ['Solver', solver?.method ?? 'dopri5'],
    ...(tolerance || !solver
      ? ([
          [
            'Tolerances (rtol, atol)',
            [tolerance?.rtol, tolerance?.atol].map((one = 1e-5) => one.toExponential()).join(', ')
          ]
        ] as Facts)
      : []),
    ['Gradient', typeof gradient === 'string' ? gradient : (gradient?.method ?? 'checkpoint')],
    ...Object.entries(regularize ?? {}).map(([name, weight]): [string, string] => [
      `Regulariser ${name}`,
      String(weight)
    ]),
    ['Device', flow.device]
  ]
}

function contextRow({ description: { context } }: Flow): Facts {
  if (context === undefined) return []
  const { size, columns = undefined } = typeof context === 'number' ? { size: context } : context
  return [['Conditioned on', columns?.join(', ') ?? `${size} numbers`]]
}

export function evaluationRows({
  nll,
  standardError,
  rows,
  nfe,
  traces,
  bound,
  entropy,
  klGap,
  bitsPerDim
}: Assessment): Facts {
  const list: Facts = [['NLL, nats per sample', plusMinus(nll, standardError, 4)]]
  if (bitsPerDim !== undefined) list.push(['Bits per dimension', bitsPerDim.toFixed(4)])
  if (entropy !== undefined) list.push(['Entropy of the data', entropy.toFixed(4)])
  if (klGap) list.push(['KL gap, of the same rows', plusMinus(klGap.value, klGap.standardError, 4)])
  if (entropy !== undefined) list.push(['NLL − entropy', plusMinus(nll - entropy, standardError, 4)])
  list.push(
    ['Rows', number(rows)],
    ['Bound', bound],
    ['Trace', [...new Set(traces)].join(', ')],
    ['Evaluations a row', nfe.toFixed(1)]
  )
  return list
}

/** The flow among plain densities, the best first. */
export function baselineRows(evaluation: Assessment | undefined, baselines: readonly Baseline[]): Facts {
  const all = [...(evaluation ? [{ ...evaluation, name: 'This flow' }] : []), ...baselines]
  return all
    .sort((a, b) => a.nll - b.nll)
    .map(({ name, nll, standardError }) => [name, plusMinus(nll, standardError, 3)])
}

export function solverRows({ nfe, accepted, rejected, smallestStep, largestStep }: SolverStatistics): Facts {
  return [
    ['Evaluations', nfe.toFixed(1)],
    ['Steps accepted, rejected', `${+accepted.toFixed(1)}, ${+rejected.toFixed(1)}`],
    ['Smallest, largest step', `${smallestStep.toPrecision(3)}, ${largestStep.toPrecision(3)}`]
  ]
}

export function number(value: number): string {
  return value.toLocaleString('en-US')
}

export function plusMinus(value: number, error: number, digits: number): string {
  return `${value.toFixed(digits)} ± ${error.toFixed(digits)}`
}
