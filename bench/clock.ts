/** How long a call takes, in seconds. */
export interface Timing {
  /** CPU time of the whole process: what a shared machine disturbs least. */
  best: number
  median: number
  wallBest: number
  wallMedian: number
  repeats: number
}

/** Wall times in the place of CPU times, where another device does the work. */
export function byTheClock(timing: Timing): Timing {
  return { ...timing, best: timing.wallBest, median: timing.wallMedian }
}

/** Repeats `call` for about `seconds`, `inner` calls a sample; best and median per call. */
export async function measure(call: () => unknown, seconds: number, inner = 1): Promise<Timing> {
  await call()
  const cpu: number[] = []
  const wall: number[] = []
  const deadline = performance.now() + seconds * 1000
  while (cpu.length < 3 || (performance.now() < deadline && cpu.length < 1000)) {
    const startedCpu = process.cpuUsage()
    const started = performance.now()
    for (let i = 0; i < inner; i++) await call()
    wall.push((performance.now() - started) / 1000 / inner)
    const used = process.cpuUsage(startedCpu)
    cpu.push((used.user + used.system) / 1e6 / inner)
  }
  return {
    best: Math.min(...cpu),
    median: median(cpu),
    wallBest: Math.min(...wall),
    wallMedian: median(wall),
    repeats: cpu.length
  }
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
