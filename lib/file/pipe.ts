import { createReadStream, createWriteStream, mkdirSync, type Stats } from 'node:fs'
import { stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { fail } from '../native/check'
import { unreadable, unwritable } from './file-errors'
import { discard, unfinishedName } from './whole-file'

/** Copies of what this process was given open, which can be read once. A named pipe may be written again, and is read again. */
const copies = new Map<string, Promise<string>>()

/** Open files of this process, as shells name what they pass: `<(command)`. */
const opened = /^\/(dev\/(stdin|fd\/\d+)|proc\/self\/fd\/\d+)$/

/**
 * The file to read `path` from: itself where it is one. '-' is standard input; it and pipes are copied to a temporary
 * file, as CSV unless their name says otherwise, which is there until the process ends. Everything else is refused.
 * @throws FfjordError FILE_NOT_FOUND, FILE_NOT_READABLE
 */
export async function regularFile(path: string): Promise<string> {
  if (path === '-' || opened.test(path)) {
    const copy = copies.get(path) ?? copied(path)
    copies.set(path, copy)
    return copy
  }
  const kind = await stat(path).catch((error: unknown) => {
    throw unreadable(path, error)
  })
  if (kind.isFile()) return path
  if (!kind.isFIFO())
    fail('FILE_NOT_READABLE', `${path} cannot be read: it is ${whatElse(kind)}; give a file, or a pipe`)
  return copied(path)
}

function whatElse(kind: Stats): string {
  if (kind.isDirectory()) return 'a folder'
  return kind.isSocket() ? 'a socket' : 'a device'
}

async function copied(path: string): Promise<string> {
  const input = ['-', '/dev/stdin', '/dev/fd/0', '/proc/self/fd/0'].includes(path)
  if (input && process.stdin.isTTY)
    fail('FILE_NOT_READABLE', `${path} is the terminal; pipe a table into this command, or name a file`)
  const folder = unfinishedName(join(tmpdir(), 'copy'))
  const copy = join(folder, `${input ? 'standard-input' : 'pipe'}${(!input && extname(path)) || '.csv'}`)
  process.once('exit', () => discard(folder))
  try {
    mkdirSync(folder, { mode: 0o700 })
  } catch (error) {
    throw unwritable(folder, error)
  }
  const source: NodeJS.ReadableStream = input ? process.stdin : createReadStream(path)
  const target = createWriteStream(copy, { flags: 'wx', mode: 0o600 })
  let broken: unknown
  source.once('error', (error: unknown) => {
    broken ??= unreadable(path, error)
  })
  target.once('error', (error) => {
    broken ??= unwritable(copy, error)
  })
  await pipeline(source, target).catch((error: unknown) => {
    discard(folder)
    throw broken ?? unreadable(path, error)
  })
  return copy
}
