import { Flow, fromImages, type LevelNoise } from 'ffjord'
import { normalCdf } from '../lib/data/special'

const inside = 2 * normalCdf(3) - 1
/** P(u' ≤ u) of u' = ½ + ε / 6, ε normal on (−3, 3). */
const cumulative = (u: number) => (normalCdf(6 * (u - 0.5)) - normalCdf(-3)) / inside
/** Of quadratures. */
const points = 10_000
const logDensity = (u: number) => Math.log(6 / Math.sqrt(2 * Math.PI) / inside) - (6 * (u - 0.5)) ** 2 / 2

test('truncated-normal noise has its law: its cumulative probabilities are uniform', async () => {
  const count = 20_000
  const images = fromImages(new Uint8Array(count).fill(100), {
    shape: [1, 1, 1],
    dequantize: 'truncated-normal'
  })
  const { data } = await images.take(count)
  const found = Array.from(data, (x) => cumulative(256 * x - 100)).sort((a, b) => a - b)
  const gap = Math.max(...found.map((value, i) => Math.abs(value - (i + 0.5) / count)))
  // Kolmogorov and Smirnov's bound, which one law in a thousand exceeds.
  expect(gap).toBeLessThan(1.95 / Math.sqrt(count))
  const own = images.logNoise(count)
  for (let i = 0; i < 100; i++) expect(own[i]).toBeCloseTo(logDensity(256 * data[i]! - 100), 9)
})

test('noise that is uniform, or none, has density 1', () => {
  for (const dequantize of ['uniform', 'centre', 'none'] as const)
    expect([...fromImages(Uint8Array.of(3, 4), { shape: [1, 1, 2], dequantize }).logNoise(1)]).toEqual([0])
})

describe('of a Gaussian, whose levels have known probabilities', () => {
  const deviation = 1.5 / 256
  const mean = 100 / 256
  const shape = [1, 1, 2]
  const levels = Uint8Array.of(100, 101, 98, 103, 99, 99)
  const images = fromImages(levels, { shape })
  const probability = (level: number) => {
    const upTo = (x: number) => normalCdf((x - mean) / deviation)
    return upTo((level + 1) / 256) - upTo(level / 256)
  }
  const exact = [0, 1, 2].map(
    (row) => Math.log(probability(levels[2 * row]!)) + Math.log(probability(levels[2 * row + 1]!))
  )
  const flow = () =>
    Flow.create({
      shape,
      blocks: [{ type: 'standardize', mean: [mean, mean], scale: [deviation, deviation] }],
      device: 'reference'
    })

  test.each(['uniform', 'truncated-normal'] as LevelNoise[])(
    'with %s noise the mean of densities is the probability, and the mean of logarithms a bound',
    async (dequantize) => {
      using gaussian = await flow()
      const draws = 4000
      const { logProb, bitsPerDim, bound, errors } = await gaussian.bitsPerDim(images, { draws, dequantize })
      const scaled = 2 * Math.log(256)
      exact.forEach((value, row) => {
        const shares = Array.from({ length: draws }, (_, draw) =>
          Math.exp(logProb[3 * draw + row]! - scaled - value)
        )
        const sum = shares.reduce((a, b) => a + b, 0) / draws
        const variance = shares.reduce((a, b) => a + (b - sum) ** 2, 0) / draws
        expect(Math.abs(sum - 1)).toBeLessThan(5 * Math.sqrt(variance / draws))
      })
      // Σ ∫ q(u) log (p / q) du by quadrature, which lies below the logarithm of the probability.
      const expected = [0, 1, 2].map((row) => {
        let sum = 0
        for (const level of [levels[2 * row]!, levels[2 * row + 1]!])
          for (let i = 0; i < points; i++) {
            const u = (i + 0.5) / points
            const logQ = dequantize === 'uniform' ? 0 : logDensity(u)
            const z = ((level + u) / 256 - mean) / deviation
            const logP = -(z * z) / 2 - Math.log(2 * Math.PI) / 2 - Math.log(deviation) - Math.log(256)
            sum += (Math.exp(logQ) * (logP - logQ)) / points
          }
        return sum
      })
      const found = -expected.reduce((a, b) => a + b, 0) / 6 / Math.LN2
      const exactBits = -exact.reduce((a, b) => a + b, 0) / 6 / Math.LN2
      expect(Math.abs(bitsPerDim - found)).toBeLessThan((5 * errors.draws!) / Math.sqrt(3 * draws))
      expect(found).toBeGreaterThan(exactBits)
      expect(bound!.bitsPerDim).toBeLessThan(bitsPerDim)
    }
  )

  test('the noise of the images is used where none is named, and evaluate takes its mean from the bits', async () => {
    using gaussian = await flow()
    const normal = fromImages(levels, { shape, dequantize: 'truncated-normal' })
    const found = await gaussian.bitsPerDim(normal, { draws: 2 })
    expect(found.dequantize).toBe('truncated-normal')
    expect(found.bitsPerDim).toBe(
      (await gaussian.bitsPerDim(images, { draws: 2, dequantize: 'truncated-normal' })).bitsPerDim
    )
    expect((await gaussian.bitsPerDim(normal.dequantize('centre'))).dequantize).toBe('uniform')
    const many = fromImages(new Uint8Array(20_000).fill(100), { shape, dequantize: 'truncated-normal' })
    const { bitsPerDim, nll } = await gaussian.evaluate(many.draw(0))
    const byDraws = await gaussian.bitsPerDim(many)
    expect(Math.abs(bitsPerDim! - byDraws.bitsPerDim)).toBeLessThan(5 * (2 / 10_000) ** 0.5)
    // E[log q] by quadrature.
    let meanLog = 0
    for (let i = 0; i < points; i++) {
      const u = (i + 0.5) / points
      meanLog += (Math.exp(logDensity(u)) * logDensity(u)) / points
    }
    expect(bitsPerDim).toBeCloseTo((nll / 2 + Math.log(256) + meanLog) / Math.LN2, 6)
  })

  test('a density that is the noise itself is known by one draw', async () => {
    // In units of a level 1 / 6, cut at three deviations; the flow's is not cut, by as much as lies outside.
    const own = 1 / 6 / 256
    using narrow = await Flow.create({
      shape: [1, 1, 1],
      blocks: [{ type: 'standardize', mean: [100.5 / 256], scale: [own] }],
      device: 'reference'
    })
    const one = fromImages(Uint8Array.of(100), { shape: [1, 1, 1] })
    const found = await narrow.bitsPerDim(one, { draws: 50, dequantize: 'truncated-normal' })
    expect(found.errors.draws).toBeLessThan(1e-9)
    expect(found.bitsPerDim).toBeCloseTo(-Math.log2(inside), 9)
    expect((await narrow.bitsPerDim(one, { draws: 50 })).bitsPerDim).toBeGreaterThan(0.5)
  })
})
