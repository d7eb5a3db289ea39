import { toy } from 'ffjord'
import { CouplingFlow, type CouplingOptions } from '../bench/baselines/coupling-flow'
import { RowRandom } from '../lib/data/random'
import { largestDifference } from './engines'

/** Weights far enough from the start that scales, shifts and mixings all matter. */
function bentFlow(options: CouplingOptions): CouplingFlow {
  const flow = new CouplingFlow({ depth: 4, hidden: [8, 6], seed: 1, ...options })
  const random = new RowRandom(2)
  random.seek(0)
  for (let i = 0; i < flow.parameters.length; i++) flow.parameters[i]! += 0.3 * random.normal()
  return flow
}

function rows(count: number, size: number): Float64Array {
  const random = new RowRandom(3)
  random.seek(0)
  return Float64Array.from({ length: count * size }, () => random.normal())
}

describe.each([
  { size: 2, mixing: false },
  { size: 2, mixing: true },
  { size: 5, mixing: false },
  { size: 5, mixing: true }
])('$size columns, mixing: $mixing', (options) => {
  const flow = bentFlow(options)
  const { size } = options
  const x = rows(7, size)

  test('the inverse undoes the flow', () => {
    expect(largestDifference(flow.inverse(flow.forward(x).z), x)).toBeLessThan(1e-9)
  })

  test('the log-determinant is that of finite differences', () => {
    const { logDet } = flow.forward(x)
    const h = 1e-5
    for (let row = 0; row < 7; row++) {
      const point = x.slice(row * size, (row + 1) * size)
      const columns = Array.from({ length: size }, (_, j) => {
        const moved = (by: number) => flow.forward(point.map((value, i) => (i === j ? value + by : value))).z
        const [up, down] = [moved(h), moved(-h)]
        return Array.from(up, (value, i) => (value - down[i]!) / (2 * h))
      })
      expect(logDet[row]).toBeCloseTo(Math.log(Math.abs(determinant(columns))), 6)
    }
  })

  test('the gradient is that of finite differences', () => {
    flow.loss(x)
    const gradients = flow.gradients.slice()
    const h = 1e-6
    const sizes = Float64Array.from(gradients, Math.abs)
    expect(sizes.reduce((most, one) => Math.max(most, one), 0)).toBeGreaterThan(0.01)
    for (let i = 0; i < gradients.length; i += 7) {
      const held = flow.parameters[i]!
      flow.parameters[i] = held + h
      const up = flow.loss(x)
      flow.parameters[i] = held - h
      const down = flow.loss(x)
      flow.parameters[i] = held
      expect(Math.abs(gradients[i]! - (up - down) / (2 * h))).toBeLessThan(1e-6)
    }
  })

  test('the loss is the mean of −log p', () => {
    const logProb = flow.logProb(x)
    expect(flow.loss(x)).toBeCloseTo(-logProb.reduce((sum, value) => sum + value, 0) / 7, 12)
  })
})

/** By expansion along the first column. */
function determinant(columns: number[][]): number {
  if (columns.length === 1) return columns[0]![0]!
  return columns[0]!.reduce((sum, entry, i) => {
    const minor = columns.slice(1).map((column) => column.filter((_, row) => row !== i))
    return sum + (i % 2 ? -1 : 1) * entry * determinant(minor)
  }, 0)
}

test.each(['adam', 'adamax'] as const)('%s brings the loss towards the entropy', async (optimizer) => {
  const flow = new CouplingFlow({ size: 2, depth: 4, hidden: [16, 16], mixing: true })
  const data = toy('moons', { seed: 1 })
  const test = toy('moons', { seed: 2 }).sample(2000).data
  const gap = () => flow.loss(test) - data.entropy
  const before = gap()
  await flow.fit(data, { iterations: 300, batch: 64, lr: optimizer === 'adam' ? 5e-3 : 1e-2, optimizer })
  expect(before).toBeGreaterThan(1)
  expect(gap()).toBeLessThan(0.7)
  expect(gap()).toBeGreaterThan(0)
})

test('an aborted training ends', async () => {
  const stop = new AbortController()
  const training = new CouplingFlow({ size: 2, depth: 2 }).fit(toy('moons'), {
    iterations: 1e6,
    batch: 8,
    lr: 1e-3,
    signal: stop.signal,
    progress: (iteration) => iteration === 20 && stop.abort()
  })
  await expect(training).rejects.toThrow('abort')
})
