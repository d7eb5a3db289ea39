import type { OpenOptions } from './formats'
import { type CellBatch, plainRow, type TableSource } from './source'
import type { TableDescription, TableMessage, TableTask } from './table-worker'
import { PATIENCE, ReadingThread, threadFile } from './thread'

const workerFile = threadFile('table-worker')

/** Whether there is a file to start threads from: not where the sources themselves are run. */
export const hasTableThread = workerFile !== undefined

/** A thread that has done its task, and waits a moment for the next one: starting one and its libraries takes 50 to 200 ms. */
let idle: ReadingThread<TableMessage> | undefined
const WAIT = 1000 // ms

function hire(): ReadingThread<TableMessage> {
  const waiting = idle
  idle = undefined
  if (waiting?.idle) return waiting
  // What a library left running may have failed late, which is nobody's concern but the thread's.
  void waiting?.end()
  return new ReadingThread<TableMessage>(workerFile!)
}

function release(thread: ReadingThread<TableMessage>): void {
  if (idle) {
    void thread.end()
    return
  }
  idle = thread
  setTimeout(() => {
    if (idle !== thread) return
    idle = undefined
    void thread.end()
  }, WAIT).unref()
}

/** A table whose file a thread of its own reads, for formats whose libraries may not come back from a malformed one. */
export async function openInThread(path: string, open: OpenOptions): Promise<TableSource> {
  let table: TableDescription | undefined
  for await (const message of messages({ path, open, want: 'description' }))
    if ('table' in message) table = message.table
  return {
    ...table!,
    place: plainRow,
    async *batches(): AsyncGenerator<CellBatch> {
      // Rows of a part are read by threads that open the file themselves (`readingAhead`).
      for await (const message of messages({ path, open, want: 'rows' }))
        if ('batch' in message) yield message.batch
    }
  }
}

async function* messages(task: TableTask): AsyncGenerator<TableMessage> {
  const patience = task.open.timeout ?? PATIENCE
  const thread = hire()
  let done = false
  try {
    thread.post(task)
    for (;;) {
      const message = await thread.next(task.path, patience)
      if ('ended' in message) break
      yield message
      if ('batch' in message) thread.post({ used: true })
    }
    done = true
  } finally {
    if (done) release(thread)
    else await thread.end()
  }
}
