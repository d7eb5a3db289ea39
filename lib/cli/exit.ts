import { CommanderError } from 'commander'
import { type ErrorCode, isError, isFfjordError } from '../native/errors'
import { inFlags } from './flags'

/** How the process ends: a job failed, a call was wrong, a job was interrupted (128 + SIGINT). */
export const EXIT = { failed: 1, wrongCall: 2, interrupted: 130 } as const

/** A call that cannot be carried out as given; the message says what to change. */
export class WrongCall extends Error {
  override readonly name = 'WrongCall'
}

/** A job that was stopped by a signal, after it has saved what it had. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** What another rank of a group tells as well. */
export class ToldElsewhere extends Error {
  override readonly name = 'ToldElsewhere'

  constructor(readonly error: unknown) {
    super()
  }
}

/** Whoever read standard output has enough (`| head`): the job is done, and nobody is left to be told. */
export class ReaderGone extends Error {
  override readonly name = 'ReaderGone'
}

const wrongCallCodes = new Set<ErrorCode>([
  'UNKNOWN_OPTION',
  'INVALID_OPTION',
  'CONTRADICTORY_OPTIONS',
  'INVALID_ARGUMENT',
  'FILE_NOT_FOUND',
  'UNSUPPORTED_FILE',
  'INVALID_SHAPE',
  'UNSUPPORTED',
  'DEVICE_UNUSABLE'
])

/** What the process should exit with after `error`, and what to print; nothing where it has been printed. */
export function verdict(error: unknown): { code: number; message?: string } {
  if (error instanceof CommanderError) {
    return { code: error.exitCode === 0 ? 0 : EXIT.wrongCall }
  }
  if (error instanceof ReaderGone) return { code: 0 }
  if (error instanceof ToldElsewhere) return { code: verdict(error.error).code }
  if (error instanceof WrongCall) return { code: EXIT.wrongCall, message: error.message }
  if (error instanceof Interrupted) return { code: EXIT.interrupted, message: error.message }
  if (isFfjordError(error)) {
    const code = wrongCallCodes.has(error.code) ? EXIT.wrongCall : EXIT.failed
    return { code, message: `${inFlags(error.message)} [${error.code}]` }
  }
  // What the system refused (a full disk, a missing folder) explains itself.
  if (isError(error) && 'syscall' in error) return { code: EXIT.failed, message: error.message }
  return {
    code: EXIT.failed,
    message: isError(error) ? (error.stack ?? error.message) : String(error)
  }
}
