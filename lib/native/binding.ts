import { FfjordError } from './errors'
import type { Binding } from './interface'
import { AddonLoadError, loadAddon } from './load'

let loaded: Binding | undefined

/** The native core, loaded at first use. */
export function binding(): Binding {
  if (loaded) return loaded
  try {
    loaded = loadAddon() as Binding
    return loaded
  } catch (error) {
    if (!(error instanceof AddonLoadError)) throw error
    throw new FfjordError('ADDON_NOT_LOADED', error.message, { cause: error })
  }
}
