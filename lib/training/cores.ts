import { readFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { binding } from '../native/binding'
import { translated } from '../native/errors'
import type { NativeGroup } from '../native/interface'
import { fingerprint } from './fingerprint'

/** Threads of a rank: all cores that its process may use, where the launcher gave each rank its own, else its share of them. */
export async function threadsOf(group: Pick<NativeGroup, 'size' | 'rank' | 'sum'>): Promise<number> {
  const { threads } = binding().cpu()
  const { size, rank } = group
  if (size === 1) return threads
  const own = new Float64Array(size)
  own[rank] = fingerprint(allowedCores())
  const all = await translated(() => group.sum(own))
  const sharing = all.filter((cores) => cores === all[rank]).length
  return Math.max(1, Math.floor(threads / sharing))
}

/** Of this machine, the system's list of them: of another machine the same list means others. */
function allowedCores(): string {
  let list = ''
  try {
    list = /^Cpus_allowed_list:.*$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[0] ?? ''
  } catch {
    // Other systems than Linux have none.
  }
  return `${hostname()} ${list}`
}
