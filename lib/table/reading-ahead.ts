import { fileRows, type RowsOfFile, type RowsWanted } from './file-rows'
import type { RowsMessage } from './rows-worker'
import { PATIENCE, ReadingThread, threadFile } from './thread'

const workerFile = threadFile('rows-worker')

type Rows = Float32Array | Float64Array

/** Rows of a file, read by a thread of their own while those before are at work; `leftOut` hears of rows that are not among them. */
export async function* readingAhead(
  wanted: RowsWanted,
  leftOut: (rows: number) => void = () => undefined
): AsyncGenerator<Rows> {
  for await (const { rows, dropped } of workerFile ? fromThread(workerFile, wanted) : fileRows(wanted)) {
    if (dropped > 0) leftOut(dropped)
    if (rows.length > 0) yield rows
  }
}

async function* fromThread(file: string, wanted: RowsWanted): AsyncGenerator<RowsOfFile> {
  const thread = new ReadingThread<RowsMessage>(file, wanted)
  try {
    for (;;) {
      const message = await thread.next(wanted.path, wanted.open.timeout ?? PATIENCE)
      if ('ended' in message) return
      thread.post(message.rows.length)
      yield message
    }
  } finally {
    await thread.end()
  }
}
