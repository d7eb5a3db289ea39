import { FfjordError } from '../errors'

/** A library that only some formats need, and that users install when they meet one. */
export async function optional<T>(load: () => Promise<T>, name: string, path: string): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    throw new FfjordError(
      'UNSUPPORTED_FILE',
      `${path} needs the package ${name}, which is not installed; run: npm install ${name}`,
      { cause }
    )
  }
}
