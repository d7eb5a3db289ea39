import { boolean, choice, fail, integer, text, texts } from '../native/check'

/** How a text table is read, where its first lines do not tell. */

/** What may be said of a file; a model keeps what was said of the training file, for further ones. */
export interface Reading {
  /**
   * Whether the first line holds names. Default: it does where one of its cells is text above numbers, or all of them are
   * text; what was guessed is said.
   */
  header?: boolean
  /** What separates cells, ' ' for any number of spaces and tabs; default: found from the first lines. */
  delimiter?: string
  /** The encoding of the text. Default: what a byte order mark says, or UTF-8. */
  encoding?: Encoding
  /** Lines to pass over at the start; default: lines of one cell above a table of more. */
  skip?: number
  /**
   * What lines begin with that are to be passed over. Default: '#', where the first line begins with it, for lines that have
   * not as many cells as rows have.
   */
  comment?: string
  /** What stands for a missing cell. Default: '', NA, N/A, n/a, <NA>, #N/A, #NA, NaN, nan, -NaN, -nan, NaT, null, NULL, None, ? and \N. */
  missingCells?: readonly string[]
  /** What stands between whole part and fraction. Default: '.'. */
  decimal?: '.' | ','
  /** What stands between groups of three digits: ',' or '.' or "'" or ' '. Default: nothing does. */
  thousands?: Grouping
  /** 12% is 0.12. Default: it is text. */
  percent?: boolean
  /** A sign that stands before or after amounts: '€'. Default: such cells are text. */
  currency?: string
  /** Which array of an .npz file; which data set or frame of pandas of an HDF5 file, 'group/name'. Default: the only one. */
  key?: string
}

export const encodings = ['utf-8', 'utf-16', 'latin-1'] as const
export type Encoding = (typeof encodings)[number]

/** What may stand between groups of three digits. */
export const groupings = [',', '.', "'", ' '] as const
export type Grouping = (typeof groupings)[number]

const checks: { readonly [Key in keyof Reading]-?: (value: unknown) => NonNullable<Reading[Key]> } = {
  header: (value) => boolean(value, 'header'),
  delimiter: (value) => text(value, 'delimiter', "a character like ';'"),
  encoding: (value) => choice(value, 'encoding', encodings),
  skip: (value) => integer(value, 'skip'),
  comment: (value) => text(value, 'comment', "what such lines begin with, like '#'"),
  missingCells: (value) => texts(value, 'missingCells', "a list of texts like ['', 'NA']"),
  decimal: (value) => choice(value, 'decimal', ['.', ','] as const),
  thousands: (value) => choice(value, 'thousands', groupings),
  percent: (value) => boolean(value, 'percent'),
  currency: (value) => text(value, 'currency', "a sign like '€'"),
  key: (value) => text(value, 'key', 'the name of an array in the file')
}

export const readingKeys = Object.keys(checks) as (keyof Reading)[]

/** What is said of a file's reading among `given`, each checked; empty texts say nothing. */
export function checkReading(given: Readonly<Record<string, unknown>>): Reading {
  const said = readingKeys.flatMap((key) => {
    const value = given[key] === undefined ? undefined : checks[key](given[key])
    return value === undefined || value === '' ? [] : [[key, value] as const]
  })
  const reading = Object.fromEntries(said) as Reading
  const { decimal = '.', thousands } = reading
  if (thousands === decimal)
    fail(
      'CONTRADICTORY_OPTIONS',
      `thousands and decimal are both '${thousands}'; give decimal: '${thousands === '.' ? ',' : '.'}' beside it, or leave one out`
    )
  return reading
}

/** Those of some options that say how a file is read. */
export function readingOf(options: Reading): Reading {
  return Object.fromEntries(
    readingKeys.flatMap((key) => (options[key] === undefined ? [] : [[key, options[key]]]))
  )
}
