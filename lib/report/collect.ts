import type { Dataset } from '../data/dataset'
import type { Baseline } from '../density/compare'
import type { Flow } from '../flow'
import type { CnfBlock } from '../flow/options'
import type { SolverStatistics } from '../flow/statistics'
import { type RealArray, sizeOf } from '../native/batch'
import { VERSION } from '../native/version'
import type { Assessment } from './assess'
import { imagePanels, linePanels, marginalPanels, pairPanels } from './columns'
import { animate, COARSE, FINE, pictureTolerance, planePanels } from './plane'
import type { Highlight, History, Report } from './report'
import { contextOption, extremes, firstRows, score, scorePanel } from './scores'

export interface ReportInput {
  title: string
  flow: Flow
  /** Rows to show beside the flow. */
  data: Dataset
  /** How the flow does on test data. */
  evaluation?: Assessment
  history?: History
  /** Parts of the data that log-densities are compared on; shown for tables. */
  parts?: { validation: Dataset; test: Dataset }
  /** Plain densities on the same test rows. */
  baselines?: Baseline[]
  /** What the table of details says of the training run. */
  training?: [name: string, value: string][]
  /** How long training took. */
  seconds?: number
  /** The samples shown are drawn from it. */
  seed?: number
}

/** Rows of the solves whose statistics a report lists, at the flow's own tolerances. */
const MEASURED_ROWS = 1000

/** Runs the flow for everything a report shows. */
export async function collectReport(input: ReportInput): Promise<Report> {
  const { title, flow, data, evaluation, history, parts, baselines = [], training = [], seed = 1 } = input
  const detail = flow.device === 'reference' ? COARSE : FINE
  const wanted = Math.min(detail.samples, Math.ceil(6e6 / sizeOf(flow.shape)))
  const { rows, context } = await firstRows(data, wanted)
  // Samples of a conditional density are drawn at the contexts of the data, one a row.
  const count = context ? rows.length / sizeOf(flow.shape) : wanted
  const drawn = await flow.sample(count, {
    seed,
    precision: 'float64',
    ...pictureTolerance(flow),
    ...contextOption(context, count)
  })
  const measured = context ? Math.min(MEASURED_ROWS, count) : MEASURED_ROWS
  await flow.sample(measured, { seed, ...contextOption(context, measured) })
  const sampling = flow.statistics
  const head = rows.subarray(0, MEASURED_ROWS * sizeOf(flow.shape))
  await flow.logProb(head, contextOption(context, head.length / sizeOf(flow.shape)))
  const density = flow.statistics

  const names = columnNames(flow, data)
  const scores =
    parts && flow.shape.length === 1
      ? [
          await score(flow, 'train', data),
          await score(flow, 'validation', parts.validation),
          await score(flow, 'test', parts.test, evaluation?.logProb)
        ]
      : []
  // A density of its own for every context has no one picture; that within an interval, or beside an atom, is not of the whole plane.
  const apart =
    flow.description.blocks.some(({ type }) => type === 'support') ||
    flow.table?.columns.some(({ atom }) => atom)
  const plane = flow.shape.length === 1 && flow.shape[0] === 2 && !context && !apart
  return {
    title,
    subtitle: describe(flow),
    highlights: highlights(input),
    sections: await sections(flow, rows, drawn.data, names),
    listings: scores.length > 0 ? extremes(flow, scores[2]!, names) : [],
    ...(plane && { animation: await animate(flow, detail, seed) }),
    ...(history && history.iteration.length > 0 && { history: { ...history, entropy: evaluation?.entropy } }),
    tables: [
      { title: 'Flow', rows: flowRows(flow) },
      ...(training.length > 0 ? [{ title: 'Training', rows: training }] : []),
      ...(evaluation ? [{ title: 'Evaluation', rows: evaluationRows(evaluation) }] : []),
      ...(baselines.length > 0
        ? [{ title: 'Other densities, NLL on the test rows', rows: baselineRows(input) }]
        : []),
      ...(density
        ? [{ title: `Solver: log-density of ${number(measured)} rows`, rows: solverRows(density) }]
        : []),
      ...(sampling ? [{ title: `Solver: ${number(measured)} samples`, rows: solverRows(sampling) }] : [])
    ],
    footer: `Made by ffjord ${VERSION} on device ${flow.device}. Densities in nats per sample.`
  }

  async function sections(flow: Flow, rows: RealArray, samples: RealArray, names: string[]) {
    const drawn = await figures(flow, rows, samples, names)
    if (scores.length === 0) return drawn
    const note =
      'How the flow scores rows it was trained on, rows that chose when to stop, and rows it never saw. Where the last ' +
      'lie lower, it has learnt the training rows by heart.'
    return [...drawn, { title: 'Log-densities', note, panels: [scorePanel(scores)] }]
  }

  async function figures(flow: Flow, rows: RealArray, samples: RealArray, names: string[]) {
    if (flow.shape.length === 3) {
      return [
        {
          title: 'Images',
          note: 'Data and samples of the flow.',
          panels: imagePanels(rows, samples, flow.shape)
        }
      ]
    }
    if (names.length === 1 && !context) {
      const note = 'Density of the flow beside the histogram of the data.'
      return [{ title: 'Density', note, panels: await linePanels(flow, rows) }]
    }
    if (plane) {
      const note =
        `Histograms of ${number(rows.length / 2)} rows of data and as many samples beside the densities. ` +
        'Colour follows the square root of the density, on one scale.'
      return [{ title: 'Density', note, panels: await planePanels(flow, data, rows, samples, detail) }]
    }
    const drawn = context ? ', one sample at the context of each row' : ''
    const some = names.length > 12 ? ': the first 12' : ''
    const marginals = {
      title: 'Marginals',
      note: `Columns of the data (grey) and of samples of the flow (blue)${drawn}${some}.`,
      panels: marginalPanels(rows, samples, names)
    }
    if (names.length === 1) return [marginals]
    const note = `Data (grey) and samples (blue)${drawn}.`
    return [marginals, { title: 'Pairs of columns', note, panels: pairPanels(rows, samples, names) }]
  }
}

