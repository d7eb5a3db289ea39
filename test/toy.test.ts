import { type ToyName, toy, toyNames } from 'ffjord'
import { laws } from '../lib/data/toy-laws'
import { failure } from './failure'

const names = Object.keys(laws) as (keyof typeof laws)[]

test('the eight densities and the two curves are there', () => {
  expect(toyNames).toHaveLength(10)
  expect(names).toHaveLength(8)
})

/** Mean −log p of samples by their own density must be the entropy: sampler, density and entropy agree. */
test.each([...names, 'line', 'cos'] as ToyName[])(
  '%s: samples follow the density, and the entropy is theirs',
  (name) => {
    const data = toy(name, { seed: 5 })
    const count = name === '2spirals' ? 1000 : 4000
    const surprisal = data.logDensity(data.sample(count)).map((value) => -value)
    const mean = surprisal.reduce((sum, value) => sum + value, 0) / count
    const variance = surprisal.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1)
    expect(Math.abs(mean - data.entropy)).toBeLessThan(
      5 * Math.sqrt(variance / count) + data.entropyError + 1e-9
    )
  }
)

/** A density that were too large everywhere would pass the test above; its mass does not. */
test.each(names)('%s: the density integrates to one', (name) => {
  const { density } = laws[name]
  const h =
    { rings: 0.05, '2spirals': 0.15, pinwheel: 0.1, circles: 0.1, '8gaussians': 0.1 }[name as string] ?? 0.2
  let mass = 0
  for (let x = -6 + h / 2; x < 6; x += h)
    for (let y = -6 + h / 2; y < 6; y += h) mass += density(x, y) * h * h
  expect(Math.abs(mass - 1)).toBeLessThan(name === 'pinwheel' ? 0.01 : 1e-3)
})

test('densities vanish outside their support', () => {
  expect([
    ...toy('checkerboard').logDensity([
      [5, 0],
      [-4.1, 1]
    ])
  ]).toEqual([-Infinity, -Infinity])
  expect([...toy('line').logDensity([[2.6, 2.6]])]).toEqual([-Infinity])
})

test('every batch is fresh, and its place and seed decide it', async () => {
  const data = toy('pinwheel', { seed: 1 })
  const first = data.sample(100)
  const state = data.state()
  const second = data.sample(100)
  expect(second.data).not.toEqual(first.data)
  const again = toy('pinwheel', { seed: 1 })
  again.restore(state)
  expect(again.sample(100).data).toEqual(second.data)
  expect(toy('pinwheel', { seed: 2 }).sample(100).data).not.toEqual(first.data)
  // Rows do not depend on the size of the batches they come in.
  const halves = toy('pinwheel', { seed: 1 })
  expect([...halves.sample(50).data, ...halves.sample(50).data]).toEqual([...first.data])
  const feed = await toy('pinwheel', { seed: 1 }).peek(2, { size: 50, shuffle: true, seed: 0, drop: false })
  expect(feed.data).toEqual(first.data)
})

test('parts are streams of their own', () => {
  const [a, b] = toy('moons', { seed: 3 }).split([0.5, 0.5])
  const [c] = toy('moons', { seed: 3 }).split([0.5, 0.5])
  const drawn = a!.sample(20).data
  expect(b!.sample(20).data).not.toEqual(drawn)
  expect(c!.sample(20).data).toEqual(drawn)
})

test('the reference spreads a batch evenly over rings and angles', () => {
  const angles = (reference: boolean) => {
    const { data } = toy('rings', { seed: 2, reference }).sample(400)
    const outer: number[] = []
    for (let i = 0; i < data.length; i += 2)
      if (Math.hypot(data[i]!, data[i + 1]!) > 2.62) outer.push(Math.atan2(data[i + 1]!, data[i]!))
    outer.sort((a, b) => a - b)
    return { count: outer.length, gap: Math.max(...outer.slice(1).map((angle, i) => angle - outer[i]!)) }
  }
  const even = angles(true)
  expect(even.count).toBe(100)
  expect(even.gap).toBeLessThan((3 * 2 * Math.PI) / 100)
  expect(angles(false).gap).toBeGreaterThan((3 * 2 * Math.PI) / 100)
})

test('wrong calls are refused', async () => {
  const { message } = await failure(() => toy('pinweel' as 'pinwheel'), 'INVALID_OPTION')
  expect(message).toContain("did you mean 'pinwheel'?")
  await failure(() => toy('moons', { noise: 0.1 }), 'CONTRADICTORY_OPTIONS')
  await failure(() => toy('line', { noise: -1 }), 'INVALID_OPTION')
  await failure(() => toy('moons', { seeds: 1 } as object), 'UNKNOWN_OPTION')
  await failure(() => toy('moons').logDensity([[1, 2, 3]]), 'INVALID_SHAPE')
})
