import { createHash, randomBytes } from 'node:crypto'
import { readdirSync, readlinkSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { unwritable } from './file-errors'

/** Files that appear whole or not at all: written under another name beside their own, then renamed. */

/** Folders that this process has looked for leftovers in. */
const swept = new Set<string>()

/** A process number means something only where it was given out: on a machine, or within a container of it. */
const place = (() => {
  let numbers = ''
  try {
    numbers = readlinkSync('/proc/self/ns/pid')
  } catch {
    // Only Linux has them.
  }
  return createHash('sha256').update(`${hostname()} ${numbers}`).digest('hex').slice(0, 8)
})()

/** Its length does not depend on the file's, so that a long name stays possible. */
const unfinished = /^\.ffjord-([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.tmp$/

const DAY = 86_400_000 // ms

/** The name to write `path` under until it is whole; what dead processes left in its folder goes first. */
export function unfinishedName(path: string): string {
  const folder = dirname(path)
  if (!swept.has(folder)) {
    swept.add(folder)
    removeLeftovers(folder)
  }
  return join(folder, `.ffjord-${place}-${process.pid}-${randomBytes(4).toString('hex')}.tmp`)
}

/**
 * Removes unfinished files that nobody writes any more: of processes of this place that have ended, of other places
 * after a day without a change. What cannot be removed stays, without an error.
 */
export function removeLeftovers(folder: string): void {
  let names: string[]
  try {
    names = readdirSync(folder)
  } catch {
    return
  }
  for (const name of names) {
    const [, where, number] = unfinished.exec(name) ?? []
    if (where === undefined) continue
    const file = join(folder, name)
    try {
      const left = where === place ? !lives(Number(number)) : Date.now() - statSync(file).mtimeMs > DAY
      if (left) rmSync(file, { force: true, recursive: true })
    } catch {
      // Another process may have removed it.
    }
  }
}

function lives(number: number): boolean {
  try {
    process.kill(number, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Writes all of `path` at once. @throws FfjordError FILE_NOT_WRITABLE; what `path` held before is then still there */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const temporary = unfinishedName(path)
  try {
    writeFileSync(temporary, content)
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    throw unwritable(path, error)
  }
}

/** Removes an unfinished file or folder, where it can be. */
export function discard(temporary: string): void {
  try {
    rmSync(temporary, { force: true, recursive: true })
  } catch {
    // What made the file impossible is told; there is nothing to remove.
  }
}

/** Gives `temporary`, which is whole now, its name. @throws FfjordError FILE_NOT_WRITABLE */
export function finish(temporary: string, path: string): void {
  try {
    renameSync(temporary, path)
  } catch (error) {
    discard(temporary)
    throw unwritable(path, error)
  }
}

/** Writes parts that follow each other likewise; they are on the disk before the name changes. @throws FfjordError FILE_NOT_WRITABLE */
export async function writeAtomically(path: string, parts: readonly Uint8Array[]): Promise<void> {
  const temporary = unfinishedName(path)
  try {
    const file = await open(temporary, 'wx')
    try {
      for (const part of parts) await file.writeFile(part)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined)
    throw unwritable(path, error)
  }
}
