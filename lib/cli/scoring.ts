import { availableParallelism } from 'node:os'
import type { ScoringProgress } from '../index'
import { duration, progressLine } from './progress'

/** How far the scoring of rows is, or the drawing of samples, on stderr. */

/** Images of a call: of a small one the last rows keep few threads busy, and of a large one nothing is told for minutes. */
export function imagesACall(threads = availableParallelism()): number {
  return Math.max(256, 64 * threads)
}

/** Most tables are scored sooner; of them no line is worth reading. */
export const TABLE_PATIENCE = 2000 // ms

/** Runs `job` with a line of progress, which nobody sees if `quiet`, nor of a job that is done within `patience` milliseconds. */
export async function withScoringLine<T>(
  quiet: boolean,
  job: (onProgress: (progress: ScoringProgress) => void) => Promise<T>,
  patience = 0
): Promise<T> {
  const line = progressLine(quiet)
  const start = performance.now()
  let last = start
  let seconds = 0
  let isScoring = false
  const tell = ({ scored, total, next }: ScoringProgress) => {
    const now = performance.now()
    // Errors take a time of their own, which says nothing of the densities to come.
    if (isScoring) seconds += (now - last) / 1000
    last = now
    isScoring = next === 'scores'
    const parts = [
      isScoring ? 'Scoring' : 'Estimating errors',
      `${scored}/${total} log-densities`,
      ...(seconds > 0
        ? [`${rate(scored / seconds)}/s`, `eta ${duration(((total - scored) / scored) * seconds)}`]
        : [])
    ]
    if (now - start >= patience) line.update(scored / total, parts.join('  '))
  }
  return job(tell).finally(() => line.done())
}

/** The same of rows that are read or drawn meanwhile; `job` says how many are done, of `total` where that is known. */
export async function withCountingLine<T>(
  { quiet = false, doing, total }: { quiet?: boolean; doing: string; total?: number },
  job: (count: (rows: number) => void) => Promise<T>
): Promise<T> {
  const line = progressLine(quiet)
  const start = performance.now()
  const count = (rows: number) => {
    const taken = performance.now() - start
    if (taken < TABLE_PATIENCE) return
    const of = total ? `/${total}` : ''
    line.update(total && rows / total, `${doing}  ${rows}${of} rows  ${rate((1000 * rows) / taken)}/s`)
  }
  return job(count).finally(() => line.done())
}

function rate(perSecond: number): string {
  return perSecond < 10 ? perSecond.toPrecision(2) : perSecond.toFixed(0)
}
