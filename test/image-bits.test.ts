import { Flow, fromImages, imageBaselines, type ScoringProgress } from 'ffjord'
import { failure } from './failure'

/** Images whose levels are always the same: smooth bumps of different heights. */
function bumps(count: number, side: number, seed = 1) {
  let state = seed
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  const levels = new Uint8Array(count * side * side)
  for (let image = 0; image < count; image++) {
    const [height, x, y] = [60 + 180 * uniform(), side * uniform(), side * uniform()]
    for (let i = 0; i < side * side; i++) {
      const distance = ((i % side) - x) ** 2 + (Math.floor(i / side) - y) ** 2
      levels[image * side * side + i] = height * Math.exp(-distance / 8) + 10 * uniform()
    }
  }
  return fromImages(levels, { shape: [1, side, side] })
}

describe('plain densities of images', () => {
  test('independent pixels have the shares of their levels, those never seen a little', async () => {
    const train = fromImages(Uint8Array.of(0, 9, 0, 9, 0, 7, 5, 200), { shape: [1, 1, 2] })
    const test = fromImages(Uint8Array.of(0, 9, 1, 9), { shape: [1, 1, 2] })
    const { bitsPerDim } = (await imageBaselines(train, test, { ridge: 1 }))[0]!
    const share = (count: number) => Math.log2((count + 1) / (4 + 256))
    expect(bitsPerDim).toBeCloseTo(-(share(3) + share(2) + share(0) + share(2)) / 4, 10)
  })

  test('of one pixel, the levels of a Gaussian have probabilities that sum to less than 1, and not by much', async () => {
    const train = fromImages(
      Uint8Array.from({ length: 4000 }, (_, i) => 128 + 60 * Math.sin(i) * Math.cos(0.7 * i)),
      { shape: [1, 1, 1] }
    )
    let sum = 0
    for (let level = 0; level < 256; level += 1) {
      const test = fromImages(new Uint8Array(20).fill(level), { shape: [1, 1, 1] })
      const found = await imageBaselines(train, test, { rows: 1000, ridge: 0 })
      sum += 2 ** -found[1]!.bitsPerDim
      // Of one pixel the two Gaussians are one.
      expect(found[2]!.bitsPerDim).toBeCloseTo(found[1]!.bitsPerDim, 8)
    }
    expect(sum).toBeLessThan(1)
    expect(sum).toBeGreaterThan(0.97)
  })

  test('a flow with the moments of the logit and no dynamics has the bits of the Gaussian', async () => {
    const [train, test] = [bumps(300, 4), bumps(50, 4, 5)]
    const [, diagonal, full] = await imageBaselines(train, test, { alpha: 0.01 })
    const rows = (await train.dequantize('uniform').draw(0).take(300)).data
    const mean = new Float64Array(16)
    const squares = new Float64Array(16)
    const logit = Float64Array.from(rows, (x) => {
      const s = 0.01 + 0.98 * x
      return Math.log(s / (1 - s))
    })
    logit.forEach((value, at) => {
      mean[at % 16]! += value / 300
    })
    logit.forEach((value, at) => {
      squares[at % 16]! += (value - mean[at % 16]!) ** 2 / 300
    })
    using flow = await Flow.create({
      shape: [1, 4, 4],
      blocks: [
        { type: 'logit', alpha: 0.01 },
        { type: 'standardize', mean: [...mean], scale: [...squares].map(Math.sqrt) }
      ],
      device: 'reference'
    })
    const found = await flow.bitsPerDim(test)
    expect(found.bitsPerDim).toBeCloseTo(diagonal!.bitsPerDim, 6)
    expect(found.standardError).toBeCloseTo(diagonal!.standardError, 6)
    // Pixels of bumps depend on each other.
    expect(full!.bitsPerDim).toBeLessThan(diagonal!.bitsPerDim)
    const { bitsPerDim, nll } = await flow.evaluate(test.draw(0))
    expect(bitsPerDim).toBeCloseTo(found.bitsPerDim, 6)
    expect(bitsPerDim).toBeCloseTo((nll / 16 + Math.log(256)) / Math.LN2, 10)
  })
})

