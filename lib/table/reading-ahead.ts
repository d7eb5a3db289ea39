import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { FfjordError } from '../errors'
import { fileRows, type RowsWanted } from './file-rows'
import type { RowsMessage } from './rows-worker'

/** Compiled beside this file; not there where the sources themselves are run. */
const workerFile = join(__dirname, 'rows-worker.js')

/** Rows of a file, read by a thread of their own while those before are at work. */
export function readingAhead(wanted: RowsWanted): AsyncGenerator<Float32Array | Float64Array> {
  return existsSync(workerFile) ? fromThread(wanted) : fileRows(wanted)
}

async function* fromThread(wanted: RowsWanted): AsyncGenerator<Float32Array | Float64Array> {
  const worker = new Worker(workerFile, { workerData: wanted })
  const messages: RowsMessage[] = []
  let wake: () => void = () => undefined
  const receive = (message: RowsMessage) => {
    messages.push(message)
    wake()
  }
  worker.on('message', receive)
  worker.on('error', ({ message }) => receive({ error: { message } }))
  // A stream that nobody reads to its end must not keep the process alive.
  worker.unref()
  try {
    for (;;) {
      const message = messages.shift()
      if (!message) {
        worker.ref()
        await new Promise<void>((resolve) => {
          wake = resolve
        })
        worker.unref()
      } else if ('rows' in message) {
        worker.postMessage(message.rows.length)
        yield message.rows
      } else if ('error' in message) throw failureOf(wanted.path, message.error)
      else return
    }
  } finally {
    await worker.terminate()
  }
}

function failureOf(
  path: string,
  { code, message }: { code?: FfjordError['code']; message: string }
): FfjordError {
  return code
    ? new FfjordError(code, message)
    : new FfjordError('INTERNAL', `reading ${path} failed (${message}); report it`)
}