function columnNames(flow: Flow, data: Dataset): string[] {
  return [...(data.columns ?? Array.from({ length: sizeOf(flow.shape) }, (_, i) => `x${i + 1}`))]
}

function highlights({ flow, evaluation, history, seconds, baselines }: ReportInput): Highlight[] {
  const list: Highlight[] = []
  if (evaluation) {
    const { nll, standardError, rows, nfe, entropy, klGap } = evaluation
    list.push({
      name: 'Test NLL',
      value: nll.toFixed(3),
      note: `± ${standardError.toFixed(3)} nats, ${number(rows)} rows`
    })
    const gaussian = baselines?.[0]
    if (gaussian) {
      const gain = gaussian.nll - nll
      list.push({ name: 'Better than a Gaussian', value: gain.toFixed(3), note: 'nats per row' })
    }
    if (entropy !== undefined) {
      list.push({ name: 'Entropy of the data', value: entropy.toFixed(3), note: 'nats: the lowest mean NLL' })
    }
    if (klGap) {
      list.push({
        name: 'KL gap',
        value: klGap.value.toFixed(3),
        note: `± ${klGap.standardError.toFixed(3)} nats`
      })
    }
    list.push({ name: 'Evaluations', value: nfe.toFixed(1), note: 'of the dynamics per log-density' })
  }
  const times = flow.endTimes
  list.push({
    name: 'End time T',
    value:
      times
        .map((time) => time.toFixed(3))
        .slice(0, 3)
        .join(', ') + (times.length > 3 ? ' …' : '')
  })
  if (seconds !== undefined) {
    const iterations = history?.iteration.at(-1)
    list.push({
      name: 'Training time',
      value: seconds < 100 ? `${seconds.toFixed(1)} s` : `${(seconds / 60).toFixed(1)} min`,
      ...(iterations !== undefined && { note: `${number(iterations)} iterations` })
    })
  }
  return list
}

/** '2 → 64 → 64 → 2, concatsquash, tanh; 1 block; exact trace' */
function describe(flow: Flow): string {
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

function flowRows(flow: Flow): [string, string][] {
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
        ] as [string, string][])
      : []),
    ['Gradient', typeof gradient === 'string' ? gradient : (gradient?.method ?? 'checkpoint')],
    ...Object.entries(regularize ?? {}).map(([name, weight]): [string, string] => [
      `Regulariser ${name}`,
      String(weight)
    ]),
    ['Device', flow.device]
  ]
}

function contextRow({ description: { context } }: Flow): [string, string][] {
  if (context === undefined) return []
  const { size, columns = undefined } = typeof context === 'number' ? { size: context } : context
  return [['Conditioned on', columns?.join(', ') ?? `${size} numbers`]]
}

function evaluationRows({
  nll,
  standardError,
  rows,
  nfe,
  traces,
  bound,
  entropy,
  klGap
}: Assessment): [string, string][] {
  const list: [string, string][] = [
    ['NLL, nats per sample', `${nll.toFixed(4)} ± ${standardError.toFixed(4)}`]
  ]
  if (entropy !== undefined) list.push(['Entropy of the data', entropy.toFixed(4)])
  if (klGap) list.push(['KL gap', `${klGap.value.toFixed(4)} ± ${klGap.standardError.toFixed(4)}`])
  list.push(
    ['Rows', number(rows)],
    ['Bound', bound],
    ['Trace', [...new Set(traces)].join(', ')],
    ['Evaluations a row', nfe.toFixed(1)]
  )
  return list
}

function baselineRows({ evaluation, baselines = [] }: ReportInput): [string, string][] {
  const flow: [string, string][] = evaluation
    ? [['This flow', `${evaluation.nll.toFixed(3)} ± ${evaluation.standardError.toFixed(3)}`]]
    : []
  return [
    ...flow,
    ...baselines.map(({ name, nll, standardError }): [string, string] => [
      name,
      `${nll.toFixed(3)} ± ${standardError.toFixed(3)}`
    ])
  ]
}

function solverRows({
  nfe,
  accepted,
  rejected,
  smallestStep,
  largestStep
}: SolverStatistics): [string, string][] {
  return [
    ['Evaluations', nfe.toFixed(1)],
    ['Steps accepted, rejected', `${+accepted.toFixed(1)}, ${+rejected.toFixed(1)}`],
    ['Smallest, largest step', `${smallestStep.toPrecision(3)}, ${largestStep.toPrecision(3)}`]
  ]
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}
