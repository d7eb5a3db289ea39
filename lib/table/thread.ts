import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import { Worker } from 'node:worker_threads'
import { unreadable } from '../file/file-errors'
import { FfjordError, isFfjordError } from '../native/errors'

/** What every thread that reads files may send besides its own messages. */
export type ThreadMessage<M> =
  | M
  /** It is still at work. */
  | { progress: true }
  | { error: Failure }

export interface Failure {
  code: FfjordError['code']
  message: string
}

/** Seconds without a sign of life after which a thread is ended. */
export const PATIENCE = 60

/** The compiled file of a thread, beside this one; undefined where the sources themselves are run. */
export function threadFile(name: string): string | undefined {
  const file = join(__dirname, `${name}.js`)
  return existsSync(file) ? file : undefined
}

/**
 * A thread that reads a file, which ends with its last message, with `end`, or where it stands still. Libraries loop
 * without end on some malformed files, leave rejections unhandled and take memory without measure: none of it leaves the
 * thread.
 */
export class ReadingThread<M extends object> {
  readonly #worker: Worker
  readonly #messages: (ThreadMessage<M> | { thrown: unknown })[] = []
  #wake: () => void = () => undefined
  #ended = false

  constructor(file: string, workerData?: unknown) {
    this.#worker = new Worker(file, {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: heapMiB() }
    })
    this.#worker.on('message', (message: ThreadMessage<M>) => this.#receive(message))
    this.#worker.on('error', (thrown: unknown) => this.#receive({ thrown }))
    this.#worker.on('exit', () => {
      this.#ended = true
      this.#receive({ thrown: new Error('its thread has ended') })
    })
    // A thread whose rows nobody reads to their end must not keep the process alive.
    this.#worker.unref()
  }

  /** Whether it can take another task. */
  get idle(): boolean {
    return !this.#ended && this.#messages.length === 0
  }

  post(message: unknown): void {
    this.#worker.postMessage(message)
  }

  /** Its next message. @throws FfjordError that it sent, or INVALID_FILE after `patience` seconds without a sign of life */
  async next(path: string, patience: number): Promise<M> {
    for (;;) {
      const message = this.#messages.shift() ?? (await this.#awaited(patience))
      if (!message) {
        await this.end()
        throw new FfjordError(
          'INVALID_FILE',
          `${path}: reading made no progress for ${patience} s and was ended; write the file again, or raise timeout`
        )
      }
      if ('progress' in message) continue
      const failed = 'thrown' in message || 'error' in message
      if (!failed) return message
      await this.end()
      const { code, message: text } = 'thrown' in message ? failureOf(message.thrown, path) : message.error
      throw new FfjordError(code, text)
    }
  }

  async end(): Promise<void> {
    this.#ended = true
    await this.#worker.terminate()
  }

  /** The next message, or undefined where none comes in time. */
  async #awaited(patience: number): Promise<ThreadMessage<M> | { thrown: unknown } | undefined> {
    let timer: NodeJS.Timeout | undefined
    this.#worker.ref()
    try {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        // A process that was busy itself finds its timers before its messages, so that it looks at these once more.
        timer = setTimeout(() => setImmediate(() => setImmediate(resolve)), 1000 * patience)
      })
    } finally {
      clearTimeout(timer)
      this.#worker.unref()
    }
    return this.#messages.shift()
  }

  #receive(message: ThreadMessage<M> | { thrown: unknown }): void {
    this.#messages.push(message)
    this.#wake()
  }
}

function heapMiB(): number {
  return Math.floor(getHeapStatistics().heap_size_limit / 2 ** 20)
}

/** An error that a thread may have had at any place while it read `path`. */
export function failureOf(error: unknown, path: string): Failure {
  const { code, message, syscall } = error as NodeJS.ErrnoException
  if (isFfjordError(error)) return { code: error.code, message: error.message }
  if (code === 'ERR_WORKER_OUT_OF_MEMORY')
    return {
      code: 'OUT_OF_MEMORY',
      message:
        `${path}: reading takes more memory than this process may use (${heapMiB()} MiB); write it in smaller row groups, ` +
        'or raise node --max-old-space-size'
    }
  if (syscall !== undefined || code === 'ERR_WORKER_INIT_FAILED') {
    const { code, message } = unreadable(path, error)
    return { code, message }
  }
  return {
    code: 'INVALID_FILE',
    message: `${path} cannot be read (${message ?? String(error)}); write it again`
  }
}
