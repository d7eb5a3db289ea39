import { boolean, integer, object } from '../native/check'
import { translated } from '../native/errors'
import type { ModelCore } from './core'
import { threadCount } from './device'
import { assertFits, checkMemory } from './memory'
import type { NormalizedSettings } from './normalize-settings'

/** How models come to be, and go: flows and autoencoders. */

/** Options of every model. */
interface Given {
  seed?: unknown
  threads?: unknown
  memory?: unknown
}

/** A model whose layout is known, and which `outline` makes with so many threads; it has no memory yet. */
export function outlined<N extends ModelCore['native']>(
  { seed, threads, memory }: Given,
  settings: NormalizedSettings,
  outline: (threads: number) => N
) {
  const checked = {
    seed: integer(seed ?? 0, 'seed'),
    threads: threadCount(threads),
    memory: checkMemory(memory)
  }
  return {
    native: outline(checked.threads),
    settings,
    seed: checked.seed,
    memory: checked.memory,
    calls: 0,
    draws: 0,
    disposed: false
  }
}

/** Takes a model's memory, on a thread of its own, with first weights drawn from its seed. A model that fails is disposed. */
export function create(core: ModelCore): Promise<void> {
  return orDisposed(core, () => make(core, core.seed, 'this model'))
}

/** What is known of a model file that is open. */
interface Stored<C> {
  check(core: C): void
  restore(core: C): Promise<void>
}

/** Takes a model's memory, and fills it from a file. A model that fails is disposed. */
export function load<C extends ModelCore>(core: C, path: string, stored: Stored<C>): Promise<void> {
  return orDisposed(core, async () => {
    stored.check(core)
    await make(core, null, path)
    await stored.restore(core)
  })
}

/** Frees what a model holds on its device, after the calls under way. */
export function dispose(core: ModelCore): void {
  if (core.disposed) return
  core.disposed = true
  core.native.dispose()
}

/** Whether a model file is to have weights alone. */
export function weightsAlone(options: { weightsOnly?: boolean }): boolean {
  const { weightsOnly } = object(options, 'save options', ['weightsOnly'])
  return boolean(weightsOnly ?? false, 'weightsOnly')
}

async function make({ native, memory }: ModelCore, seed: number | null, name: string): Promise<void> {
  assertFits(native.memory, memory, name)
  await translated(() => native.make(seed))
}

async function orDisposed(core: ModelCore, work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    dispose(core)
    throw error
  }
}
