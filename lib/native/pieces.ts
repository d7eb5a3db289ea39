import { fail } from './check'
import { turn } from './turn'

/** Long work on JavaScript's thread, written once as a generator that yields between its pieces. */

/** The time after which others have their turn, in ms. */
const TURN_INTERVAL = 15

/** Does all of it at once. */
export function atOnce<R>(work: Generator<unknown, R>): R {
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
  }
}

/** Does it piece by piece, with turns of the event loop between them; a signal ends it, and `onPiece` gets what pieces yield. */
export async function inTurns<P, R>(
  work: Generator<P, R>,
  signal?: AbortSignal,
  onPiece?: (piece: P) => void
): Promise<R> {
  if (signal?.aborted) fail('CANCELLED', 'the signal was aborted before the call; give a fresh one')
  let since = performance.now()
  for (;;) {
    const { done, value } = work.next()
    if (done) return value
    onPiece?.(value)
    if (performance.now() - since >= TURN_INTERVAL) {
      await pause(signal)
      since = performance.now()
    } else assertGoing(signal)
  }
}

/** A turn of the event loop, during which the signal may have ended the work. */
export async function pause(signal?: AbortSignal): Promise<void> {
  await turn()
  assertGoing(signal)
}

function assertGoing(signal: AbortSignal | undefined): void {
  if (signal?.aborted) fail('CANCELLED', 'the signal ended this call; repeat it for a result')
}
