import type { Dataset } from '../data/dataset'
import { orderedContext } from '../data/schema'
import type { Baseline } from '../density/compare'
import type { Flow } from '../flow'
import { LawDataset } from '../index'
import { type RealArray, sizeOf } from '../native/batch'
import { pause } from '../native/pieces'
import { VERSION } from '../native/version'
import { animate } from './animate'
import type { Assessment } from './assess'
import { marginalSection, matchSection, pairSection, pairsOf } from './comparison'
import { baselineRows, describe, evaluationRows, type Facts, flowRows, number, solverRows } from './facts'
import { highlightsOf } from './highlights'
import { imageSections } from './image-sections'
import { linePanels } from './marginals'
import { COARSE, FINE, pictureTolerance, planePanels } from './plane'
import { firstColumns, plainColumns, type Quantity, quantitiesOf } from './quantity'
import type { History, ImageAnimation, Report, Section } from './report'
import { contextOption, extremes, firstRows, type RowContext, type Scores, score, scorePanel } from './scores'

export interface ReportInput {
  title: string
  flow: Flow
  /** Rows to show beside the flow. */
  data: Dataset
  /** How the flow does on test data. */
  evaluation?: Assessment
  history?: History
  /** Parts of the data that log-densities are compared on; shown for tables. */
  parts?: { validation?: Dataset; test: Dataset }
  /** Plain densities on the same test rows. */
  baselines?: Baseline[]
  /** What the table of details says of the rows, and of the training run. */
  rows?: Facts
  training?: Facts
  /** A sentence on how training ended, where its end says something of the flow. */
  ending?: string
  /** How long training took. */
  seconds?: number
  /** The samples shown are drawn from it. */
  seed?: number
  /** The command that made it. */
  command?: string
  /** Told what comes next, and the share of the report that is done, in [0, 1]. */
  tell?: (share: number, next: string) => void
  /** Ends the report: it rejects with code CANCELLED. */
  signal?: AbortSignal
}

/** Rows of the solves whose statistics a report lists, at the flow's own tolerances. */
const MEASURED_ROWS = 1000
const SHOWN_IMAGES = 100
/** Elements of a table that are looked at. */
const MOST_ELEMENTS = 512

/** Runs the flow for everything a report shows. */
export async function collectReport(input: ReportInput): Promise<Report> {
  const { title, flow, data, evaluation, history, baselines = [], seed = 1, ending, command, signal } = input
  const detail = flow.device === 'reference' ? COARSE : FINE
  // Of images no more are drawn than are shown.
  const most = flow.shape.length === 3 ? SHOWN_IMAGES : detail.samples
  const wanted = Math.min(most, Math.ceil(6e6 / sizeOf(flow.shape)))
  const { rows, context } = await firstRows(data, wanted)
  // Samples of a conditional density are drawn at the contexts of the data, one a row; those of a table beside as many rows.
  const table = !(data instanceof LawDataset) && flow.shape.length === 1
  const count = context || table ? rows.length / sizeOf(flow.shape) : wanted
  const next = stepsOf(input)
  await next(0, 'samples')
  const drawn = await flow.sample(count, {
    seed,
    ...(signal && { signal }),
    precision: 'float64',
    ...pictureTolerance(flow),
    ...contextOption(context, count)
  })
  await next(0.15, 'what solves take')
  const solves = await solverFacts(flow, rows, context, seed)
  const { sections, plane, images } = await sectionsOf(input, {
    rows,
    context,
    samples: drawn.data,
    detail,
    table
  })
  const known = {
    ...(evaluation?.entropy !== undefined && { entropy: evaluation.entropy }),
    ...(ending && { ending }),
    ...(flow.shape.length === 3 && { dimensions: sizeOf(flow.shape) })
  }
  await next(0.85, 'the page')
  return {
    title,
    subtitle: describe(flow),
    highlights: highlightsOf(input),
    sections,
    ...(plane && { animation: await animate(flow, detail, seed, plane) }),
    ...(images && { images }),
    ...(history && history.iteration.length > 0 && { history: { ...history, ...known } }),
    tables: [
      ...(input.rows ? [{ title: 'Rows', rows: input.rows }] : []),
      { title: 'Flow', rows: flowRows(flow) },
      ...(input.training ? [{ title: 'Training', rows: input.training }] : []),
      ...(evaluation ? [{ title: 'Evaluation', rows: evaluationRows(evaluation) }] : []),
      ...(baselines.length > 0
        ? [{ title: 'Other densities, NLL on the test rows', rows: baselineRows(evaluation, baselines) }]
        : []),
      ...solves
    ],
    footer: `Made by ffjord ${VERSION} on device ${flow.device}. Densities in nats per sample.`,
    ...(command && { command })
  }
}

/** Tells what comes next, and lets others have their turn before it. */
function stepsOf({ tell, signal }: ReportInput): (share: number, next: string) => Promise<void> {
  return (share, next) => {
    tell?.(share, next)
    return pause(signal)
  }
}

/** What solves at the flow's own tolerances take. */
async function solverFacts(flow: Flow, rows: RealArray, context: RowContext | undefined, seed: number) {
  const size = sizeOf(flow.shape)
  const measured = Math.min(MEASURED_ROWS, rows.length / size)
  await flow.sample(measured, { seed, ...contextOption(context, measured) })
  const sampling = flow.statistics
  await flow.logProb(rows.subarray(0, measured * size), contextOption(context, measured))
  const density = flow.statistics
  const facts = (title: string, statistics: typeof density) =>
    statistics ? [{ title, rows: solverRows(statistics) }] : []
  return [
    ...facts(`Solver: log-density of ${number(measured)} rows`, density),
    ...facts(`Solver: ${number(measured)} samples`, sampling)
  ]
}

