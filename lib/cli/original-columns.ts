import type { CellType } from '../data/cell-type'
import { meaningOf } from '../data/clock'
import { dateParser } from '../data/date-text'
import type { ColumnProfile, TableProfile } from '../table/profile'
import { isMissing, toNumber } from '../table/read-cell'
import type { CellBatch, NumberArray, TableSource } from '../table/source'
import type { OutputColumn } from './table-writer'

/** The columns of a file as they are written again, beside what is added. */

/** What text of a column is, where it is written to a file that has types. */
interface Settled {
  cells: CellType
  cell: (written: unknown) => unknown
}

/** Types for columns whose file has none, by all of their cells; the others keep theirs. */
export function settledTypes({ types }: TableSource, profile: TableProfile): (Settled | undefined)[] {
  return profile.columns.map((column, c) => (types[c]!.kind === 'written' ? settled(column) : undefined))
}

function settled({ holds, whole, inexact, largest, least, pattern, levels }: ColumnProfile): Settled {
  const present = (cell: (text: string) => unknown) => (written: unknown) =>
    isMissing(written) ? null : cell(String(written).trim())
  if (pattern !== undefined) {
    const type = meaningOf({ kind: 'written', pattern })
    const parse = dateParser(
      pattern,
      type.kind === 'timestamp' || type.kind === 'time' ? type.unit : 'second'
    )
    return { cells: type, cell: present((text) => parse(text) ?? null) }
  }
  if (holds === 'numbers' && whole && largest < 2 ** 63 && least >= -(2 ** 63))
    return { cells: { kind: 'number', storage: 'int64' }, cell: present(wholeNumber) }
  if (holds === 'numbers' && !inexact)
    return { cells: { kind: 'number', storage: 'float64' }, cell: present(toNumber) }
  if (holds === 'text' && [...levels.keys()].every((level) => /^(true|false)$/i.test(level)))
    return { cells: { kind: 'boolean' }, cell: present((text) => text.toLowerCase() === 'true') }
  return {
    cells: { kind: 'text' },
    cell: (written) => (written === '' || written === null || written === undefined ? null : String(written))
  }
}

function wholeNumber(text: string): number | bigint {
  return /^[+-]?\d+$/.test(text) ? BigInt(text.replace('+', '')) : toNumber(text)
}

/** The columns of a batch as they are; of text files as they stand there, unless their types were settled. */
export function originalColumns(
  { names, types }: TableSource,
  batch: CellBatch,
  settledTypes?: readonly (Settled | undefined)[]
): OutputColumn[] {
  return names.map((name, c) => {
    const settled = settledTypes?.[c]
    const stands =
      'columns' in batch ? (batch.written?.[c] ?? batch.columns[c]!) : columnOf(batch, names.length, c)
    if (!settled) return { name, values: stands, cells: types[c]! }
    const means = 'columns' in batch && settled.cells.kind === 'number' ? batch.columns[c]! : stands
    return { name, values: Array.from(means, settled.cell), cells: settled.cells }
  })
}

/** A column of a matrix, as numbers of the same kind. */
function columnOf({ matrix, count }: { matrix: NumberArray; count: number }, width: number, c: number) {
  const kind = matrix.constructor as Float64ArrayConstructor
  const [values, cells] = [new kind(count), matrix as Float64Array]
  for (let row = 0; row < count; row++) values[row] = cells[row * width + c]!
  return values
}

/** A name that no column has: 'log_prob', 'log_prob_2' … */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  let free = name
  for (let i = 2; taken.has(free); i++) free = `${name}_${i}`
  return free
}
