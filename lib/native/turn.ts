import { setImmediate } from 'node:timers'

/**
 * Work on JavaScript's thread that must not follow other work of its kind without a pause: one piece a turn of the event
 * loop, however many fits run, so that timers, signals and sockets are served between any two. Results that come from
 * other threads alone give no such pause: Node hands them over until none is left.
 */
const waiting: (() => void)[] = []

/** Resolves when it is the caller's turn. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve)
    if (waiting.length === 1) setImmediate(next)
  })
}

function next(): void {
  waiting.shift()!()
  if (waiting.length > 0) setImmediate(next)
}
