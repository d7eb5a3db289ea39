import { Flow, toy } from 'ffjord'

import type { NativeFlowBurst, NativeFlowIteration, NativeNoise } from '../lib/native/interface'
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
  const evaluate = () => flow.logProbSync(call)
  const [synchronous] = await inTurn([evaluate], count) // alone, as the engine was measured
  const [between, empty, asynchronous] = await inTurn(
    [evaluate, () => flow.idle(), () => flow.logProb(call)],
    count
  )
  const above = synchronous!.median - native.median
  const asynchronousAbove = asynchronous!.median - between!.median
  const ratio = asynchronousAbove / empty!.median
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
        time(synchronous!.best),
        time(synchronous!.median),
        `${time(above)} above the engine`,
        `≤ 20 µs: ${against(above, SYNCHRONOUS_TARGET, 'at most')}`
      ],
      ['empty asynchronous round trip', time(empty!.best), time(empty!.median), '', ''],
      ['the synchronous call between those two', time(between!.best), time(between!.median), '', ''],
      [
        'log p of one row, asynchronous',
        time(asynchronous!.best),
        time(asynchronous!.median),
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
      'Wall times. The row: 2-64-64-64-2 concatsquash, dopri5 at 1e-5, untouched by other threads. The synchronous call is ' +
        'measured alone, as the engine is, and again in turn with the empty trip and the asynchronous call, which wake a thread.'
    ],
    data: { native, synchronous, between, empty, asynchronous, training }
  }
}

/** Times of the calls, one after the other in every round, so that they share the machine's moods. */
async function inTurn(calls: (() => unknown)[], rounds: number) {
  const seconds = calls.map((): number[] => [])
  for (let round = -rounds / 10; round < rounds; round++) {
    for (const [i, call] of calls.entries()) {
      const started = process.hrtime.bigint()
      const result = call()
      if (result instanceof Promise) await result
      const elapsed = Number(process.hrtime.bigint() - started) / 1e9
      if (round >= 0) seconds[i]!.push(elapsed)
    }
  }
  return seconds.map((wall) => ({ best: Math.min(...wall), median: median(wall) }))
}

/** Counts how often `fit` calls down, with the addon's Flow replaced by one that counts. */
async function trainingCrossings({ binding, quick }: Context) {
  const returned: number[] = []
  let iterations = 0
  class CountingFlow extends binding.Flow {
    override async train(burst: NativeFlowBurst): Promise<NativeFlowIteration[]> {
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
