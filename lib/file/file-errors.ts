import { FfjordError, isFfjordError } from '../native/errors'

/** What the system refuses, as errors that name the file and what to do. */

interface Refusal {
  reason: string
  remedy: string
}

const refusals: Readonly<Record<string, Refusal | undefined>> = {
  EACCES: { reason: 'its permissions forbid it', remedy: 'change them, or choose another folder' },
  EPERM: { reason: 'the system forbids it', remedy: 'change its permissions, or choose another folder' },
  EROFS: { reason: 'its disk can only be read', remedy: 'choose another folder' },
  ENOSPC: { reason: 'the disk is full', remedy: 'free some space, or choose another disk' },
  EDQUOT: { reason: 'your share of the disk is used up', remedy: 'free some space, or choose another disk' },
  EFBIG: { reason: 'it would be larger than a file may be', remedy: 'choose another disk, or write less' },
  ENOTDIR: {
    reason: 'something in its path is no folder',
    remedy: 'correct the path'
  },
  EISDIR: { reason: 'it is a folder', remedy: 'name a file in it' },
  EEXIST: { reason: 'a file of that name is in the way', remedy: 'choose another name' },
  ELOOP: { reason: 'its links go in a circle', remedy: 'correct the path' },
  ENAMETOOLONG: { reason: 'its name is too long', remedy: 'choose a shorter one' },
  EMFILE: {
    reason: 'this process has too many files open',
    remedy: 'close some, or raise the limit (ulimit -n)'
  },
  ENFILE: { reason: 'the system has too many files open', remedy: 'close some' },
  EIO: { reason: 'the disk failed', remedy: 'check it, or choose another one' },
  EBUSY: { reason: 'another process uses it', remedy: 'try again later, or choose another name' },
  EINVAL: { reason: 'the system takes no such path', remedy: 'correct the path' },
  ERR_INVALID_ARG_VALUE: { reason: 'the system takes no such path', remedy: 'correct the path' },
  ERR_FS_FILE_TOO_LARGE: { reason: 'it is too large to be read at once', remedy: 'give a smaller file' }
}

function refusalOf(error: unknown, remedy: string): Refusal {
  const { code = '', message } = error as NodeJS.ErrnoException
  const known = refusals[code]
  return known
    ? { reason: `${known.reason} (${code})`, remedy: known.remedy }
    : { reason: message ?? String(error), remedy }
}

/** Whether an error is the system's. */
export function isSystemError(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.syscall !== undefined
}

/** The error of a file that could not be opened or read. */
export function unreadable(path: string, error: unknown): FfjordError {
  if (isFfjordError(error)) return error
  if ((error as NodeJS.ErrnoException).code === 'ENOENT')
    return new FfjordError('FILE_NOT_FOUND', `${path} does not exist; check the path`, { cause: error })
  const { reason, remedy } = refusalOf(error, 'give a readable file')
  return new FfjordError('FILE_NOT_READABLE', `${path} cannot be read: ${reason}; ${remedy}`, {
    cause: error
  })
}

/** The error of a file or folder that could not be written or made. */
export function unwritable(path: string, error: unknown): FfjordError {
  if (isFfjordError(error)) return error
  const { reason, remedy } =
    (error as NodeJS.ErrnoException).code === 'ENOENT'
      ? { reason: 'its folder does not exist (ENOENT)', remedy: 'make it, or choose another one' }
      : refusalOf(error, 'choose another folder')
  return new FfjordError('FILE_NOT_WRITABLE', `${path} cannot be written: ${reason}; ${remedy}`, {
    cause: error
  })
}

/** Runs a call that reads `path`. */
export function reading<T>(path: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw unreadable(path, error)
  }
}

/** Runs a call that writes `path`. */
export function writing<T>(path: string, call: () => T): T {
  try {
    return call()
  } catch (error) {
    throw unwritable(path, error)
  }
}
