import { permutation } from '../data/random'
import type { Column } from '../data/schema'
import { fail } from '../native/check'
import { dequantize } from './dequantize'
import { type Encoded, type EncoderOptions, RowEncoder } from './encode'
import { type OpenOptions, openHere } from './formats'
import { type HeldOut, placeOf } from './row-parts'
import type { RowRange } from './source'

/** Which rows of a file are wanted: plain data, that another thread can be sent. */
export interface RowsWanted {
  path: string
  open: OpenOptions
  /** They have their names in the file, and the order that they are wanted in. */
  columns: readonly Column[]
  encoder: EncoderOptions
  /** Dequantisation, parts and order are drawn from it. */
  seed: number
  /** Start over at the end. */
  repeat: boolean
  /** Only those to train on, each piece of the file in an order of its own; otherwise all as they stand. */
  trained?: HeldOut
  /** Only these of the file, which alone are read as far as its format allows. */
  range?: RowRange
}

/** Some thousands of rows. */
export interface RowsOfFile {
  /** (rows, width) */
  rows: Encoded['values']
  /** How many were left out since those before. */
  dropped: number
}

/**
 * The rows of a file, some thousands at a time; of the last of them there may be none. `progress` is called now and then meanwhile.
 * @throws FfjordError with file, row and column
 */
export async function* fileRows(
  wanted: RowsWanted,
  progress: () => void = () => undefined
): AsyncGenerator<RowsOfFile> {
  const { path, open, columns, seed, repeat, trained, range } = wanted
  const source = await openHere(path, open, progress)
  let pieces = 0
  do {
    const encoder = new RowEncoder(source, columns, wanted.encoder)
    let first = range?.first ?? 0
    let found = false
    let dropped = 0
    const since = () => {
      const before = dropped
      dropped = encoder.dropped
      return dropped - before
    }
    for await (const batch of encoder.batches(range)) {
      const encoded = encoder.encode(batch, first)
      dequantize(columns, encoded, { first, seed })
      const values = trained ? chosenOf(encoded, first, trained) : encoded.values
      first += batch.count
      if (values.length > 0) {
        found = true
        yield { rows: values, dropped: since() }
      } else progress()
    }
    const last = since()
    if (last > 0) yield { rows: new Float32Array(0), dropped: last }
    // Without it, a file of which no row can be used would be read over and over.
    if (!found && range)
      fail(
        'EMPTY_BATCH',
        `${path} has no rows to train on among ${range.first + 1} to ${range.end}, which are those of one rank; start fewer ranks`
      )
    if (!found)
      fail(
        'EMPTY_BATCH',
        `${path} has no rows${first > 0 ? ' that can be used' : ''}; give a file with at least one row`
      )
  } while (repeat)

  function chosenOf({ values, kept }: Encoded, first: number, heldOut: HeldOut): Encoded['values'] {
    const chosen: number[] = []
    kept.forEach((row, i) => {
      if (placeOf(first + row, seed, heldOut).part === 'train') chosen.push(i)
    })
    const width = kept.length > 0 ? values.length / kept.length : 0
    const taken = values.slice(0, chosen.length * width)
    permutation(chosen.length, seed, pieces++).forEach((from, to) => {
      const at = chosen[from]! * width
      taken.set(values.subarray(at, at + width), to * width)
    })
    return taken
  }
}
