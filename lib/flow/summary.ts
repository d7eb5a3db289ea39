import type { TableSchema } from '../data/schema'
import { sizeOf } from '../native/batch'
import type { Block, ComputeOptions, FlowDescription } from './options'
import type { Provenance } from './provenance'

/** What a flow tells of itself, in words. */

/** What is told of, as a Flow has it. */
export interface Told {
  description: FlowDescription
  options: ComputeOptions
  traces: readonly string[]
  /** Empty where they cannot be read. */
  endTimes: readonly number[]
  parameters: number
  table?: TableSchema
  /** Undefined of a flow that was never trained, empty where its file kept nothing. */
  provenance?: Provenance
}

/** Names that are listed, and letters of each. */
const MOST_NAMES = 12
const MOST_LETTERS = 60

/** What a file does not say. */
const UNKNOWN = 'not in the model file'

/** Lines of a name and what it is. */
export function summary(told: Told): [name: string, value: string][] {
  const { description, traces, parameters, table } = told
  const { context } = description
  const given = table?.context?.map(({ name }) => name)
  return [
    ['Shape', `[${description.shape.join(', ')}]`],
    ...blockLines(told).map((text, i): [string, string] => [i === 0 ? 'Blocks' : '', text]),
    ...(table
      ? [
          named(
            'Columns',
            table.columns.map(({ name }) => name)
          )
        ]
      : []),
    ...(given ? [named('Given', given)] : context !== undefined ? [conditioned(context)] : []),
    ['Parameters', number(parameters)],
    ['Trace', [...new Set(traces)].join(', ')],
    ['Solver', solverText(told.options)],
    ...provenanceLines(told.provenance)
  ]
}

/** The lines under each other, values in one column. */
export function aligned(lines: readonly [string, string][]): string {
  const width = Math.max(...lines.map(([name]) => name.length))
  return lines.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n')
}

function blockLines({ description: { shape, blocks }, endTimes }: Told): string[] {
  let cnf = 0
  return blocks.map((block) => {
    if (block.type !== 'cnf') return block.type
    return cnfLine(block, shape, endTimes[cnf++])
  })
}

function cnfLine(
  { time, trainTime, net }: Extract<Block, { type: 'cnf' }>,
  shape: readonly number[],
  end: number | undefined
): string {
  const width = shape.length === 1 ? [sizeOf(shape)] : []
  const scales = (net.parallel ?? 1) > 1 ? ` on ${net.parallel} scales` : ''
  const kind = net.strides?.length ? `, convolutions${scales}` : ''
  return (
    `cnf ${[...width, ...net.hidden, ...width].join(' → ')}${kind}, ${net.layer}, ${net.activation}` +
    `${net.residual ? ', residual' : ''}, T = ${+(end ?? time ?? 0.5).toFixed(4)}${trainTime ? ' (trained)' : ''}`
  )
}

function conditioned(context: NonNullable<FlowDescription['context']>): [string, string] {
  const { size, columns = undefined } = typeof context === 'number' ? { size: context } : context
  return columns ? named('Given', columns) : ['Given', `${size} numbers`]
}

function named(title: string, names: readonly string[]): [string, string] {
  const more = names.length > MOST_NAMES ? `, … (${number(names.length)} in all)` : ''
  return [title, names.slice(0, MOST_NAMES).map(printable).join(', ') + more]
}

function solverText({ solver }: ComputeOptions): string {
  if (solver && 'steps' in solver) return `${solver.method}, ${solver.steps} steps`
  const { method = 'dopri5', rtol = 1e-5, atol = 1e-5 } = solver ?? {}
  return `${method}, rtol ${rtol.toExponential()}, atol ${atol.toExponential()}`
}

function provenanceLines(provenance: Provenance | undefined): [string, string][] {
  if (!provenance) return [['Trained', 'no']]
  const { data, rows, iterations, validation, test, date, version } = provenance
  const nats = (value: number) => `${value.toFixed(4)} nats`
  const scores: [string, string][] = [
    ...(validation === undefined ? [] : [['Validation NLL', nats(validation)] as [string, string]]),
    ...(test
      ? [
          ['Test NLL', `${nats(test.nll)} ± ${test.standardError.toFixed(4)}, ${number(test.rows)} rows`] as [
            string,
            string
          ]
        ]
      : [])
  ]
  return [
    ['Trained on', data === undefined ? UNKNOWN : printable(data)],
    ['Rows', rows !== undefined ? number(rows) : data === undefined ? UNKNOWN : 'fresh ones without end'],
    ['Iterations', iterations === undefined ? UNKNOWN : number(iterations)],
    ...(scores.length > 0
      ? scores
      : [['NLL', version === undefined ? UNKNOWN : 'not measured'] as [string, string]]),
    ['Date', date === undefined ? UNKNOWN : printable(date)],
    ['Version', version === undefined ? UNKNOWN : `ffjord ${printable(version)}`]
  ]
}

function number(value: number): string {
  return value.toLocaleString('en-US')
}

/** Names come from files of anybody: nothing in them moves a cursor. */
function printable(text: string): string {
  const cut = text.length > MOST_LETTERS ? `${text.slice(0, MOST_LETTERS - 1)}…` : text
  return cut.replace(/\p{C}/gu, '�')
}
