import { existsSync } from 'node:fs'
import { fail } from '../check'
import { FfjordError } from '../errors'
import { batchRows, plainRow, type RowBatch, type TableSource } from './source'

/** Parquet by hyparquet, a row group (or a part of a large one) at a time. */
export async function openParquet(path: string): Promise<TableSource> {
  if (!existsSync(path)) fail('FILE_NOT_FOUND', `${path} does not exist; check the path`)
  const { asyncBufferFromFile, parquetMetadataAsync, parquetRead, parquetSchema } = await import('hyparquet')
  const { compressors } = await import('hyparquet-compressors')
  const explained = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (cause) {
      const { message } = cause as Error
      throw new FfjordError(
        'INVALID_FILE',
        `${path} cannot be read as Parquet (${message}); write it again`,
        {
          cause
        }
      )
    }
  }
  const file = await explained(asyncBufferFromFile(path))
  const metadata = await explained(parquetMetadataAsync(file))
  const names = parquetSchema(metadata).children.map(({ element }) => element.name)
  const rows = Number(metadata.num_rows)
  if (rows === 0) fail('EMPTY_BATCH', `${path} has no rows; give a file with at least one row`)
  return {
    path,
    names,
    named: true,
    rows,
    place: plainRow,
    async *batches(): AsyncGenerator<RowBatch> {
      const most = batchRows(names.length)
      let first = 0
      for (const group of metadata.row_groups) {
        const end = first + Number(group.num_rows)
        // A group is decoded as a whole, so that cutting it would decode it again and again.
        const columns = await explained(readColumns(first, end))
        for (let row = first; row < end; row += most) {
          const last = Math.min(row + most, end)
          yield { count: last - row, columns: columns.map((cells) => part(cells, row - first, last - first)) }
        }
        first = end
      }
    }
  }

  async function readColumns(rowStart: number, rowEnd: number): Promise<ArrayLike<unknown>[]> {
    const found = names.map((): ArrayLike<unknown>[] => [])
    await parquetRead({
      file,
      metadata,
      compressors,
      rowStart,
      rowEnd,
      onChunk: ({ columnName, columnData }) => found[names.indexOf(columnName)]!.push(columnData)
    })
    return found.map((chunks) => (chunks.length === 1 ? chunks[0]! : joined(chunks)))
  }
}

function joined(chunks: ArrayLike<unknown>[]): ArrayLike<unknown> {
  return chunks.flatMap((chunk) => Array.from(chunk))
}

function part(cells: ArrayLike<unknown>, first: number, last: number): ArrayLike<unknown> {
  return Array.isArray(cells) ? cells.slice(first, last) : (cells as Float64Array).subarray(first, last)
}
