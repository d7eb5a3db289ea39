import type { Flow, Weights } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { resetPeak, resident, residentPeak } from '../resident'
import { time } from '../table'
import { type AblationContext, cpuSeconds, type Finding, rootMeanSquare, short } from './part'
import { freshRows, recomputed, train } from './toy-flow'

const DENSITY = 'pinwheel'
const STEPS = [10, 30, 100, 300, 1000]
const METHODS = ['checkpoint', 'adjoint'] as const

interface Gradient {
  method: (typeof METHODS)[number]
  steps: number
  /** Bytes above what was resident before the call. */
  memory: number
  seconds: number
  /** Relative, of all weights together. */
  error: number
}

/** Checkpointed gradients of the computed solution beside the continuous adjoint, over more and more steps. */
export async function gradients(context: AblationContext): Promise<Finding> {
  const { quick } = context
  const batch = quick ? 64 : 1024
  const { flow } = await train(context, DENSITY, { iterations: quick ? 30 : 500 })
  const { data: x } = freshRows(DENSITY).sample(batch)
  const few = x.slice(0, 2 * 128)
  const exact = await recomputed(flow, {
    device: 'reference',
    solver: { method: 'dopri5', rtol: 1e-10, atol: 1e-10 }
  })
  await exact.loss(few)
  const truth = flat(exact.gradients())
  exact.dispose()

  const found: Gradient[] = []
  for (const method of METHODS) {
    for (const steps of quick ? [10, 30] : STEPS) {
      context.note(`${method}, ${steps} steps`)
      const own = await recomputed(flow, { solver: { method: 'rk4', steps }, gradient: method, threads: 1 })
      await own.loss(few)
      const gradient = flat(own.gradients())
      const error = rootMeanSquare(gradient, truth) / rootMeanSquare(truth, new Float64Array(truth.length))
      const memory = await peak(own, x)
      const seconds = await cpuSeconds(() => own.loss(x), quick ? 0.02 : 0.5)
      found.push({ method, steps, memory, seconds, error })
      own.dispose()
    }
  }
  flow.dispose()

  const series = (y: 'memory' | 'seconds' | 'error', scale = 1) =>
    METHODS.map((method) => ({
      name: method,
      points: found.filter((one) => one.method === method).map((one) => ({ x: one.steps, y: one[y] * scale }))
    }))
  const axes = { xName: 'steps', logX: true }
  return {
    name: 'gradients',
    title: 'Checkpoint against adjoint',
    columns: ['gradient', 'rk4 steps', 'memory, MiB', `${batch} rows, one core`, 'relative error'],
    rows: found.map(({ method, steps, memory, seconds, error }) => [
      method,
      String(steps),
      (memory / 2 ** 20).toFixed(2),
      time(seconds),
      short(error)
    ]),
    notes: [
      `Loss and gradients of ${batch} rows of ${DENSITY} under a flow trained on it, equal rk4 steps over [0, T], exact trace.`,
      'Memory: the most that was resident during the call above what was resident before it; below some MiB it is the allocator.',
      `Error: distance of the gradient of ${few.length / 2} rows from that of dopri5 at 1e-10 on the float64 engine, relative, all weights together.`
    ],
    data: found,
    figure: chart([
      { title: 'Memory', ...axes, yName: 'MiB', series: series('memory', 2 ** -20) },
      { title: 'Time', ...axes, logY: true, yName: 'seconds', series: series('seconds') },
      {
        title: 'Error of the gradient',
        ...axes,
        logY: true,
        yName: 'relative error',
        series: series('error')
      }
    ])
  }
}

/** Bytes above what was resident before, at the highest point of a loss and its gradients. */
async function peak(flow: Flow, x: Float32Array): Promise<number> {
  const before = resident()
  resetPeak()
  await flow.loss(x)
  return Math.max(0, residentPeak() - before)
}

function flat(weights: Weights): Float64Array {
  return Float64Array.from(Object.values(weights).flatMap(({ data }) => Array.from(data)))
}
