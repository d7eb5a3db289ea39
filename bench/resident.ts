import { readFileSync, writeFileSync } from 'node:fs'

/** Memory of this process as the system counts it, in bytes (Linux, proc(5)). */

export function resident(): number {
  return status('VmRSS')
}

/** The most since the start, or since resetPeak(). */
export function residentPeak(): number {
  return status('VmHWM')
}

export function resetPeak(): void {
  writeFileSync('/proc/self/clear_refs', '5')
}

function status(field: string): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(line![1]) * 1024
}
