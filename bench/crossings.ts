import { Flow, toy } from 'ffjord'

import type { NativeBurst, NativeIteration, NativeNoise } from '../lib/native'
import { median } from './clock'
import type { Context } from './context'
import type { EngineTime } from './evaluations'
import { describe, settings, toyProblem, writeWeights } from './problem'
import { against, type Section, time, times } from './table'

const SYNCHRONOUS_TARGET = 20e-6
const ASYNCHRONOUS_TARGET = 1.3
const CROSSING_TARGET = 0.01

/** What a call costs above the work it does, and how often training comes up into JavaScript. */
export async function crossings(context: Context, engine: EngineTime[]): Promise<Section> {
  const { binding, device, quick } = context
  const problem = toyProblem('concatsquash')
  const flow = new binding.Flow(describe(problem), device, 0, 1)
  writeWeights(flow, problem)
  const noise: NativeNoise = { seed: 0, call: 0, rowOffset: 0, given: [new Float32Array([1, -1])] }
  const call = { batch: 1, rows: new Float32Array([0.3, -0.7]), noise, settings: settings(1e-5) }

  const count = quick ? 1000 : 10000
  const native = engine.find((row) => row.task === 'one row')!
  const [synchronous, empty, asynchronous] = await inTurn(
    [() => flow.logProbSync(call), () => flow.idle(), () => flow.logProb(call)],
    count
  )
  const above = synchronous.median - native.median
  const asynchronousAbove = asynchronous.median - synchronous.median
  const ratio = asynchronousAbove / empty.median
  const training = await trainingCrossings(context)
  flow.dispose()

  return {
    name: 'crossings',
    title: 'Crossings of the binding',
    columns: ['what', 'best', 'median', 'above', 'target'],
    rows: [
      ['log p of one row, engine alone', time(native.best), time(native.median), '', ''],
      [
        'log p of one row, synchronous',
        time(synchronous.best),
        time(synchronous.median),
        `${time(above)} above the engine`,
        `≤ 20 µs: ${against(above, SYNCHRONOUS_TARGET, 'at most')}`
      ],
      ['empty asynchronous round trip', time(empty.best), time(empty.median), '', ''],
      [
        'log p of one row, asynchronous',
        time(asynchronous.best),
        time(asynchronous.median),
        `${time(asynchronousAbove)} above the synchronous = ${times(ratio)} empty`,
        `≤ ${ASYNCHRONOUS_TARGET} ×: ${against(ratio, ASYNCHRONOUS_TARGET, 'at most')}`
      ],
      [
        'training: between crossings',
        time(training.shortest),
        time(training.median),
        `${training.iterations} iterations in ${training.bursts} crossings`,
        `≥ 10 ms: ${against(training.median, CROSSING_TARGET, 'at least')}`
      ]
    ],
    notes: [
      'Wall times, the three calls in turn. The row: 2-64-64-64-2 concatsquash, dopri5 at 1e-5, untouched by other threads.'
    ],
    data: { native, synchronous, empty, asynchronous, training }
  }
}

/** Times of the calls, one after the other in every round, so that they share the machine's moods. */
async function inTurn(calls: [() => unknown, () => unknown, () => unknown], rounds: number) {
  const timing = async (call: () => unknown) => {
    const started = process.hrtime.bigint()
    const result = call()
    if (result instanceof Promise) await result
    return Number(process.hrtime.bigint() - started) / 1e9
  }
  const [first, second, third]: [number[], number[], number[]] = [[], [], []]
  for (let round = -rounds / 10; round < rounds; round++) {
    const seconds = [await timing(calls[0]), await timing(calls[1]), await timing(calls[2])] as const
    if (round < 0) continue
    first.push(seconds[0])
    second.push(seconds[1])
    third.push(seconds[2])
  }
  const summary = (wall: number[]) => ({ best: Math.min(...wall), median: median(wall) })
  return [summary(first), summary(second), summary(third)] as const
}

/** Counts how often `fit` calls down, with the addon's Flow replaced by one that counts. */
async function trainingCrossings({ binding, quick }: Context) {
  const returned: number[] = []
  let iterations = 0
  class CountingFlow extends binding.Flow {
    override async train(burst: NativeBurst): Promise<NativeIteration[]> {
      const records = await super.train(burst)
      returned.push(performance.now())
      iterations += records.length
      return records
    }
  }
  const original = binding.Flow
  binding.Flow = CountingFlow
  try {
    const flow = await Flow.create({
      shape: [2],
      blocks: [{ type: 'cnf', net: { hidden: [16] } }],
      threads: 1
    })
    await flow.fit(toy('moons', { seed: 0 }), {
      optimizer: { type: 'adam', lr: 1e-3 },
      iterations: quick ? 1000 : 20000,
      batch: 64
    })
    flow.dispose()
  } finally {
    binding.Flow = original
  }
  const between = returned.slice(1).map((at, i) => (at - returned[i]!) / 1000)
  return { iterations, bursts: returned.length, median: median(between), shortest: Math.min(...between) }
}
