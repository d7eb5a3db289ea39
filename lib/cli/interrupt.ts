import { isFfjordError } from '../native/errors'
import { EXIT, Interrupted } from './exit'

/**
 * Runs a job that stops in good order on SIGINT or SIGTERM: the first signal aborts, a second one ends the process
 * at once.
 */
export async function interruptible(job: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController()
  const stop = () => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted)
    controller.abort()
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
