import type { NativeFlow, NativeFlowBurst, NativeSettings } from '../lib/native/interface'
import type { Context } from './context'
import { adam, describe, drawRows, givenNoise, settings, toyProblem, writeWeights } from './problem'
import { resetPeak, resident, residentPeak } from './resident'
import { against, type Section } from './table'

const MEBI = 2 ** 20
/** Less than this is the allocator, not a leak. */
const NOISE = 4 * MEBI

/** Memory of long training and of long solves. */
export async function memory(context: Context): Promise<Section> {
  const training = await growthOverTraining(context)
  const solves = []
  for (const method of ['adjoint', 'checkpoint'] as const)
    for (const steps of [20, 200, 2000])
      solves.push({ method, steps, peak: await peakOfGradient(context, method, steps) })
  const growth = solves[2]!.peak - solves[0]!.peak
  return {
    name: 'memory',
    title: 'Memory',
    columns: ['what', 'MiB', 'target'],
    rows: [
      [
        `resident memory gained between iterations ${training.from} and ${training.to} of training`,
        (training.growth / MEBI).toFixed(2),
        `none that grows (< ${NOISE / MEBI}): ${against(training.growth, NOISE, 'at most')}`
      ],
      ...solves.map(({ method, steps, peak }) => [
        `peak of a gradient, ${method}, rk4 with ${steps} steps, B = 1024`,
        (peak / MEBI).toFixed(2),
        method === 'adjoint' && steps === 2000
          ? `none that grows with steps (< ${NOISE / MEBI}): ${against(growth, NOISE, 'at most')}`
          : ''
      ])
    ],
    notes: [
      'Resident memory as the system counts it. Peaks are above what was resident before the call; checkpoint keeps one ' +
        'state a step, (B, 2) floats.'
    ],
    data: { training, solves }
  }
}

async function growthOverTraining({ binding, quick, device }: Context) {
  const net = {
    hidden: [8],
    layer: 'concat',
    activation: 'tanh',
    residual: false,
    strides: [],
    parallel: 1,
    zeroLast: false,
    spectralNorm: 0
  }
  const blocks = [{ type: 'cnf' as const, time: 0.5, trainTime: true, net }]
  const flow = new binding.Flow({ shape: [2], blocks }, device, 0, 0)
  const rows = flow.upload(64, drawRows(toyProblem('concat'), 64).x)
  const to = quick ? 2000 : 10000
  const from = to / 10
  await train(flow, rows, from)
  const before = resident()
  await train(flow, rows, to - from)
  const growth = resident() - before
  rows.release()
  flow.dispose()
  return { from, to, growth }
}

async function train(flow: NativeFlow, rows: NativeFlowBurst['rows'], iterations: number): Promise<void> {
  const perBurst = 100
  const indices = Uint32Array.from({ length: 32 * perBurst }, (_, i) => (i * 7) % 64)
  for (let done = 0; done < iterations; done += perBurst) {
    await flow.train({
      objective: 'ml',
      coupling: 'independent',
      parts: 1,
      rows,
      indices,
      batchSizes: new Uint32Array(perBurst).fill(32),
      learningRates: new Float64Array(perBurst).fill(1e-4),
      settings: settings(1e-3),
      optimizer: { ...adam, learningRate: 1e-4, step: done + 1 },
      noiseSeed: 0,
      firstCall: done,
      seconds: 60,
      skipFailures: false
    })
  }
}

/** Bytes above what was resident before, at the highest point of a loss and its gradient. */
async function peakOfGradient(
  { binding, device }: Context,
  method: 'adjoint' | 'checkpoint',
  steps: number
): Promise<number> {
  const problem = toyProblem('concat')
  const batch = 1024
  const { x, noise } = drawRows(problem, batch)
  const flow = new binding.Flow(describe(problem), device, 0, 0)
  writeWeights(flow, problem)
  const solver: NativeSettings['solver'] = { ...settings(1e-5).solver, method: 'rk4', steps }
  const call = {
    batch,
    rows: x,
    noise: givenNoise(noise),
    settings: { ...settings(1e-5), solver, gradient: { method, norm: 'seminorm' as const } },
    inputGradient: false
  }
  await flow.loss({ ...call, settings: { ...call.settings, solver: { ...solver, steps: 2 } } })
  const before = resident()
  resetPeak()
  await flow.loss(call)
  const peak = residentPeak() - before
  flow.dispose()
  return peak
}
