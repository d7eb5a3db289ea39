import { readingsOf } from '../data/date-text'
import { checkReading, readingKeys } from '../data/reading'
import { checkSchema, type TableSchema } from '../data/schema'
import { checkShape } from '../native/batch'
import {
  boolean,
  choice,
  fail,
  integer,
  isObject,
  list,
  number,
  object,
  plain,
  show,
  texts
} from '../native/check'
import type { OpenOptions } from './formats'

export interface FileOptions extends Omit<OpenOptions, 'skipRagged' | 'verbatim'> {
  /** The shape of one sample; default: the columns, or all axes but the first of an array of more than two. */
  shape?: readonly number[]
  /** The columns to read, in this order; default: all. */
  columns?: readonly string[]
  /** Columns to leave out. Default: none. */
  exclude?: readonly string[]
  /** What happens to columns of text: an error, or one element a level. Default: 'refuse'. */
  categorical?: 'refuse' | 'one-hot'
  /** What happens to rows with missing, infinite or misplaced values, or of another length. Default: 'refuse'. */
  invalid?: 'refuse' | 'drop'
  /**
   * What happens to rows with missing cells; 'fill' takes the median of a column or its most frequent level, which a model
   * remembers. Default: as `invalid` says.
   */
  missing?: 'refuse' | 'drop' | 'fill'
  /** Whether 1/2/2024 is the first of February, where a column leaves it open. Default: such text is no date. */
  dayFirst?: boolean
  /** Open intervals that the values of columns lie in, null for no end; ends of dates and times are written as such. Default: none. */
  bounds?: Readonly<Record<string, readonly [End, End]>>
  /**
   * Adds U[0, step) to columns of multiples of a step: true for all columns of whole numbers, or a step by name. Levels
   * of text are always dequantised. Default: false.
   */
  dequantize?: boolean | Readonly<Record<string, number>>
  /**
   * A value by column that many rows have exactly, such as 0 in most of them. It gets a probability, and the column's other values a density:
   * scores of its rows are logarithms of the product of both. Default: none.
   */
  atoms?: Readonly<Record<string, number>>
  /** Columns that others are conditioned on (`condition`): no noise is added to them, nor to levels of theirs. Default: none. */
  context?: readonly string[]
  /** The noise of dequantisation is drawn from it. Default: 0. */
  seed?: number
  /** Refuse constant and repeated columns, of which no density exists. Default: false. */
  checkColumns?: boolean
  /** The columns of a model (flow.table) and its context, in place of all choices above but `invalid` and `missing`. Default: none. */
  schema?: TableSchema
  /**
   * The precision of the rows. Default: 'auto', float32 until a value comes that it does not hold: a whole number or one of up to four
   * digits after the point that would change (beyond 2²⁴: epoch seconds, ten-digit ids, amounts in cents), a column whose
   * last float32 digit is more than a millionth of what it varies by, or more than a hundredth of its step.
   */
  precision?: 'auto' | 'float32' | 'float64'
  /** What happens to values outside of `bounds`: an error, or they are kept, for scores of −∞. Default: 'refuse'. */
  outside?: 'refuse' | 'keep'
}

export const fileKeys = [
  ...readingKeys,
  'timeout',
  'shape',
  'columns',
  'exclude',
  'categorical',
  'invalid',
  'missing',
  'dayFirst',
  'bounds',
  'dequantize',
  'atoms',
  'context',
  'seed',
  'checkColumns',
  'schema',
  'precision',
  'outside'
]

/** Seconds that a timer takes. */
const LONGEST_TIMEOUT = 2_000_000

/** The options, each checked, with the defaults of those left out. */
export function normalize(options: FileOptions) {
  const given = object(options, 'file options', fileKeys)
  const optional = <T>(key: keyof FileOptions, check: (value: unknown, name: string) => T) =>
    given[key] === undefined ? undefined : check(given[key], key)
  const names = (value: unknown, name: string) => texts(value, name, 'a list of the names of columns')
  const timeout = optional('timeout', (value, name) =>
    number(value, name, { least: 0, most: LONGEST_TIMEOUT, open: true })
  )
  const steps = plain(given.dequantize ?? false, 'dequantize')
  if (typeof steps !== 'boolean' && !isObject(steps))
    fail('INVALID_OPTION', `dequantize is ${show(steps)}; give true, or a step by name`)
  if (isObject(steps))
    for (const [name, step] of Object.entries(steps))
      number(step, `dequantize.${name}`, { least: 0, open: true })
  const drop = choice(given.invalid ?? 'refuse', 'invalid', ['refuse', 'drop']) === 'drop'
  return {
    open: {
      ...checkReading(given),
      ...(timeout !== undefined && { timeout }),
      skipRagged: drop
    },
    shape: optional('shape', checkShape),
    names: optional('columns', names),
    exclude: optional('exclude', names) ?? [],
    categorical: choice(given.categorical ?? 'refuse', 'categorical', ['refuse', 'one-hot']),
    drop,
    missing: optional('missing', (value, name) => choice(value, name, ['refuse', 'drop', 'fill'] as const)),
    dayFirst: optional('dayFirst', boolean),
    // Columns may be called like what objects inherit.
    bounds: optional('bounds', checkBounds) ?? new Map<string, Bounds>(),
    atoms: optional('atoms', checkAtoms) ?? new Map<string, number>(),
    steps: isObject(steps) ? new Map(Object.entries(steps) as [string, number][]) : steps,
    context: optional('context', names) ?? [],
    seed: integer(given.seed ?? 0, 'seed'),
    checkColumns: optional('checkColumns', boolean) ?? false,
    schema: optional('schema', checkSchema),
    precision: choice(given.precision ?? 'auto', 'precision', ['auto', 'float32', 'float64']),
    outside: choice(given.outside ?? 'refuse', 'outside', ['refuse', 'keep'])
  }
}

export type Settings = ReturnType<typeof normalize>
/** A number, a date or a time as text, or none. */
export type End = number | string | null
export type Bounds = readonly [End, End]

/** Ends of intervals by the names of columns, which may be called like what objects inherit. */
function checkBounds(value: unknown): Map<string, Bounds> {
  if (!isObject(value)) fail('INVALID_OPTION', `bounds is ${show(value)}; give { column: [lower, upper] }`)
  return new Map(
    Object.entries(value).map(([name, given]) => {
      const ends = list(given, `bounds.${name}`, '[lower, upper], null where there is no end')
      if (ends.length !== 2)
        fail(
          'INVALID_OPTION',
          `bounds.${name} is ${show(given)}; give [lower, upper], null where there is no end`
        )
      const [lower, upper] = ends.map((end, i): End => {
        if (end === null || (typeof end === 'string' && readingsOf(end).length > 0)) return end
        return number(end, `bounds.${name}[${i}]`)
      })
      return [name, [lower!, upper!]]
    })
  )
}

function checkAtoms(value: unknown): Map<string, number> {
  const given = plain(value, 'atoms')
  if (!isObject(given)) fail('INVALID_OPTION', `atoms is ${show(value)}; give { column: value }`)
  return new Map(Object.entries(given).map(([name, one]) => [name, number(one, `atoms.${name}`)]))
}
