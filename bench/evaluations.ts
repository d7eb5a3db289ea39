import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

import { measure } from './clock'
import type { Context } from './context'
import { onOneCore } from './machine'
import { describe, drawRows, givenNoise, settings, toyProblem } from './problem'
import { against, percent, type Section, time, times } from './table'

/** A line that native/engine_times.cc prints. */
export interface EngineTime {
  net: string
  layer: string
  activation: string
  task: 'evaluate' | 'gradient' | 'one row'
  batch: number
  threads: number
  flops: number
  best: number
  median: number
  /** GFLOP/s of one core's fused multiply-adds in the same seconds; 0 of several threads. */
  peak: number
}

/** Shares of one core's FMA peak asked of (f, divergence), and of it with gradients. */
const SHARES: Record<string, Record<string, { evaluate: number; gradient: number }>> = {
  '2-64-64-64-2': {
    concat: { evaluate: 0.78, gradient: 0.76 },
    concatsquash: { evaluate: 0.72, gradient: 0.7 }
  },
  '43-860-860-43': { concat: { evaluate: 0.86, gradient: 0.78 } }
}
const TWO_CORES = 1.9

/** Builds native/engine_times.cc beside the engines and runs it: the kernels without the binding. */
export function engineTimes({ root, quick, machine }: Context): EngineTime[] {
  const build = join(root, 'build-cmake/bench')
  const silent = { stdio: ['ignore', 'ignore', 'inherit'] as ('ignore' | 'inherit')[] }
  execFileSync(
    'cmake',
    ['-S', join(root, 'bench/native'), '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DFFJORD_CUDA=OFF'],
    silent
  )
  execFileSync('cmake', ['--build', build, '--target', 'engine_times', '-j2'], silent)
  const program = join(build, 'engine_times')
  const run = (threads: number) =>
    execFileSync(program, [quick ? '0.2' : '2', String(threads)], { encoding: 'utf8' })
  const printed = onOneCore(() => run(1)) + (machine.cores > 1 ? run(2) : '')
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as EngineTime)
}

/** (f, divergence) of one probe, with and without gradients, as a share of what the core could do. */
export async function evaluations(context: Context, engine: EngineTime[]): Promise<Section> {
  const shown = engine.filter((row) => row.threads === 1 && row.task !== 'one row')
  const rows = shown.map((one) => {
    const two = engine.find(
      (row) =>
        row.threads === 2 &&
        row.net === one.net &&
        row.layer === one.layer &&
        row.task === one.task &&
        row.batch === one.batch
    )
    const share = one.flops / one.best / 1e9 / one.peak
    const target = SHARES[one.net]![one.layer]![one.task as 'evaluate' | 'gradient']
    const counted = one.batch === 1024 || one.batch === 1000
    const scaling = two ? one.best / two.best : Number.NaN
    return [
      `${one.net} ${one.layer} ${one.activation}`,
      one.task === 'evaluate' ? '(f, div)' : '(f, div, gradients)',
      String(one.batch),
      time(one.best),
      time(one.median),
      (one.flops / one.best / 1e9).toFixed(1),
      percent(share),
      counted ? `≥ ${percent(target)}: ${against(share, target, 'at least')}` : '',
      two ? time(two.best) : '',
      two ? times(scaling) : '',
      two && counted ? `≥ ${TWO_CORES} ×: ${against(scaling, TWO_CORES, 'at least')}` : ''
    ]
  })
  return {
    name: 'evaluations',
    title: 'Evaluations of the dynamics',
    columns: [
      'net',
      'what',
      'B',
      'one core, best',
      'median',
      'GFLOP/s',
      'of peak',
      'target',
      'two cores, best',
      'speed-up',
      'target'
    ],
    rows,
    notes: [
      `Peak: fused multiply-adds of one core, measured between the samples of each line: ${range(shown.map((row) => row.peak))} GFLOP/s.`,
      'FLOPs counted: 4Σ a row for (f, divergence) and 12Σ with gradients, Σ the entries of the weight matrices, ' +
        'whatever an engine saves. One Gaussian probe, tangent form. One core: CPU time; two cores: wall time.',
      'Measured at the engine interface by bench/native/engine_times.cc.',
      await throughBinding(context)
    ],
    data: engine
  }
}

/** The least and the most of some figures. */
function range(figures: number[]): string {
  return `${Math.min(...figures).toFixed(1)} to ${Math.max(...figures).toFixed(1)}`
}

/** Calls the same evaluation from JavaScript, to see what the binding adds. */
async function throughBinding({ binding, device, quick }: Context): Promise<string> {
  const problem = toyProblem('concat')
  const batch = 1024
  const { x, noise } = drawRows(problem, batch)
  return onOneCore(async () => {
    const flow = new binding.Flow(describe(problem), device, 0, 1)
    const { trace } = settings(1e-5)
    const call = {
      block: 0,
      times: new Float64Array([0.3]),
      steer: 0,
      batch,
      z: x,
      noise: givenNoise(noise),
      trace
    }
    const found = await measure(() => flow.velocity({ ...call, divergence: true }), quick ? 0.2 : 2, 5)
    flow.dispose()
    return `Through the binding, asynchronously, (f, div) of 2-64-64-64-2 concat at B = ${batch} takes ${time(found.best)}.`
  })
}
