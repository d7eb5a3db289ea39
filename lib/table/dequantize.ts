import { AtomCell } from '../data/atom'
import { stepsOf } from '../data/cells'
import { philox, streams } from '../data/random'
import type { Column } from '../data/schema'
import type { Encoded } from './encode'

/**
 * Adds noise for training: u of U[0, step) to dequantised columns, u of U[0, 1) to the elements of a category unless they are exact; rows on
 * an atom are spread by its noise. The noise of a row depends on `seed` and its number alone. log P(x) ≥ E[log p(x + u)] (Theis, van den Oord and Bethge 2016, eq. 5).
 */
export function dequantize(
  columns: readonly Column[],
  { values, kept }: { values: Encoded['values']; kept: ArrayLike<number> },
  { first, seed }: { first: number; seed: number }
): void {
  const steps = stepsOf(columns)
  if (!steps.some((step) => step !== 0)) return
  const width = steps.length
  for (let i = 0; i < kept.length; i++) {
    const row = first + kept[i]!
    let words = philox([row >>> 0, 0, streams.dequantize, Math.floor(row / 2 ** 32)], seed)
    let quad = 0
    for (let e = 0; e < width; e++) {
      const step = steps[e]!
      if (step === 0) continue
      if (e >> 2 !== quad) {
        quad = e >> 2
        words = philox([row >>> 0, quad, streams.dequantize, Math.floor(row / 2 ** 32)], seed)
      }
      const u = (words[e & 3]! + 0.5) / 2 ** 32
      const at = i * width + e
      const value = values[at]!
      if (step instanceof AtomCell) {
        if (value === step.marker) values[at] = step.value(u)
        continue
      }
      values[at] = value + step * u
      // Rounding to float32 must not reach the next multiple.
      if (values[at]! >= value + step) values[at] = value + step * 0.5
    }
  }
}
