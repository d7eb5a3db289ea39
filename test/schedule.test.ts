import type { Schedule } from 'ffjord'
import {
  afterValidation,
  initialScheduleState,
  normalizeSchedule,
  scheduleFactor
} from '../lib/training/schedule'
import { failure } from './failure'

function factors(schedule: Schedule, iterations: number): number[] {
  const normalized = normalizeSchedule(schedule)
  return Array.from({ length: iterations }, (_, i) =>
    scheduleFactor(normalized, i, iterations, initialScheduleState())
  )
}

test('warm-up is linear and reaches the whole rate', () => {
  expect(factors({ type: 'constant', warmup: 4 }, 6)).toEqual([0.25, 0.5, 0.75, 1, 1, 1])
})

test('steps fall every so often, or at given iterations', () => {
  expect(factors({ type: 'step', factor: 0.5, every: 2 }, 6)).toEqual([1, 1, 0.5, 0.5, 0.25, 0.25])
  expect(factors({ type: 'step', factor: 0.1, at: [1, 4] }, 5)).toEqual([1, 0.1, 0.1, 0.1, 0.1 ** 2])
})

test('a cosine falls from 1 to its final factor', () => {
  const values = factors({ type: 'cosine', final: 0.2 }, 100)
  expect(values[0]).toBe(1)
  expect(values[50]).toBeCloseTo(0.6, 12)
  expect(values[99]).toBeLessThan(0.201)
  expect(values.every((value, i) => i === 0 || value < values[i - 1]!)).toBe(true)
})

test('a plateau lowers the rate after validations without improvement, and remembers', () => {
  const plateau = normalizeSchedule({ type: 'plateau', factor: 0.1, patience: 2, least: 0.005 })
  let state = initialScheduleState()
  const seen = [3, 2, 2.5, 2.1, 1.9, 2, 2, 2, 2, 2].map((loss) => {
    state = afterValidation(plateau, state, loss)
    return scheduleFactor(plateau, 0, 1, state)
  })
  expect(seen.map((value) => Number(value.toPrecision(6)))).toEqual([
    1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.005, 0.005
  ])
  // Lowering the rate does not make an early end wait.
  expect(state.since).toBe(5)
})

test('wrong schedules are refused', async () => {
  await failure(() => normalizeSchedule({ type: 'cosin' }), 'INVALID_OPTION')
  await failure(() => normalizeSchedule({ type: 'cosine', finale: 1 }), 'UNKNOWN_OPTION')
  await failure(() => normalizeSchedule({ type: 'step', factor: 0.1 }), 'CONTRADICTORY_OPTIONS')
  await failure(
    () => normalizeSchedule({ type: 'step', factor: 0.1, every: 1, at: [] }),
    'CONTRADICTORY_OPTIONS'
  )
  await failure(() => normalizeSchedule({ type: 'constant', warmup: -1 }), 'INVALID_OPTION')
})
