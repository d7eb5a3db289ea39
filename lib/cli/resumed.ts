import type { Command } from 'commander'
import { WrongCall } from './exit'
import { RunDirectory } from './run-directory'

/**
 * The options that the run in `--out` was started with, under those of this call that may differ. `absolute` names the files of options
 * wherever they are read.
 */
export function resumed<C extends { out: string }>(
  command: Command,
  given: C,
  { changeable, absolute }: { changeable: ReadonlySet<string>; absolute: (choice: C) => C }
): C {
  const stored: Record<string, unknown> = { ...absolute(new RunDirectory(given.out).readOptions() as C) }
  const choice: Record<string, unknown> = { ...given, ...stored, out: given.out, resume: true }
  for (const [key, value] of Object.entries(absolute(given))) {
    if (command.getOptionValueSource(key) !== 'cli') continue
    if (!changeable.has(key) && JSON.stringify(value) !== JSON.stringify(stored[key]))
      throw new WrongCall(
        `a run goes on as it was started: leave out ${key}, or start a new run without --resume in another folder`
      )
    choice[key] = value
  }
  return choice as C
}
