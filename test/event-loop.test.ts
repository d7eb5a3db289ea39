import { loadavg } from 'node:os'
import { Flow, type FlowOptions } from 'ffjord'

/** An iteration takes microseconds, so that whatever is done between bursts is most of the work. */
const tiny: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'cnf', net: { hidden: [4] } }],
  solver: { method: 'euler', steps: 1 },
  threads: 1
}

test('timers and signals are served while eight fits run', async () => {
  const x = Float32Array.from({ length: 1200 }, (_, i) => Math.sin(i))
  const flows = await Promise.all(Array.from({ length: 8 }, (_, seed) => Flow.create({ ...tiny, seed })))
  const ticks: number[] = []
  const timer = setInterval(() => ticks.push(performance.now()), 10)
  const signal = AbortSignal.timeout(5000)
  const began = performance.now()
  // In the time of the test this comes to no end.
  const results = await Promise.all(flows.map((flow) => flow.fit(x, { iterations: 1e8, batch: 300, signal })))
  const ended = performance.now()
  clearInterval(timer)
  expect(results.map(({ stopped }) => stopped)).toEqual(Array(8).fill('signal'))

  // The largest gap of each half second, and the smallest of those: other processes may take the cores for a while.
  const times = [began, ...ticks, ended]
  const gaps: number[] = []
  for (let from = began + 500; from + 500 <= ended; from += 500) {
    const within = times
      .slice(1)
      .flatMap((time, i) => (time >= from && times[i]! < from + 500 ? [time - times[i]!] : []))
    gaps.push(Math.max(...within))
  }
  console.info(
    `largest gaps between ticks, a half second each: ${gaps.map((gap) => gap.toFixed(0)).join(', ')} ms; ` +
      `load ${loadavg()[0]!.toFixed(1)}`
  )
  expect(gaps.length).toBeGreaterThan(4)
  expect(Math.min(...gaps)).toBeLessThan(200)
  for (const flow of flows) flow.dispose()
}, 120_000)
