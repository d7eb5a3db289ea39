import { readFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { fail, number } from '../native/check'

/** What a model needs of memory, held against what this process may have. */

/** A model may take this part of it by default: the rest is for batches, their tapes and the caller's own data. */
const share = 0.5

/** Bytes: the smallest of the machine's memory, its control group's limit and that of the address space. */
export function memoryLimit(): number {
  const group = process.constrainedMemory() ?? 0 // 0 or more than there is: no limit
  return Math.min(totalmem(), group > 0 ? group : Infinity, addressSpace())
}

/** The limit that `ulimit -v` sets, which Linux alone reports. */
function addressSpace(): number {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return Infinity
  }
  const soft = /^Max address space +(\d+)/m.exec(limits)?.[1]
  return soft === undefined ? Infinity : Number(soft)
}

/** Bytes that a caller allows, as the option `memory` has them; undefined for the default. */
export function checkMemory(value: unknown): number | undefined {
  return value === undefined ? undefined : number(value, 'memory', { least: 0, open: true })
}

/** Refuses a model that needs more bytes than are allowed. */
export function assertFits(need: number, allowed: number | undefined, model: string): void {
  const limit = allowed ?? share * memoryLimit()
  if (need <= limit) return
  const reason = allowed === undefined ? 'half of what this process may have' : 'as { memory } says'
  fail(
    'OUT_OF_MEMORY',
    `${model} needs ${spell(need)} for its weights, gradients, moments and averages, and ${spell(limit)} are ` +
      `allowed, ${reason}; use narrower layers, or allow more by { memory: ${Math.ceil(need)} }`
  )
}

function spell(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const unit = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log2(bytes) / 10)))
  return `${(bytes / 1024 ** unit).toPrecision(3)} ${units[unit]}`
}
