import { philox, streams } from '../data/random'

/** Shares of the rows of a file that are not trained on. */
export interface HeldOut {
  validation: number
  test: number
}

export type Part = 'train' | 'validation' | 'test'

/** What a row's number in its file decides, under a seed: the part it belongs to, and its rank (uint32) within it. */
export function placeOf(
  row: number,
  seed: number,
  { validation, test }: HeldOut
): { part: Part; rank: number } {
  const words = philox([row >>> 0, 1, streams.split, Math.floor(row / 2 ** 32)], seed)
  const place = words[0] / 2 ** 32
  const part = place < test ? 'test' : place < test + validation ? 'validation' : 'train'
  return { part, rank: words[1] }
}
