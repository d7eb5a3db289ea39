import { basename } from 'node:path'
import { bitsPerDim, type LevelNoise, noiseOf } from '../data/level-noise'
import { supportOf } from '../data/schema'
import { spreadOf, spreadText } from '../evaluation/row-scores'
import {
  ArrayDataset,
  type Baseline,
  type Dataset,
  type EvaluateOptions,
  type FitOptions,
  type FitResult,
  type Flow,
  type Progress
} from '../index'
import { sizeOf } from '../native/batch'
import { assess } from '../report/assess'
import type { ReportInput } from '../report/collect'
import type { History } from '../report/report'
import { quantilesOf } from '../table/quantiles'
import { compare } from './compare'
import type { Source } from './data'
import { Interrupted } from './exit'
import { follow, whole } from './follow'
import { type DrawsChoice, drawsOption } from './options'
import { duration, note, progressLine } from './progress'
import { ranksLine } from './ranks'
import { commandLine, writeReport } from './report'
import type { RunDirectory } from './run-directory'

/** The time between two checkpoints, in ms. */
const CHECKPOINT_INTERVAL = 5000

/** Training rows that ranks of new rows refer to, at most, and solves that their scores may take. */
const RANKED_ROWS = 10_000
const RANKING_SOLVES = 2 ** 18
/** Rows by which the solves that a row takes are known. */
const PILOT_ROWS = 128

/** A training run from the first iteration to the report. */
export async function trainAndReport(job: {
  flow: Flow
  source: Source
  directory: RunDirectory
  options: FitOptions
  signal: AbortSignal
  choice: DrawsChoice & {
    quiet?: boolean
    json?: boolean
    report: boolean
    testRows: number
    average?: number
  }
}): Promise<void> {
  const { flow, source, directory, options, signal, choice } = job
  if (!choice.quiet) note(`Training on ${source.name} on device ${flow.device}; results in ${directory.path}`)
  const result = await train(flow, source, directory, { ...options, signal }, choice.quiet ?? false)
  await options.group?.leave()
  if (!directory.writes) return
  const summary: Record<string, unknown> = {
    out: directory.path,
    model: directory.model,
    iterations: result.iterations,
    stopped: result.stopped,
    seconds: result.seconds,
    loss: result.loss,
    ...(result.validation !== undefined && { validation: result.validation })
  }
  const lines = [
    `Trained  ${result.iterations} iterations in ${duration(result.seconds)}`,
    ...ranksLine(options.group)
  ]
  const kept = options.keepBest ? bestOf(directory.history()) : undefined
  let ending: string | undefined
  if (kept) {
    Object.assign(summary, { kept })
    lines.push(
      `Kept     the weights of iteration ${kept.iteration}, whose validation was the best (${kept.validation.toFixed(4)})`
    )
    const early =
      result.stopped === 'patience' ? `, so that training ended after ${result.iterations} iterations` : ''
    ending = `The weights of iteration ${kept.iteration} were kept, whose validation was the best.`
    if (kept.last - kept.validation > TURNED) {
      const turn =
        `validation turned at iteration ${kept.iteration} and rose by ${(kept.last - kept.validation).toFixed(3)}${early}: from there on the flow ` +
        'learnt its training rows by heart; more rows help, or fewer weights (--hidden 32,32), or --weight-decay 1e-4'
      note(`Warning: ${turn}`)
      ending = `The weights of iteration ${kept.iteration} were kept: ${turn}.`
    } else if (early) note(`Validation no longer got better after iteration ${kept.iteration}${early}`)
  }
  const say = choice.quiet ? () => undefined : note
  if (flow.table) say('Scoring training rows, which ranks of new rows refer to …')
  await noteQuantiles(flow, source, directory, { ...drawsOption(choice), signal })
  if (choice.report) {
    if (choice.average) flow.setParameters(flow.average())
    const finite = Number.isFinite(source.test.rows)
    say('Scoring the test rows …')
    const evaluation = await assess(flow, source.test, {
      signal,
      ...drawsOption(choice),
      ...(!finite && { rows: choice.testRows }),
      ...(flow.shape.length === 3 && { rows: Math.min(source.test.rows, choice.testRows, TESTED_IMAGES) })
    })
    const { nll, standardError, rows, nfe, entropy, klGap, traces, bound } = evaluation
    const spread = evaluation.spread && spreadOf([evaluation.spread])
    Object.assign(summary, {
      nll,
      stderr: standardError,
      n: rows,
      bound,
      ...(spread && { spread }),
      nfe,
      trace: [...new Set(traces)].join(', ')
    })
    if (!choice.average && Number.isFinite(nll)) {
      flow.provenance = { ...flow.provenance, test: { nll, standardError, rows } }
      await whole(directory, () => flow.save(directory.model))
    }
    const { bitsPerDim } = evaluation
    if (bitsPerDim !== undefined) {
      Object.assign(summary, { bitsPerDim })
      lines.push(
        `Test     ${bitsPerDim.toFixed(4)} bits/dim (the first ${rows} images, one draw; \`ffjord eval\` tests on all)`
      )
    }
    lines.push(`Test NLL ${nll.toFixed(4)} ± ${standardError.toFixed(4)} nats (${rows} rows)`)
    lines.push(`Bound    ${bound}${spread ? `; ${spreadText(spread)}` : ''}`)
    if (entropy !== undefined && klGap) {
      Object.assign(summary, { entropy, klGap: klGap.value, klGapStderr: klGap.standardError })
      lines.push(`Entropy  ${entropy.toFixed(4)} nats, the lowest that any model can reach`)
      lines.push(`KL gap   ${klGap.value.toFixed(4)} ± ${klGap.standardError.toFixed(4)} nats`)
    }
    const { seen, test, table } = source
    let compared: Baseline[] = []
    if (seen.shape.length === 1 && seen instanceof ArrayDataset && test instanceof ArrayDataset) {
      compared = await compare(seen, test, {
        support: supportOf(table?.columns ?? []),
        signal,
        quiet: choice.quiet ?? false
      })
    }
    if (compared.length > 0) summary.baselines = compared
    for (const { name, nll, standardError } of compared)
      lines.push(`${name}: ${nll.toFixed(4)} ± ${standardError.toFixed(4)} nats`)
    const shown: ReportInput = {
      title: `FFJORD on ${source.name}`,
      flow,
      data: finite ? source.seen : source.test,
      evaluation,
      baselines: compared,
      ...(finite && { parts: { validation: source.validation, test: source.test } }),
      history: {
        ...directory.history(),
        noise: noiseOf(source.images?.dequantize),
        ...(kept && { kept: kept.iteration })
      },
      rows: rowCounts(source, evaluation.rows),
      training: trainingRows(flow, options, result),
      ...(ending && { ending }),
      seconds: result.seconds,
      command: commandLine(),
      signal
    }
    const files = await writeReport(directory.path, shown, choice.quiet)
    summary.files = ['model.safetensors', 'metrics.jsonl', ...files]
    lines.push(`Report   ${directory.report}`)
  }
  lines.push(`Model    ${directory.model}`)
  const { user, system } = process.cpuUsage()
  summary.cpuSeconds = (user + system) / 1e6 // of the whole command, all threads together
  console.log(choice.json ? JSON.stringify(summary) : lines.join('\n'))
}

