import { type Dataset, type FeedingDataset, inMemory, isDataset } from '../data/dataset'
import { type Column, tableWidth } from '../data/schema'
import type { Block } from '../flow/options'
import type { Batch } from '../native/batch'
import { rowsOf } from '../native/batch'
import { choice } from '../native/check'
import type { NativeArray } from '../native/interface'
import { tableBlocks } from './blocks'

/** Rows that statistics are taken of where they do not end. */
const rowsOfStreams = 10_000

/**
 * The blocks that bring rows to the size that flows are made for, to stand before the first CNF block: columns of a table
 * from their intervals onto the line, then to mean 0 and covariance 1 ('whiten', the default), or deviation 1 alone
 * ('standardize'; always so for images, and where rows are few or wide). As the command line makes them for tables.
 * @param data rows, of which none are used up
 * @throws FfjordError where a column is constant, or a combination of others
 */
export async function scalingBlocks(
  data: Dataset | Batch,
  scaling: 'whiten' | 'standardize' = 'whiten'
): Promise<Block[]> {
  choice(scaling, 'scaling', ['whiten', 'standardize'])
  if (!isDataset(data)) {
    const { data: rows, dimension } = rowsOf(data as Batch)
    return tableBlocks(unnamedColumns(dimension), rows, scaling)
  }
  const rows = inMemory(data) ? data.data : await firstRows(data)
  const width = data.shape.reduce((product, size) => product * size, 1)
  const known = data.schema?.columns
  const columns =
    known && tableWidth(known) === width
      ? known
      : (data.columns?.map((name): Column => ({ name, type: 'real' })) ?? unnamedColumns(width))
  return tableBlocks(columns, rows, data.shape.length > 1 ? 'standardize' : scaling)
}

/** Rows of which none are used up. */
async function firstRows(data: FeedingDataset): Promise<NativeArray> {
  const fed = await data.peek(1, { size: rowsOfStreams, shuffle: false, seed: 0, drop: false })
  return 'levels' in fed.data ? (await data.take(rowsOfStreams)).data : fed.data
}

function unnamedColumns(width: number): Column[] {
  return Array.from({ length: width }, (_, i) => ({ name: `x${i + 1}`, type: 'real' }))
}
