import { open } from 'node:fs/promises'
import type { AsyncRecordBatchFileReader, AsyncRecordBatchStreamReader, TypeMap } from 'apache-arrow'
import { FfjordError } from '../errors'
import { unreadable } from '../file-errors'
import { optional } from './optional'
import { plainRow, type RowBatch, type TableSource } from './source'

type Reader = AsyncRecordBatchFileReader<TypeMap> | AsyncRecordBatchStreamReader<TypeMap>

/** Arrow IPC files and streams (also Feather 2) by apache-arrow, a record batch at a time. */
export async function openArrow(path: string): Promise<TableSource> {
  const { RecordBatchReader } = await optional(() => import('apache-arrow'), 'apache-arrow', path)
  /** Runs `work` on a reader of the file, and closes both. */
  async function* reading<T>(work: (reader: Reader) => AsyncIterable<T>): AsyncGenerator<T> {
    const file = await open(path, 'r').catch((error: unknown) => {
      throw unreadable(path, error)
    })
    try {
      const reader = await RecordBatchReader.from<TypeMap>(file)
      await reader.open()
      yield* work(reader)
    } catch (cause) {
      const { message } = cause as Error
      throw new FfjordError(
        'INVALID_FILE',
        `${path} cannot be read as Arrow (${message}); write it uncompressed`,
        {
          cause
        }
      )
    } finally {
      await file.close().catch(() => undefined) // the reader may have closed it
    }
  }

  let names: string[] = []
  for await (const found of reading(async function* ({ schema }) {
    yield schema.fields.map(({ name }) => name)
  }))
    names = found
  return {
    path,
    names,
    named: true,
    place: plainRow,
    batches: () =>
      reading(async function* (reader): AsyncGenerator<RowBatch> {
        for await (const batch of reader) {
          const columns = names.map((_, c) => {
            const column = batch.getChildAt(c)!
            return column.nullCount > 0 ? [...column] : (column.toArray() as ArrayLike<unknown>)
          })
          if (batch.numRows > 0) yield { count: batch.numRows, columns }
        }
      })
  }
}
