import { fail } from '../check'
import { permutation } from '../random'
import { dequantize, type Encoded, type EncoderOptions, RowEncoder } from './encode'
import { type OpenOptions, openTable } from './open'
import { type HeldOut, placeOf } from './row-parts'
import type { Column } from './schema'

/** Which rows of a file are wanted: plain data, that another thread can be sent. */
export interface RowsWanted {
  path: string
  open: OpenOptions
  /** By their names in the file, in the order that they are wanted in. */
  columns: readonly Column[]
  encoder: EncoderOptions
  /** Of dequantisation, parts and order. */
  seed: number
  /** Start over at the end. */
  repeat: boolean
  /** Only those to train on, each piece of the file in an order of its own; otherwise all as they stand. */
  heldOut?: HeldOut
}

/** The rows of a file, some thousands at a time: (rows, width). @throws FfjordError with file, row and column */
export async function* fileRows(wanted: RowsWanted): AsyncGenerator<Encoded['values']> {
  const { path, open, columns, seed, repeat, heldOut } = wanted
  const source = await openTable(path, open)
  let pieces = 0
  do {
    const encoder = new RowEncoder(source, columns, wanted.encoder)
    let first = 0
    for await (const batch of source.batches()) {
      const encoded = encoder.encode(batch, first)
      dequantize(columns, encoded, { first, seed })
      const values = heldOut ? trained(encoded, first, heldOut) : encoded.values
      first += batch.count
      if (values.length > 0) yield values
    }
    if (first === 0) fail('EMPTY_BATCH', `${path} has no rows; give a file with at least one row`)
  } while (repeat)

  function trained({ values, kept }: Encoded, first: number, shares: HeldOut): Encoded['values'] {
    const chosen: number[] = []
    kept.forEach((row, i) => {
      if (placeOf(first + row, seed, shares).part === 'train') chosen.push(i)
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
