import { performance } from 'node:perf_hooks'
import { isFfjordError } from '../native/errors'
import { EXIT, Interrupted } from './exit'

/** Signals that come within so many milliseconds are one: `timeout` and launchers send one to the process and one to its group. */
const MOMENT = 1000

/**
 * Runs a job that stops in good order on SIGINT or SIGTERM: the first signal aborts, a second one, a moment later, ends the
 * process at once.
 */
export async function interruptible(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController()
  let first = 0
  const stop = () => {
    if (!controller.signal.aborted) {
      first = performance.now()
      controller.abort()
    } else if (performance.now() - first > MOMENT) process.exit(EXIT.interrupted)
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    await job(controller.signal)
  } catch (error) {
    if (isFfjordError(error) && error.code === 'CANCELLED' && controller.signal.aborted) {
      throw new Interrupted('interrupted')
    }
    throw error
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}
