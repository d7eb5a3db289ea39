import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { unreadable } from '../file/file-errors'
import { regularFile } from '../file/pipe'
import { fail } from '../native/check'
import { FfjordError } from '../native/errors'

/** The most that a file may unpack to: more levels than any set of images here has. */
const MOST_BYTES = 2 ** 32

/** The bytes of a file, unpacked where it is a gzip, whatever it is called. */
export async function fileBytes(path: string): Promise<Uint8Array> {
  const bytes = await readFile(await regularFile(path)).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: MOST_BYTES })
  } catch (cause) {
    throw new FfjordError(
      'INVALID_FILE',
      `${path} cannot be unpacked (${(cause as Error).message}): it is cut short or damaged; fetch it again`,
      { cause }
    )
  }
}

/** The first of `names` that lies in the folder, or in one of `below` in it, as it is or packed. */
export function findFile(
  folder: string,
  names: readonly string[],
  below: readonly string[] = []
): string | undefined {
  return [folder, ...below.map((name) => join(folder, name))]
    .flatMap((place) => names.flatMap((name) => [join(place, name), join(place, `${name}.gz`)]))
    .find((path) => existsSync(path))
}

/** The same, where nothing goes on without it. `published` says what it is and where it comes from. */
export function neededFile(
  folder: string,
  names: readonly string[],
  published: string,
  below?: readonly string[]
): string {
  const found = findFile(folder, names, below)
  if (found) return found
  return fail(
    'FILE_NOT_FOUND',
    `${join(folder, names[0]!)} is not there, as it is or as .gz; it is ${published}: put it into that folder`
  )
}

export function damaged(path: string, what: string, remedy = 'fetch it again'): never {
  return fail('INVALID_FILE', `${path} ${what}; ${remedy}`)
}
