// The thread that runs the libraries of table formats, a task after the other: it sends batches, and waits for their use.
import { parentPort } from 'node:worker_threads'
import { pack } from './crossing'
import { type OpenOptions, openHere } from './formats'
import type { CellBatch, TableSource } from './source'
import { failureOf, type ThreadMessage } from './thread'

/** What a thread is asked for. */
export interface TableTask {
  path: string
  open: OpenOptions
  /** What the file is, or its rows. */
  want: 'description' | 'rows'
}

/** What a file says of itself. */
export type TableDescription = Omit<TableSource, 'batches' | 'place' | 'placeBefore'>

/** What the thread sends; the other side answers every batch once it wants another one. */
export type TableMessage = { table: TableDescription } | { batch: CellBatch } | { ended: true }

/** Batches that lie unused while another one is read. */
const MOST_AHEAD = 2

const port = parentPort!
let ahead = 0
let wake: () => void = () => undefined

function post(message: ThreadMessage<TableMessage>, transfer: ArrayBuffer[] = []): void {
  port.postMessage(message, transfer)
}

port.on('message', (message: TableTask | { used: true }) => {
  if ('used' in message) {
    ahead--
    wake()
  } else void work(message)
})

async function work({ path, open, want }: TableTask): Promise<void> {
  ahead = 0
  try {
    const source = await openHere(path, open, () => post({ progress: true }))
    if (want === 'description') {
      const { batches, place, ...table } = source
      post({ table })
    } else {
      for await (const batch of source.batches()) {
        const { packed, transfer } = pack(batch)
        post({ batch: packed }, transfer)
        ahead++
        while (ahead >= MOST_AHEAD)
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    }
    post({ ended: true })
  } catch (error) {
    post({ error: failureOf(error, path) })
  }
}
