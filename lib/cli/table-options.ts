import { type Command, InvalidArgumentError } from 'commander'
import { readingsOf } from '../data/date-text'
import { modelColumns } from '../data/matching'
import type { FileOptions, TableSchema } from '../index'
import type { End } from '../table/file-options'
import { oneOf, positive } from './options'
import { addText, type TextChoice, textOptions } from './text-options'

/** How a file becomes rows; every command that reads data takes some of these. */
export interface TableChoice extends TextChoice {
  columns?: string[]
  exclude?: string[]
  categorical?: 'refuse' | 'one-hot'
  invalid?: 'refuse' | 'drop'
  missing?: 'refuse' | 'drop' | 'fill'
  dates?: 'day-first' | 'month-first'
  bounds?: Record<string, [End, End]>
  dequantize?: boolean | Record<string, number>
  atoms?: Record<string, number>
  key?: string
  timeout?: number
  stream?: boolean
  shard?: boolean
}

/** What a command needs that reads new rows for a trained model. */
export function addReading(command: Command): Command {
  return addText(command)
    .addOption(oneOf('--invalid <what>', 'to do with rows that cannot be used', ['refuse', 'drop']))
    .addOption(
      oneOf(
        '--missing <what>',
        'to do with rows that lack cells (default: drop; fill where the model was trained so)',
        ['refuse', 'drop', 'fill']
      )
    )
    .option('--key <name>', 'which array of an .npz file, or data set of an HDF5 file: group/name')
    .option(
      '--timeout <seconds>',
      'without progress after which reading of a Parquet, Arrow or HDF5 file ends (default: 60)',
      positive
    )
}

/** What `train` needs besides: which columns, and what they are. */
export function addTable(command: Command): Command {
  return addReading(command.optionsGroup('Table:'))
    .option('--columns <names>', 'the columns to learn, in this order (default: all)', names)
    .option(
      '--exclude <names>',
      'columns to leave out, besides ids, row numbers, constants and other text',
      names
    )
    .addOption(
      oneOf('--categorical <what>', 'to do with columns of text of up to 64 levels', [
        'refuse',
        'one-hot'
      ]).default('one-hot')
    )
    .addOption(
      oneOf('--dates <order>', 'of 1/2/2024, where a column leaves it open', ['day-first', 'month-first'])
    )
    .option('--bounds <list>', "ends of columns' values: price=0:,share=0:1,day=2024-01-01:", bounds)
    .option(
      '--dequantize <list>',
      'columns of multiples, and their step: rooms=1,price=0.01 (default: columns of whole numbers); of images: uniform or truncated-normal',
      steps
    )
    .option('--no-dequantize', 'take whole numbers as they are')
    .option(
      '--atoms <list>',
      'values that many rows have exactly, each to get a probability of its own: paid=0,score=100',
      atoms
    )
    .option('--stream', 'read the file again and again while training, for tables larger than memory')
    .option('--shard', 'with --stream, each rank of a group reads its own part of the file, not all of it')
}

/** Options of `fromFile`, for the rows that a model is trained on. */
export function trainingTable(choice: TableChoice, seed: number, context?: readonly string[]): FileOptions {
  const { columns, exclude, categorical, bounds: ends, dequantize = true, atoms: values, dates } = choice
  return {
    ...reading(choice),
    missing: choice.missing ?? 'drop',
    ...(dates && { dayFirst: dates === 'day-first' }),
    ...(columns && { columns }),
    ...(exclude && { exclude }),
    ...(categorical && { categorical }),
    ...(ends && { bounds: ends }),
    dequantize,
    ...(values && { atoms: values }),
    ...(context && { context }),
    seed,
    checkColumns: true
  }
}

/** Options of `fromFile`, for rows that a trained model meets. */
export function trainedTable(
  choice: TableChoice,
  schema: TableSchema | undefined,
  seed: number
): FileOptions {
  const filled = schema && modelColumns(schema).some(({ fill }) => fill !== undefined)
  const { missing = filled ? 'fill' : 'drop' } = choice
  return { ...reading(choice), missing, ...(schema && { schema }), seed }
}

function reading(choice: TableChoice): FileOptions {
  const { invalid, key, timeout } = choice
  return {
    ...textOptions(choice),
    ...(invalid && { invalid }),
    ...(key && { key }),
    ...(timeout !== undefined && { timeout })
  }
}

function names(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

/** 'price=0:,share=0:1,day=2024-01-01:2025-01-01' */
function bounds(text: string): Record<string, [End, End]> {
  return Object.fromEntries(
    names(text).map((part) => {
      const [, name, ends = ''] = /^(.+)=([^=]*)$/.exec(part) ?? []
      // Times have colons, too: the one that parts two ends has the same kind of end on either side.
      const cuts = [...ends.matchAll(/:/g)].flatMap(({ index }) => {
        const sides = [ends.slice(0, index), ends.slice(index + 1)].map(endOf)
        const [lower, upper] = sides
        if (lower === undefined || upper === undefined) return []
        const alike = lower === null || upper === null || typeof lower === typeof upper
        return alike ? [[lower, upper] as [End, End]] : []
      })
      const [found] = cuts
      if (name === undefined || !found)
        throw new InvalidArgumentError(
          'Give name=lower:upper, an end left out for none, and dates and times written as 2024-05-31 12:30.'
        )
      return [name, found]
    })
  )
}

/** A number, a date or a time, null where nothing stands; undefined for other text. */
function endOf(text: string): End | undefined {
  const end = text.trim()
  if (end === '') return null
  const value = Number(end)
  if (Number.isFinite(value)) return value
  return readingsOf(end).length > 0 ? end : undefined
}

function numberIn(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value)) throw new InvalidArgumentError(`'${text}' is no number.`)
  return value
}

/** 'paid=0,score=100' */
function atoms(text: string): Record<string, number> {
  return Object.fromEntries(
    names(text).map((part) => {
      const [, name, given] = /^(.+)=([^=]+)$/.exec(part) ?? []
      if (name === undefined) throw new InvalidArgumentError('Give name=value, the value that repeats.')
      return [name, numberIn(given!)]
    })
  )
}

/** 'rooms=1,price=0.01' */
function steps(text: string): Record<string, number> {
  return Object.fromEntries(
    names(text).map((part) => {
      const [, name, step] = /^(.+?)(?:=([^=]+))?$/.exec(part) ?? []
      return [name!, step === undefined ? 1 : positive(step)]
    })
  )
}
