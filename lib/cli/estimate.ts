import { availableParallelism } from 'node:os'
import type { ImageDataset } from '../data/image-dataset'
import { type FitOptions, Flow } from '../index'
import type { Objective } from '../training/objective'
import { duration } from './progress'

/** What a long training will take, before it begins. */

/** Iterations of a probe; the first one, which takes memory and starts threads, does not count. */
const PROBED = 3
/** Images that a thread of a CPU computes side by side, at most: so many for each take no longer than one, and fewer leave threads idle. */
const SIDE_BY_SIDE = 32

interface Part {
  name: string
  objective: Objective
  iterations: number
  /** Seconds of an iteration of the whole batch. */
  seconds: number
}

/** Trains a copy of `flow` for a few iterations of each phase, on a part of a batch where that is in proportion, and says what all will take. */
export async function estimate(
  flow: Flow,
  images: ImageDataset,
  options: FitOptions,
  { threads = availableParallelism(), signal }: { threads?: number; signal: AbortSignal }
): Promise<string> {
  const { batch = 1, optimizer } = options
  const isDevice = flow.device.startsWith('cuda')
  const rows = Math.min(images.rows, batch, isDevice ? batch : SIDE_BY_SIDE * threads)
  const probe = { batch: rows, iterations: PROBED, signal, ...(optimizer && { optimizer }) }
  const parts: Part[] = []
  for (const part of phasesOf(options, images.rows)) {
    using copy = await Flow.create({
      ...flow.description,
      ...flow.options,
      device: flow.device as `cuda:${number}`,
      threads,
      seed: flow.seed
    })
    const times: number[] = []
    for await (const { records } of copy.fit(images.first(rows), { ...probe, objective: part.objective }))
      times.push(...records.map(({ seconds }) => seconds))
    parts.push({ ...part, seconds: (Math.min(...times.slice(1)) * batch) / rows })
  }
  const total = parts.reduce((sum, { iterations, seconds }) => sum + iterations * seconds, 0)
  const each = parts.map(
    ({ name, iterations, seconds }) => `${iterations} iterations of ${name} at ${secondsInWords(seconds)}`
  )
  const grows = parts.some(({ objective }) => objective === 'ml')
  return (
    `Estimate: ${duration(total)}${grows ? ' or more, as solves take more evaluations in the course of training' : ''} (${each.join(', ')}, ` +
    `timed on ${rows} images); memory: ${bytesInWords(flow.memory)} for the flow, ${bytesInWords(images.levels.length)} for ` +
    `images, and ${bytesInWords(process.resourceUsage().maxRSS * 1024)} of the whole process while timing`
  )
}

function phasesOf(
  { objective = 'ml', iterations, epochs, batch = 1 }: FitOptions,
  rows: number
): Omit<Part, 'seconds'>[] {
  const all = iterations ?? Math.ceil((epochs ?? 1) * Math.ceil(rows / batch))
  const likelihood = 'maximum likelihood'
  const { type, ...rest } = typeof objective === 'string' ? { type: objective } : objective
  if (type === 'ml') return [{ name: likelihood, objective: 'ml', iterations: all }]
  const coupling = 'coupling' in rest && rest.coupling ? { coupling: rest.coupling } : {}
  // As the first of two phases: flow matching alone takes no regularisers, which the second may have.
  const matching: Objective = { type: 'fm+ml', matching: PROBED, ...coupling }
  if (type !== 'fm+ml') return [{ name: 'flow matching', objective: matching, iterations: all }]
  const first = ('matching' in rest && rest.matching) || Math.round(0.8 * all)
  return [
    { name: 'flow matching', objective: matching, iterations: Math.min(first, all) },
    { name: likelihood, objective: 'ml' as const, iterations: Math.max(0, all - first) }
  ]
}

function secondsInWords(seconds: number): string {
  return seconds < 1 ? `${(1000 * seconds).toPrecision(3)} ms` : `${seconds.toPrecision(3)} s`
}

function bytesInWords(bytes: number): string {
  const unit = bytes < 2 ** 30 ? ([20, 'MiB'] as const) : ([30, 'GiB'] as const)
  return `${(bytes / 2 ** unit[0]).toPrecision(3)} ${unit[1]}`
}
