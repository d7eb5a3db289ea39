// A rank of bench/scaling.ts, or a process of its own: prints what it took as JSON, on rank 0.
//   node scale-one.js train THREADS ITERATIONS BATCH | sums
import { dirname } from 'node:path'
import { Flow, fromArray, Group } from 'ffjord'
import type { Binding } from '../lib/native/interface'
import { loadAddon } from '../lib/native/load'

const WIDTH = 43

/** Seconds of each iteration of MINIBOONE's net on rows of a Gaussian. */
async function train(threads: number, iterations: number, batch: number): Promise<void> {
  const group = await Group.join()
  const flow = await Flow.create({
    shape: [WIDTH],
    blocks: [{ type: 'cnf', net: { hidden: [860, 860], layer: 'concat', activation: 'softplus' } }],
    solver: { method: 'dopri5', rtol: 1e-4, atol: 1e-4, control: 'sample' },
    seed: 0,
    threads
  })
  const data = Float32Array.from({ length: batch * WIDTH }, (_, i) => Math.sin(1 + 12.9898 * i))
  const seconds: number[] = []
  const rows = fromArray({ data, shape: [batch, WIDTH] })
  for await (const { records } of flow.fit(rows, { batch, iterations, group }))
    seconds.push(...records.map((one) => one.seconds))
  const parameters = Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)
  if (group.rank === 0)
    console.log(JSON.stringify({ seconds, bytes: 4 * parameters, library: group.library }))
}

/** Seconds of sums of so many bytes: the quickest of many, and the median. */
async function sums(): Promise<void> {
  const root = process.env.FFJORD_ADDON ? undefined : dirname(require.resolve('ffjord/package.json'))
  const binding = loadAddon(root) as Binding
  const group = new binding.Group(60)
  const found = []
  for (const bytes of [8, 4096, 65_536, 3_300_000, 33_000_000]) {
    const values = new Float64Array(bytes / 8).fill(1)
    const taken = []
    for (let i = 0; i < 30; i++) {
      const began = performance.now()
      await group.sum(values)
      taken.push((performance.now() - began) / 1000)
    }
    taken.sort((a, b) => a - b)
    found.push({ bytes, least: taken[0]!, median: taken[15]! })
  }
  if (group.rank === 0) console.log(JSON.stringify(found))
  group.leave()
}

const [what, threads, iterations, batch] = process.argv.slice(2)
void (what === 'sums' ? sums() : train(Number(threads), Number(iterations), Number(batch)))
