import type { NativeArray } from '../native/interface'
import { AtomCell } from './atom'
import { gatherRows, pickColumns } from './gather'
import type { Column } from './schema'

/**
 * The noise of an element of a sample: the step by which all of its values were dequantised, 0 where they were not; or the noise of one of its
 * values, an atom.
 */
export type Step = number | AtomCell

/**
 * Values of a table to which noise was added, as the file has them, an atom's as its marker. A dequantised value x stands for the cell
 * [x, x + step) of the line, and its density is the mean of the flow's over the cell (cell-density.ts).
 */
export interface Cells {
  /** The noise of every element of a sample. */
  steps: readonly Step[]
  /** (rows, elements with a step) */
  values: NativeArray
}

/** The noise of every element; 0 where it gets none. */
export function stepsOf(columns: readonly Column[]): Step[] {
  return columns.flatMap((column): Step[] => {
    const { step, levels, exact } = column
    return levels?.map(() => (exact ? 0 : 1)) ?? [step ?? atomOf(column) ?? 0]
  })
}

export function atomOf(column: Column): AtomCell | undefined {
  return column.atom && new AtomCell(column.atom, column)
}

/** Cells of rows (n, steps.length) that are not dequantised yet; undefined where none will be. */
export function cellsOf(rows: NativeArray, steps: readonly Step[]): Cells | undefined {
  const places = placesOf(steps)
  if (places.length === 0) return undefined
  return { steps, values: pickColumns(rows, steps.length, places) }
}

/** Rows as the file has them: `rows`, which were dequantised, with their cells in place. */
export function asInFile(rows: NativeArray, { steps, values }: Cells): NativeArray {
  const found = rows.slice()
  const places = placesOf(steps)
  for (let at = 0, from = 0; at < found.length; at += steps.length)
    for (const place of places) found[at + place] = values[from++]!
  return found
}

/** The cells of some rows. */
export function gatherCells({ steps, values }: Cells, indices: Uint32Array): Cells {
  return { steps, values: gatherRows(values, placesOf(steps).length, indices) }
}

/** The cells of the first `count` rows. */
export function firstCells({ steps, values }: Cells, count: number): Cells {
  return { steps, values: values.subarray(0, count * placesOf(steps).length) }
}

/** The cells of rows of which some elements are left, `elements` of them in this order. */
export function cellsOfElements({ steps, values }: Cells, elements: readonly number[]): Cells | undefined {
  const places = placesOf(steps)
  const left = elements.filter((element) => (steps[element] ?? 0) !== 0)
  if (left.length === 0) return undefined
  return {
    // Elements that come from a context have no step.
    steps: elements.map((element) => steps[element] ?? 0),
    values: pickColumns(
      values,
      places.length,
      left.map((element) => places.indexOf(element))
    )
  }
}

/** The elements that have a step. */
export function placesOf(steps: readonly Step[]): number[] {
  return steps.flatMap((step, element) => (step !== 0 ? [element] : []))
}

/** Whether a value, as the file has it, stands for more than itself. */
export function hasCell(step: Step, value: number): boolean {
  return step instanceof AtomCell ? value === step.marker : step > 0
}

/**
 * What log p of rows (n, steps.length) with their noise lacks to a probability in the columns whose value is an atom: its noise's −log q. It is 0
 * for rows that stand on none.
 */
export function atomWeights(rows: ArrayLike<number>, steps: readonly Step[]): Float64Array {
  const weights = new Float64Array(rows.length / steps.length)
  steps.forEach((step, element) => {
    if (!(step instanceof AtomCell)) return
    for (let row = 0, at = element; row < weights.length; row++, at += steps.length)
      if (step.beyondCut(rows[at]!)) weights[row]! += step.logWeight(rows[at]!)
  })
  return weights
}
