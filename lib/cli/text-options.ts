import { type Command, InvalidArgumentError } from 'commander'
import { encodings, type Grouping, groupings } from '../data/reading'
import type { FileOptions } from '../index'
import { oneOf } from './options'

/** How text tables (CSV, TSV) are read; every command that reads data takes these. */
export interface TextChoice {
  /** `false` by --no-header. */
  header?: 'auto' | 'yes' | 'no' | false
  delimiter?: string
  encoding?: NonNullable<FileOptions['encoding']>
  skip?: number
  comment?: string
  missingCells?: string[]
  decimal?: '.' | ','
  thousands?: Grouping
  percent?: boolean
  currency?: string
}

export function addText(command: Command): Command {
  return command
    .addOption(
      oneOf('--header <what>', 'whether the first line of a text table holds names (default: auto)', [
        'auto',
        'yes',
        'no'
      ])
    )
    .option('--no-header', 'the same as --header no')
    .option('--delimiter <text>', 'between the cells of a text table, \\t for a tab (default: found)')
    .addOption(oneOf('--encoding <name>', 'of a text table (default: found)', [...encodings]))
    .option('--skip <lines>', 'at the start of a text table (default: found)', lines)
    .option(
      '--comment <text>',
      'what lines begin with that are passed over (default: # where the first does)'
    )
    .option(
      '--missing-cells <list>',
      "what stands for a missing cell, '' for the empty one alone (default: the empty one, NA, N/A, NaN, null, None, ? and the like)",
      (text) => text.split(',')
    )
    .addOption(oneOf('--decimal <sign>', 'between the whole part of a number and its fraction', ['.', ',']))
    .addOption(oneOf('--thousands <sign>', 'between groups of three digits (default: none)', [...groupings]))
    .option('--percent', '12% is 0.12 (default: it is text)')
    .option('--currency <sign>', 'that stands before or after amounts: € (default: none)')
}

function lines(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('Give a number of lines.')
  return Number(text)
}

/** These choices as options of `fromFile`. */
export function textOptions(choice: TextChoice): FileOptions {
  const { header = 'auto', delimiter, encoding, skip, comment, missingCells } = choice
  const { decimal, thousands, percent, currency } = choice
  return {
    ...(header !== 'auto' && { header: header === 'yes' }),
    ...(delimiter && { delimiter: delimiter === '\\t' ? '\t' : delimiter }),
    ...(encoding && { encoding }),
    ...(skip !== undefined && { skip }),
    ...(comment && { comment }),
    ...(missingCells && { missingCells }),
    ...(decimal && { decimal }),
    ...(thousands && { thousands }),
    ...(percent && { percent }),
    ...(currency && { currency })
  }
}
