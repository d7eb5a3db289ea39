import { unreadable } from '../file/file-errors'
import { FfjordError } from '../native/errors'

/** A library that only some formats need, and that users install when they meet one. */
export async function optional<T>(load: () => Promise<T>, name: string, path: string): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const { code, message, syscall } = cause as NodeJS.ErrnoException
    if (syscall !== undefined) throw unreadable(path, cause)
    if (code !== 'MODULE_NOT_FOUND' && code !== 'ERR_MODULE_NOT_FOUND')
      throw new FfjordError(
        'UNSUPPORTED_FILE',
        `${path} needs the package ${name}, which cannot be loaded (${message}); run: npm install ${name}`,
        { cause }
      )
    throw new FfjordError(
      'UNSUPPORTED_FILE',
      `${path} needs the package ${name}, which is not installed; run: npm install ${name}`,
      { cause }
    )
  }
}