describe('bits per dimension of a flow', () => {
  const images = bumps(12, 4, 9)

  test('several draws give their mean, and the logarithm of the mean density as a tighter bound', async () => {
    using flow = await Flow.create({
      shape: [1, 4, 4],
      blocks: [
        { type: 'logit', alpha: 0.05 },
        { type: 'cnf', time: 0.3, net: { hidden: [3], strides: [1, 1], activation: 'softplus' } }
      ],
      trace: { noise: 'rademacher', probes: 1 },
      solver: { rtol: 1e-4, atol: 1e-4 },
      device: 'reference',
      seed: 2
    })
    const found = await flow.bitsPerDim(images, { draws: 3, certify: 12, centre: true })
    const { bitsPerDim, standardError, bound, centre, errors, logProb, rows } = found
    expect([rows, logProb.length]).toEqual([12, 36])
    let [mean, tighter] = [0, 0]
    for (let row = 0; row < 12; row++) {
      const draws = [0, 1, 2].map((draw) => logProb[12 * draw + row]!)
      mean += draws.reduce((sum, one) => sum + one, 0) / 36
      tighter += Math.log(draws.reduce((sum, one) => sum + Math.exp(one), 0) / 3) / 12
    }
    const bits = (nats: number) => 8 - nats / 16 / Math.LN2
    expect(bitsPerDim).toBeCloseTo(bits(mean), 10)
    expect(bound!.bitsPerDim).toBeCloseTo(bits(tighter), 10)
    expect(bound!.bitsPerDim).toBeLessThan(bitsPerDim)
    expect(standardError).toBeGreaterThan(0)
    for (const error of [errors.draws, errors.probes, errors.solver]) expect(error).toBeGreaterThan(0)
    const inCentre = await flow.evaluate(images.dequantize('centre'))
    expect(centre!.bitsPerDim).toBeCloseTo(inCentre.bitsPerDim!, 10)
  }, 60_000)

  test('a caller is told how far it is, over all draws', async () => {
    using flow = await Flow.create({ shape: [1, 4, 4], blocks: [{ type: 'zero_mean' }], device: 'reference' })
    const told: ScoringProgress[] = []
    const onProgress = (progress: ScoringProgress) => void told.push(progress)
    await flow.bitsPerDim(images, { draws: 2, centre: true, certify: 1, rows: 10, batch: 6, onProgress })
    expect(told.map(({ scored }) => scored)).toEqual([0, 6, 6, 10, 10, 16, 20, 20, 26, 30])
    expect(told.filter(({ next }) => next === 'errors')).toEqual([{ scored: 6, total: 30, next: 'errors' }])
    expect(told.every(({ total }) => total === 30)).toBe(true)
    told.length = 0
    await flow.evaluate(images.draw(0), { rows: 100, batch: 8, onProgress })
    expect(told.map(({ scored, total }) => [scored, total])).toEqual([
      [0, 12],
      [8, 12],
      [12, 12]
    ])
    await failure(() => flow.bitsPerDim(images, { onProgress: 3 as never }), 'INVALID_OPTION')
  })

  test('rows are no images, and no draws no score', async () => {
    using flow = await Flow.create({ shape: [1, 4, 4], blocks: [{ type: 'zero_mean' }], device: 'reference' })
    const rows = new Float32Array(16) as never
    await failure(() => flow.bitsPerDim(rows), 'INVALID_INPUT')
    await failure(() => flow.bitsPerDim(images, { draws: 0 }), 'INVALID_OPTION')
    await failure(() => imageBaselines(images, bumps(2, 5)), 'INVALID_SHAPE')
    await failure(() => imageBaselines(images, images, { alpha: 0.5 }), 'INVALID_OPTION')
  })
})
