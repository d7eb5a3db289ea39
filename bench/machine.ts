import { spawnSync } from 'node:child_process'
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'

import type { Binding } from '../lib/native/interface'

export interface Machine {
  processor: string
  cores: number
  memoryGiB: number
  system: string
  node: string
  instructionSet: string
  /** GFLOP/s of one core, float32, a fused multiply-add counted as two. */
  fmaPeak: number
  loadAverage: number[]
  date: string
}

export function describeMachine(binding: Binding, quick: boolean): Machine {
  return {
    processor: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    system: `${platform()} ${release()}`,
    node: process.version,
    instructionSet: binding.cpu().instructionSet,
    fmaPeak: onOneCore(() => binding.fmaPeak(quick ? 0.3 : 2)),
    loadAverage: loadavg().map((load) => Number(load.toFixed(2))),
    date: new Date().toISOString()
  }
}

const allCores = Array.from({ length: availableParallelism() }, (_, core) => core)

/** Runs `call` with every thread of the process on one core; threads that it starts stay there. */
export function onOneCore<T>(call: () => T): T {
  const restore = () => setAffinity(allCores)
  setAffinity(allCores.slice(0, 1))
  let result: T
  try {
    result = call()
  } catch (error) {
    restore()
    throw error
  }
  if (result instanceof Promise) return result.finally(restore) as T
  restore()
  return result
}

function setAffinity(cores: number[]): void {
  if (platform() !== 'linux') return
  const command = ['-a', '-c', '-p', cores.join(','), String(process.pid)]
  // A thread that ends while taskset walks over them makes it fail.
  for (let attempt = 0; attempt < 5; attempt++)
    if (spawnSync('taskset', command, { stdio: 'ignore' }).status === 0) return
  throw new Error(`taskset ${command.join(' ')} failed; the benchmark needs it (util-linux)`)
}
