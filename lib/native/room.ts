import { binding } from './binding'
import { translatedSync } from './errors'

/** Bytes below which nobody asks, as the system takes its time to answer. */
const large = 2 ** 26

/** Throws OUT_OF_MEMORY unless so many bytes exist: to be asked before anything of that size is allocated or drawn. */
export function assertRoom(bytes: number): void {
  if (bytes >= large) translatedSync(() => binding().requireMemory(bytes))
}
