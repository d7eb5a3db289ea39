// The thread that reads rows for `readingAhead`: it sends pieces of them, and waits while enough lie unused.
import { parentPort, workerData } from 'node:worker_threads'
import { fileRows, type RowsWanted } from './file-rows'
import { failureOf, type ThreadMessage } from './thread'

/** What the thread sends. */
export type RowsMessage =
  | { rows: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>; dropped: number }
  | { ended: true }

/** Numbers read ahead: training goes on with them while a row group of Parquet is decoded. */
const MOST_AHEAD = 2 ** 23

async function send(): Promise<void> {
  const port = parentPort!
  let ahead = 0
  let wake: () => void = () => undefined
  // The other side tells how many numbers it has used.
  port.on('message', (used: number) => {
    ahead -= used
    wake()
  })
  const post = (message: ThreadMessage<RowsMessage>, ...transfer: ArrayBuffer[]) =>
    port.postMessage(message, transfer)
  try {
    for await (const { rows, dropped } of fileRows(workerData as RowsWanted, () =>
      post({ progress: true })
    )) {
      ahead += rows.length
      post({ rows: rows as Float32Array<ArrayBuffer>, dropped }, rows.buffer as ArrayBuffer)
      while (ahead >= MOST_AHEAD)
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
    post({ ended: true })
  } catch (cause) {
    post({ error: failureOf(cause, (workerData as RowsWanted).path) })
  }
  port.close()
}

void send()
