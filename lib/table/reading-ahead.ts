import { fileRows, type RowsWanted } from './file-rows'
import type { RowsMessage } from './rows-worker'
import { PATIENCE, ReadingThread, threadFile } from './thread'

const workerFile = threadFile('rows-worker')

/** Rows of a file, read by a thread of their own while those before are at work. */
export function readingAhead(wanted: RowsWanted): AsyncGenerator<Float32Array | Float64Array> {
  return workerFile ? fromThread(workerFile, wanted) : fileRows(wanted)
}

async function* fromThread(file: string, wanted: RowsWanted): AsyncGenerator<Float32Array | Float64Array> {
  const thread = new ReadingThread<RowsMessage>(file, wanted)
  try {
    for (;;) {
      const message = await thread.next(wanted.path, wanted.open.timeout ?? PATIENCE)
      if ('ended' in message) return
      thread.post(message.rows.length)
      yield message.rows
    }
  } finally {
    await thread.end()
  }
}
