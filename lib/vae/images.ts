import { types } from 'node:util'
import { ArrayDataset, type Dataset, type FeedingDataset, inMemory, isDataset } from '../data/dataset'
import { type Batch, newArray, sizeOf, toRows } from '../native/batch'
import { fail } from '../native/check'
import type { NativeArray } from '../native/interface'

/** Where data become images for an autoencoder: numbers in [0, 1]. */

/** Images in memory, and the order that they are fed in. */
export interface Images {
  feeding: FeedingDataset
  /** (rows, D) */
  data: NativeArray
  count: number
  /** They are probabilities, whose pixels every call draws. */
  binarize: boolean
}

/** What a data set of bytes is known by. */
interface LevelDataset extends FeedingDataset {
  levels: Uint8Array
  law: string
}

export function toImages(data: Dataset | Batch, shape: readonly number[], name: string): Images {
  const size = sizeOf(shape)
  const feeding = isDataset(data) ? data : new ArrayDataset(data as Batch, shape)
  // Rows of a file have no sides of their own; others of the same size would be read askew.
  const isFlat = feeding.shape.length === 1
  if (sizeOf(feeding.shape) !== size || (!isFlat && !sameShape(feeding.shape, shape)))
    fail(
      'INVALID_SHAPE',
      `${name} has images of shape [${feeding.shape}], and the encoder takes [${shape}]; make them agree`
    )
  if (hasLevels(feeding)) {
    if (feeding.law !== 'bernoulli' && feeding.law !== 'none')
      fail(
        'CONTRADICTORY_OPTIONS',
        `${name} is dequantised, and an autoencoder's likelihood is of levels; give { dequantize: 'none' } or { binarize: true }`
      )
    const levels = newArray(Float32Array, feeding.levels.length)
    for (let i = 0; i < levels.length; i++) levels[i] = feeding.levels[i]! / 255
    return { feeding, data: levels, count: feeding.rows, binarize: feeding.law === 'bernoulli' }
  }
  if (!inMemory(feeding))
    fail(
      'UNSUPPORTED',
      `${name} comes as a stream; an autoencoder takes images in memory: fromArray, fromFile`
    )
  return { feeding, data: checkRange(feeding.data, size, name), count: feeding.rows, binarize: false }
}

/** A batch of images of a call. */
export function toImageRows(batch: Batch, shape: readonly number[], name: string) {
  const rows = toRows(batch, shape, name)
  checkRange(rows.data, sizeOf(shape), name)
  return rows
}

function sameShape(some: readonly number[], others: readonly number[]): boolean {
  return some.length === others.length && some.every((size, i) => size === others[i])
}

function hasLevels(data: FeedingDataset): data is LevelDataset {
  return types.isUint8Array((data as Partial<LevelDataset>).levels)
}

function checkRange(values: NativeArray, size: number, name: string): NativeArray {
  for (let i = 0; i < values.length; i++)
    if (!(values[i]! >= 0 && values[i]! <= 1))
      fail(
        'INVALID_INPUT',
        `${name} holds ${values[i]} in row ${Math.floor(i / size)}, column ${i % size}; give numbers in [0, 1]`
      )
  return values
}
