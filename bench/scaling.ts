import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Context } from './context'
import { against, type Section, time, times } from './table'

/** Of one process with two threads, what two ranks with one thread each are to reach. */
const GOAL = 0.95

/** Ten gigabits a second, and a hundred, as ranks see them. */
const NETWORKS = [
  { name: '10 GbE', bytes: 1.1e9, latency: 30e-6 },
  { name: '100 GbE', bytes: 11e9, latency: 10e-6 }
]

const LAUNCHERS = [
  { name: 'Open MPI', command: ['mpirun.openmpi', '--allow-run-as-root', '--oversubscribe'] },
  { name: 'MPICH', command: ['mpirun.mpich'] }
]

/** Two ranks with one thread each against one process with two; what a sum costs; and what that predicts for many ranks. */
export async function scaling({ quick }: Context): Promise<Section> {
  const [iterations, rounds, batch] = quick ? [4, 1, 256] : [6, 4, 512]
  const program = join(__dirname, 'scale-one.js')
  const run = (before: readonly string[], ...rest: string[]) => {
    const [file, ...given] = [...before, process.execPath, program, ...rest]
    return JSON.parse(execFileSync(file!, given, { encoding: 'utf8' }))
  }
  const train = (before: readonly string[], threads: number) => {
    const { seconds, bytes } = run(before, 'train', String(threads), String(iterations), String(batch))
    return { least: Math.min(...seconds.slice(2)), bytes }
  }
  const rows: string[][] = []
  const data: unknown[] = []
  let alone = Infinity
  let gradient = 0
  for (const { name, command } of LAUNCHERS) {
    const ranks = [...command, '-n', '2']
    const found = { one: Infinity, two: Infinity }
    // In turns, as other work on the machine comes and goes.
    for (let round = 0; round < rounds; round++) {
      const { least, bytes } = train([], 2)
      found.one = Math.min(found.one, least)
      found.two = Math.min(found.two, train(ranks, 1).least)
      gradient = bytes
    }
    alone = Math.min(alone, found.one)
    const share = found.one / found.two
    rows.push([
      `${name}: an iteration, 2 ranks × 1 thread against 1 × 2`,
      `${time(found.two)} against ${time(found.one)}`,
      times(share),
      `at least ${GOAL}: ${against(share, GOAL, 'at least')}`
    ])
    const sums: { bytes: number; least: number; median: number }[] = run(ranks, 'sums')
    for (const { bytes, least, median } of sums)
      rows.push([
        `${name}: a sum of ${bytes.toLocaleString('en-US')} bytes, 2 ranks`,
        time(least),
        time(median),
        ''
      ])
    data.push({ name, ...found, share, sums })
  }
  for (const network of NETWORKS)
    for (const ranks of [8, 64]) {
      // The batch is the same; each rank has as many cores as the one process.
      const sum = (2 * (ranks - 1) * gradient) / ranks / network.bytes + 2 * ranks * network.latency
      rows.push([
        `predicted: ${ranks} machines by ${network.name}, the same batch`,
        `${time(alone / ranks + sum)} an iteration`,
        times(alone / (alone / ranks + sum)),
        `a batch of ${ranks} times the rows: ${times((ranks * alone) / (alone + sum))}`
      ])
    }
  return {
    name: 'scaling',
    title: 'Training in several processes',
    columns: ['what', 'time', 'ratio, or median', 'goal, or weak scaling'],
    rows,
    notes: [
      `An iteration: loss, gradients and Adam of 43-860-860-43 (${(gradient / 1e6).toFixed(1)} MB of gradients), ${batch} rows, a step a row; the quickest of ${rounds} runs of ${iterations} iterations each, in turns.`,
      'A sum is one of float64 numbers through the binding, in order of the tree: the quickest of 30, and the median.',
      'Predicted: time of the gradient’s bytes at the network’s rate, and of its messages, behind the computation, with which it does not overlap.'
    ],
    data
  }
}
