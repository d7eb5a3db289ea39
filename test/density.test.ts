import { baselines, fitGaussian, fitMixture, fitMixtureAsync, fromArray } from 'ffjord'
import { RowRandom } from '../lib/data/random'
import { failure } from './failure'

/** Correlated normal rows around `centre`. */
function normal(count: number, centre: number[], seed: number): Float64Array {
  const random = new RowRandom(seed)
  const data = new Float64Array(count * 2)
  for (let row = 0; row < count; row++) {
    random.seek(row)
    const [u, v] = [random.normal(), random.normal()]
    data[2 * row] = centre[0]! + 2 * u
    data[2 * row + 1] = centre[1]! - 0.6 * u + 0.5 * v
  }
  return data
}

/** log N(x; centre, A Aᵀ), A = [[2, 0], [−0.6, 0.5]], by hand. */
function truth(x: number, y: number, centre: number[]): number {
  const u = (x - centre[0]!) / 2
  const v = (y - centre[1]! + 0.6 * u) / 0.5
  return -Math.log(2 * Math.PI) - 0.5 * (u * u + v * v) - Math.log(2 * 0.5)
}

test('the Gaussian of many rows is the law they came from', () => {
  const data = normal(200_000, [1, -3], 1)
  const gaussian = fitGaussian({ data, shape: [200_000, 2] })
  expect(gaussian.mean[0]).toBeCloseTo(1, 1)
  for (const [x, y] of [
    [1, -3],
    [4, -4],
    [-2, -1]
  ] as const)
    expect(gaussian.logProb([[x, y]])[0]).toBeCloseTo(truth(x, y, [1, -3]), 1)
})

test('its log-density by hand', () => {
  const rows = [
    [1, 0],
    [-1, 0],
    [0, 2],
    [0, -2]
  ]
  // Mean 0, covariance diag(1/2, 2).
  const [at] = fitGaussian(rows).logProb([[1, 1]])
  expect(at).toBeCloseTo(-Math.log(2 * Math.PI) - 0.5 * Math.log(1) - 0.5 * (1 / 0.5 + 1 / 2), 12)
})

test('a mixture finds two groups of rows', () => {
  const [a, b] = [normal(20_000, [8, 0], 1), normal(10_000, [-8, 5], 2)]
  const data = Float64Array.of(...a, ...b)
  const mixture = fitMixture({ data, shape: [30_000, 2] }, { components: 2, seed: 1 })
  expect([...mixture.weights].sort()[1]).toBeCloseTo(2 / 3, 2)
  const expected = Math.log(
    (2 / 3) * Math.exp(truth(8, 0, [8, 0])) + (1 / 3) * Math.exp(truth(8, 0, [-8, 5]))
  )
  expect(mixture.logProb([[8, 0]])[0]).toBeCloseTo(expected, 1)
  // It integrates to 1.
  let mass = 0
  const h = 0.25
  for (let x = -24; x < 24; x += h) {
    const points = Array.from({ length: 120 }, (_, i) => [x + h / 2, -15 + (i + 0.5) * h])
    for (const value of mixture.logProb(points)) mass += Math.exp(value) * h * h
  }
  expect(mass).toBeCloseTo(1, 3)
})

test('one component is the Gaussian, and more never fit worse', () => {
  const data = normal(2000, [0, 0], 3)
  const rows = { data, shape: [2000, 2] }
  const mean = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0) / values.length
  const gaussian = mean(fitGaussian(rows).logProb(rows))
  expect(mean(fitMixture(rows, { components: 1, shrinkage: 0 }).logProb(rows))).toBeCloseTo(gaussian, 9)
  expect(mean(fitMixture(rows, { components: 5 }).logProb(rows))).toBeGreaterThan(gaussian)
  expect(fitMixture(rows, { components: 3, seed: 4 }).weights).toEqual(
    fitMixture(rows, { components: 3, seed: 4 }).weights
  )
})