/** Quantiles of the training rows' log-densities go into the model file, for ranks of new rows, whose scores are made alike. */
async function noteQuantiles(
  flow: Flow,
  { seen }: Source,
  directory: RunDirectory,
  options: EvaluateOptions
): Promise<void> {
  const { table } = flow
  if (!table) return
  const ranked = someRows(seen, RANKED_ROWS)
  const pilot = await flow.evaluate(ranked, { ...options, rows: PILOT_ROWS })
  const rows = Math.min(ranked.rows, Math.floor((RANKING_SOLVES * pilot.rows) / pilot.solves))
  const { logProb } = rows > pilot.rows ? await flow.evaluate(ranked, { ...options, rows }) : pilot
  flow.table = { ...table, logProbQuantiles: quantilesOf(logProb) }
  await whole(directory, () => flow.save(directory.model))
}

/** Nats by which validation has to rise above its best to have turned: less is noise. */
const TURNED = 0.02

/** The iteration of the best validation, and the validation at the end. */
function bestOf({
  iteration,
  validation
}: History): { iteration: number; validation: number; last: number } | undefined {
  const found = validation.flatMap((value, i) =>
    value === null ? [] : [{ iteration: iteration[i]!, validation: value }]
  )
  const last = found.at(-1)
  const best = found.reduce((a, b) => (b.validation < a.validation ? b : a), last!)
  return last && { ...best, last: last.validation }
}

/** At most `count` rows, in an order that is always the same; files may be sorted. */
function someRows(data: Dataset, count: number): Dataset {
  const share = Math.min(1, count / data.rows)
  return share < 1 ? data.split([share, 1 - share], { seed: 0 })[0]! : data.split([1], { seed: 0 })[0]!
}