/** What is shown: rows of the data, samples beside them, and how. */
interface Shown {
  rows: RealArray
  context: RowContext | undefined
  samples: RealArray
  detail: typeof FINE
  /** Whether the rows are those of a table, whose columns are looked at one by one. */
  table: boolean
}

/** The still figures; of a density on the plane what its two axes are, and of images the way to them. */
async function sectionsOf(
  input: ReportInput,
  shown: Shown
): Promise<{ sections: Section[]; plane?: [Quantity, Quantity]; images?: ImageAnimation }> {
  const { flow, data, parts, evaluation, tell, signal, seed = 1 } = input
  const { rows, context, samples, detail, table } = shown
  const next = stepsOf(input)
  if (flow.shape.length === 3) {
    const test = parts?.test ?? data
    return imageSections(flow, { rows, samples, test, seed, logProb: evaluation?.logProb })
  }
  const quantities = tableQuantities(flow, data, rows, samples, context)
  // A density of its own for every context has no one picture; that within an interval, or beside an atom, is not of the whole plane.
  const apart =
    context !== undefined ||
    flow.description.blocks.some(({ type }) => type === 'support' || type === 'logit') ||
    flow.table?.columns.some(({ atom }) => atom)
  const [x, y] = quantities
  const plane: [Quantity, Quantity] | undefined =
    flow.shape[0] === 2 && !apart && x && y && !x.levels && !y.levels ? [x, y] : undefined
  const sections: Section[] = []
  if (plane)
    sections.push({
      title: 'Density',
      note:
        `Histograms of ${number(rows.length / 2)} rows of data and ${number(samples.length / 2)} samples beside the densities. ` +
        'Colour follows the square root of the density, on one scale.',
      panels: await planePanels(flow, data, rows, samples, detail, plane)
    })
  else if (flow.shape[0] === 1 && !context)
    sections.push({
      title: 'Density',
      note: 'Density of the flow beside the histogram of the data.',
      panels: await linePanels(flow, x!, rows)
    })
  if (!table) return { sections, ...(plane && { plane }) }

  const drawn = context ? ', one sample at the context of each row' : ''
  await next(0.2, 'columns')
  sections.push(marginalSection(quantities, drawn))
  const pairs = await pairsOf(quantities, {
    tell: (share) => tell?.(0.25 + 0.1 * share, 'pairs of columns'),
    signal
  })
  if (pairs.pairs.length > 0) sections.push(pairSection(pairs.pairs, drawn))
  const test = parts && (await firstRows(parts.test, 2000))
  const heldOut = test && tableQuantities(flow, data, rows, test.rows, undefined)
  await next(0.35, 'distances to training rows')
  sections.push(await matchSection(quantities, pairs, heldOut, signal))
  const scores: Scores[] = []
  if (parts) {
    await next(0.45, 'log-densities of training rows')
    scores.push(await score(flow, 'train', data, { signal }))
  }
  if (parts?.validation) {
    await next(0.65, 'log-densities of validation rows')
    scores.push(await score(flow, 'validation', parts.validation, { signal }))
  }
  await next(0.8, parts ? 'log-densities of test rows' : 'log-densities')
  const evaluated = await score(flow, parts ? 'test' : 'data', parts?.test ?? data, {
    signal,
    known: evaluation?.logProb
  })
  scores.push(evaluated)
  sections.push(
    {
      title: 'Log-densities',
      note: parts ? noteOn(parts) : 'How the flow scores the rows.',
      panels: [scorePanel(scores)]
    },
    {
      title: 'Rows at the ends',
      note: 'What the flow finds most ordinary, and what it finds strange: outliers, errors of entry, or regions with too few rows.',
      panels: [],
      listings: extremes(flow, evaluated, data.columns ?? elementNames(flow))
    }
  )
  return { sections, ...(plane && { plane }) }
}

function noteOn({ validation }: NonNullable<ReportInput['parts']>): string {
  return (
    `How the flow scores rows it was trained on,${validation ? ' rows that chose when to stop,' : ''} and rows it never saw. ` +
    'Where the last lie lower, it has learnt the training rows by heart.'
  )
}

/** The columns of rows and samples, those of the context behind them. */
function tableQuantities(
  flow: Flow,
  data: Dataset,
  rows: RealArray,
  samples: RealArray,
  context: RowContext | undefined
): Quantity[] {
  const columns = flow.table?.columns ?? plainColumns(data.columns ?? elementNames(flow))
  const own = quantitiesOf(columns, rows, samples)
  const kept = new Set(firstColumns(columns, MOST_ELEMENTS).map(({ name }) => name))
  const shown = own.filter(({ name }) => kept.has(name))
  if (!context) return shown
  const given = orderedContext(flow.table, context.columns) ?? plainColumns(context.columns)
  return [...shown, ...quantitiesOf(given, context.data, context.data, true)]
}

function elementNames(flow: Flow): string[] {
  return Array.from({ length: sizeOf(flow.shape) }, (_, i) => `x${i + 1}`)
}
