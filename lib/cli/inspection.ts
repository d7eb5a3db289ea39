import { FfjordError, type FileOptions, type TableInspection } from '../index'
import { inFlags } from './flags'
import { flagsOf, remarkLine } from './remarks'
import type { TableChoice } from './table-options'

/** Columns that `train` shows; a table of pixels has thousands. */
const MOST_SHOWN = 40

/** A table before training: a line a column, then what is to be known of them, each with the flag that handles it. */
export function inspectionLines(
  inspection: TableInspection,
  choice: TableChoice,
  most = MOST_SHOWN
): string[] {
  const { path, rows, columns, guesses, incomplete, lookedAt } = inspection
  const head = ['column', 'type', 'range', 'missing', 'distinct', 'what train does']
  const cells = columns
    .slice(0, most)
    .map(({ name, type, range, missing, distinct, use, plan }) => [
      cut(name),
      type,
      cut(range),
      String(missing),
      `${distinct.atLeast ? '≥ ' : ''}${distinct.values}`,
      inFlags(use === 'learnt' ? plan : `${use}: ${plan}`)
    ])
  const widths = head.map((title, c) =>
    Math.min(40, Math.max(title.length, ...cells.map((row) => row[c]!.length)))
  )
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, c) => (c === row.length - 1 ? cell : cell.padEnd(widths[c]!))).join('  ')}`.trimEnd()
  const more = columns.length - most
  const gaps =
    incomplete > 0
      ? [
          `${share(incomplete, lookedAt)} of the rows lack cells; --missing refuse, drop or fill says what to do with them`
        ]
      : []
  const problems = columns.flatMap(({ problem, name }) =>
    problem
      ? [`${problem.finding}; ${problem.remedy} (${flagsOf(problem.options)}, or --exclude ${name})`]
      : []
  )
  const suspicions = columns.flatMap(({ suspicions }) =>
    suspicions.map((remark) => remarkLine(remark, choice))
  )
  return [
    `${path}: ${rows} rows, ${columns.length} columns`,
    line(head),
    ...cells.map(line),
    ...(more > 0 ? [`  … and ${more} more columns`] : []),
    ...guesses,
    ...gaps,
    ...suspicions,
    ...problems.map((problem) => `refused: ${problem}`)
  ]
}

/** Text of a cell, on one line. */
function cut(text: string): string {
  const line = text.replace(/\s+/g, ' ')
  return line.length > 36 ? `${line.slice(0, 35)}…` : line
}

function share(part: number, all: number): string {
  return `${+((100 * part) / all).toPrecision(2)} %`
}

/** @throws FfjordError with all problems of the columns at once, or where there is nothing to learn */
export function refuseProblems({ path, columns, rows }: TableInspection): void {
  if (rows === 0)
    throw new FfjordError('EMPTY_BATCH', `${path} has names and no rows; give a file with at least one row`)
  const found = columns.flatMap(({ problem, name }) =>
    problem
      ? [`${problem.finding}; ${problem.remedy} (${flagsOf(problem.options)}, or --exclude ${name})`]
      : []
  )
  if (found.length > 0) throw new FfjordError('INVALID_FILE', `${path}, ${found.join('\n')}`)
  if (columns.some(({ use }) => use === 'learnt')) return
  const reasons = columns
    .slice(0, 20)
    .map(({ name, use, plan }) => `column '${name}' is ${use} (${inFlags(plan)})`)
  throw new FfjordError(
    'INVALID_FILE',
    `${path} leaves nothing to learn: ${reasons.join(', ')}; name columns that are to be learnt all the same (--columns)`
  )
}

/** Options of the reader under what the inspection adds. */
export function inspected<Options extends FileOptions>(
  options: Options,
  { options: found }: TableInspection
): Options {
  return { ...options, ...found }
}