describe('a mixture fitted piece by piece', () => {
  const data = normal(15_000, [0, 0], 5)
  const rows = { data, shape: [5000, 6] }
  const options = { components: 4, rounds: 6, tolerance: 0, seed: 3 }

  test('is that of one piece, and tells of every round', async () => {
    const rounds: number[] = []
    const logProb: number[] = []
    const found = await fitMixtureAsync(rows, {
      ...options,
      onProgress: (progress) => {
        rounds.push(progress.round)
        logProb.push(progress.logProb)
        expect(progress.rounds).toBe(6)
      }
    })
    const expected = fitMixture(rows, options)
    expect(found.weights).toEqual(expected.weights)
    expect(found.logProb(rows)).toEqual(expected.logProb(rows))
    expect(rounds).toEqual([1, 2, 3, 4, 5, 6])
    // Expectation maximisation never loses likelihood but for the shrinkage.
    expect(logProb[5]!).toBeGreaterThan(logProb[0]!)
    const mean = expected.logProb(rows).reduce((sum, value) => sum + value, 0) / 5000
    expect(mean).toBeGreaterThan(logProb[5]! - 1e-3)
  })

  test('leaves time to others', async () => {
    let ticks = 0
    let over = false
    const timer = setInterval(() => {
      ticks++
    }, 1)
    const work = fitMixtureAsync(rows, { ...options, rounds: 40 }).then(() => {
      over = true
    })
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(over).toBe(false)
    await work
    clearInterval(timer)
    expect(ticks).toBeGreaterThan(3)
  })

  test.each([
    ['alone', (signal: AbortSignal) => fitMixtureAsync(rows, { ...options, rounds: 10_000, signal })],
    [
      'among the baselines',
      (signal: AbortSignal) => {
        const part = () => fromArray(data, { shape: [6] })
        return baselines(part(), part(), { signal })
      }
    ]
  ])('ends with its signal, %s', async (_, start) => {
    const aborted = new AbortController()
    aborted.abort()
    await failure(() => start(aborted.signal), 'CANCELLED')
    const controller = new AbortController()
    setTimeout(() => controller.abort(), 20)
    await failure(() => start(controller.signal), 'CANCELLED')
  })

  test('ends where nobody can be told', async () => {
    await failure(() => fitMixtureAsync(rows, { onProgress: 3 as never }), 'INVALID_OPTION')
    await expect(
      fitMixtureAsync(rows, {
        onProgress: () => {
          throw new Error('from the caller')
        }
      })
    ).rejects.toThrow('from the caller')
  })
})

test('columns that depend on each other have no density', async () => {
  const { message } = await failure(
    () =>
      fitGaussian(
        [
          [1, 2],
          [2, 4],
          [3, 6],
          [5, 10]
        ],
        ['a', 'twice']
      ),
    'INVALID_INPUT'
  )
  expect(message).toContain('twice')
})

test('baselines are in the units of the rows, also of bounded columns', async () => {
  const rows = (seed: number) => fromArray(normal(5000, [0, 0], seed), { shape: [2] })
  const [gaussian, mixture] = await baselines(rows(1), rows(2))
  expect(gaussian!.nll).toBeCloseTo(Math.log(2 * Math.PI) + 1 + Math.log(2 * 0.5), 1)
  expect(Math.abs(mixture!.nll - gaussian!.nll)).toBeLessThan(0.1)
  // A log-normal: NLL = that of the normal plus the mean of log x, which is 0.
  const positive = (seed: number) => fromArray(normal(5000, [0, 0], seed).map(Math.exp), { shape: [2] })
  const support = { lower: [0, 0], upper: [null, null] }
  const [logNormal] = await baselines(positive(1), positive(2), { support })
  expect(logNormal!.nll).toBeCloseTo(gaussian!.nll, 0)
})

test('baselines of rows with a context are conditional densities', async () => {
  const random = new RowRandom(7)
  const draw = (seed: number, count = 4000) => {
    random.seek(seed * 100_000)
    const context = new Float64Array(count * 3)
    const x = new Float64Array(count)
    for (let row = 0; row < count; row++) {
      // A number, and a category of two levels, whose second follows from the first.
      const [number, level] = [random.normal(), random.uniform() < 0.3 ? 1 : 0]
      context.set([number, level, 1 - level], 3 * row)
      x[row] = 2 * number - 3 * level + 0.5 * random.normal()
    }
    return fromArray(x, { shape: [1], context, contextColumns: ['number', 'level=a', 'level=b'] })
  }
  const [gaussian, mixture] = await baselines(draw(1), draw(2))
  const entropy = 0.5 * Math.log(2 * Math.PI * Math.E * 0.25)
  for (const { nll, standardError } of [gaussian!, mixture!])
    expect(Math.abs(nll - entropy)).toBeLessThan(4 * standardError + 0.02)
})