/** Test images that a training ends with: an evaluation of all may take as long as the training. */
const TESTED_IMAGES = 1000

/** Nats of an image as bits per dimension; undefined where samples are no images. */
function bitsOf({ shape }: Flow, noise: LevelNoise): ((nats: number) => number) | undefined {
  return shape.length === 3 ? (nats) => bitsPerDim(nats, sizeOf(shape), noise) : undefined
}

/** How many rows each part has; laws give fresh ones without end. */
function rowCounts(
  { train, validation, test, dropped = 0, table }: Source,
  tested: number
): [string, string][] {
  const count = ({ rows }: Dataset) => (Number.isFinite(rows) ? rows.toLocaleString('en-US') : 'fresh ones')
  return [
    ['Training', count(train)],
    ['Validation', count(validation)],
    ['Test', Number.isFinite(test.rows) ? count(test) : `${tested.toLocaleString('en-US')} fresh ones`],
    ...(table
      ? [['Left out: cells missing, or of no use', dropped.toLocaleString('en-US')] as [string, string]]
      : [])
  ]
}

function objectiveName(objective: NonNullable<FitOptions['objective']>): string {
  return typeof objective === 'string' ? objective : objective.type
}

function trainingRows(
  flow: Flow,
  options: FitOptions,
  { iterations, skipped }: FitResult
): [string, string][] {
  const { objective, batch, optimizer, schedule } = options
  return [
    ['Iterations', iterations.toLocaleString('en-US')],
    ...(objective !== undefined ? [['Objective', objectiveName(objective)] as [string, string]] : []),
    ['Rows an iteration', String(batch)],
    ['Optimizer', `${optimizer?.type}, learning rate ${optimizer?.lr}`],
    ['Schedule', `${schedule?.type}${schedule?.warmup ? `, warm-up ${schedule.warmup}` : ''}`],
    ['Seed', String(flow.seed)],
    ...(skipped ? [['Batches skipped', String(skipped)] as [string, string]] : [])
  ]
}

/** Trains with live progress on stderr. */
async function train(
  flow: Flow,
  { name, train: data, images }: Source,
  directory: RunDirectory,
  options: FitOptions & { signal: AbortSignal },
  quiet: boolean
): Promise<FitResult> {
  const line = progressLine(quiet)
  let validation: number | undefined
  const bits = bitsOf(flow, noiseOf(images?.dequantize))
  const inUnits = (nats: number) => (bits ? `${bits(nats).toFixed(3)} bits/dim` : nats.toFixed(3))
  const imagesASecond = ({ records }: Progress) =>
    ((options.batch ?? 0) * records.length) / records.reduce((sum, { seconds }) => sum + seconds, 0)
  const result = await follow(flow.fit(data, options), {
    directory,
    line,
    interval: CHECKPOINT_INTERVAL,
    resumes: options.resume ?? false,
    async save() {
      flow.provenance = { ...flow.provenance, data: basename(name), ...(images && { images }) }
      await flow.save(directory.model)
    },
    tell(progress) {
      for (const { iteration, message } of progress.warnings) {
        line.done()
        note(`Warning at iteration ${iteration}: ${message}`)
      }
      validation = progress.validation ?? validation
      const { iteration, iterations, phase, loss, nfe, blockNfe, backwardNfe, etaSeconds } = progress
      const byBlock = blockNfe.length > 1 ? ` (${blockNfe.map((one) => one.toFixed(0)).join(' ')})` : ''
      const parts = [
        `${String(iteration).padStart(String(iterations).length)}/${iterations}`,
        phase === 'fm' ? `matching ${loss.toFixed(3)}` : `loss ${inUnits(loss)}`,
        ...(validation === undefined ? [] : [`validation ${inUnits(validation)}`]),
        ...(bits ? [`${imagesASecond(progress).toFixed(0)} images/s`] : []),
        `nfe ${nfe.toFixed(0)}${byBlock}+${backwardNfe.toFixed(0)}`,
        ...(progress.skipped ? [`skipped ${progress.skipped}`] : []),
        `eta ${duration(etaSeconds)}`
      ]
      line.update(iteration / iterations, parts.join('  '))
    }
  })
  if (result.stopped === 'signal') {
    throw new Interrupted(
      `Interrupted at iteration ${result.iterations}. Go on with: ffjord train --resume --out ${directory.path}`
    )
  }
  return result
}
