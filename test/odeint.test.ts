import { type FfjordError, odeint } from '../lib'

const oscillator = (_t: number, y: Float64Array) => [y[1]!, -y[0]!]

test('solves the oscillator to its tolerance, forward and backward in time', () => {
  const { y, t, statistics } = odeint(oscillator, [1, 0], [0, 1, 2.5], { rtol: 1e-10, atol: 1e-10 })
  expect(t).toEqual(Float64Array.of(0, 1, 2.5))
  for (const [i, time] of t.entries()) {
    expect(y[i]![0]).toBeCloseTo(Math.cos(time), 8)
    expect(y[i]![1]).toBeCloseTo(-Math.sin(time), 8)
  }
  expect(statistics.nfe).toBeGreaterThan(20)
  const back = odeint(oscillator, y[2]!, [2.5, 0], { method: 'tsit5', rtol: 1e-10, atol: 1e-10 })
  expect(back.y[1]![0]).toBeCloseTo(1, 8)
})

test.each([
  ['euler', 1],
  ['midpoint', 2],
  ['heun3', 3],
  ['rk4', 4],
  ['rk4_classic', 4]
] as const)('%s converges with order %d', (method, order) => {
  const error = (steps: number) =>
    Math.abs(odeint(oscillator, [1, 0], [0, 1], { method, steps }).y[1]![0]! - Math.cos(1))
  expect(Math.log2(error(20) / error(40))).toBeCloseTo(order, 0)
})

const adaptive = ['dopri5', 'tsit5', 'bosh3', 'dopri8', 'adaptive_heun', 'fehlberg2'] as const
const forth = Array.from({ length: 201 }, (_, i) => i / 20)

test.each(adaptive)('%s: more times cost no evaluations, forth and back', (method) => {
  const tolerance = method.endsWith('2') || method === 'adaptive_heun' ? 1e-6 : 1e-8
  for (const times of [forth, [...forth].reverse()]) {
    const options = { method, rtol: tolerance, atol: tolerance }
    const [from, to] = [times[0]!, times[200]!]
    const y0 = [Math.cos(from), -Math.sin(from)]
    const few = odeint(oscillator, y0, [from, to], options)
    const { y, statistics } = odeint(oscillator, y0, times, options)
    // Methods without a stage at the end of a step need f there for the last step alone.
    expect(statistics.nfe - few.statistics.nfe).toBeLessThanOrEqual(1)
    expect(y[200]).toEqual(few.y[1])
    const errors = y.map((state, i) => Math.abs(state[0]! - Math.cos(times[i]!)))
    expect(Math.max(...errors)).toBeLessThan(1e3 * tolerance)
  }
})

test('one time is the start, and f is not called', () => {
  const f = jest.fn()
  const { y, statistics } = odeint(f, [1, 2], [0])
  expect(y).toEqual([Float64Array.of(1, 2)])
  expect(statistics.nfe).toBe(0)
  expect(f).not.toHaveBeenCalled()
})

test('torchdiffeq counts: two evaluations and six an attempt', () => {
  const { statistics } = odeint(oscillator, [1, 0], [0, 3], {
    controller: 'torchdiffeq',
    rtol: 1e-6,
    atol: 1e-6
  })
  expect(statistics.nfe).toBe(2 + 6 * (statistics.accepted + statistics.rejected))
})

test('f is never called outside the interval', () => {
  const times: number[] = []
  odeint(
    (time) => {
      times.push(time)
      return [Math.sin(5 * time)]
    },
    [0],
    [0, 1]
  )
  expect(Math.min(...times)).toBe(0)
  expect(Math.max(...times)).toBe(1)
})

test('what f throws comes back as it is, and a blow-up names its time', () => {
  const mine = new Error('mine')
  expect(() =>
    odeint(
      () => {
        throw mine
      },
      [0],
      [0, 1]
    )
  ).toThrow(mine)
  try {
    odeint((_t, y) => [y[0]! ** 2], [1], [0, 2])
    throw new Error('it went on past the pole at t = 1')
  } catch (error) {
    expect((error as FfjordError).code).toBe('SOLVE_FAILED')
    expect((error as FfjordError).failure!.t).toBeCloseTo(1, 2)
  }
})

test.each([
  [() => odeint(oscillator, [1, Number.NaN], [0, 1]), 'NOT_FINITE'],
  [() => odeint(oscillator, [], [0, 1]), 'INVALID_INPUT'],
  [() => odeint(oscillator, [1, 0], [0, 1, 0.5]), 'INVALID_OPTION'],
  [() => odeint(() => [1], [1, 0], [0, 1]), 'INVALID_SHAPE'],
  [() => odeint(oscillator, [1, 0], [0, 1], { method: 'rk4' } as never), 'INVALID_OPTION'],
  [() => odeint(oscillator, [1, 0], [0, 1], { control: 'sample' } as never), 'UNKNOWN_OPTION']
])('a wrong call %# is refused with a code', (call, code) => {
  expect(call).toThrow(expect.objectContaining({ code }))
})
