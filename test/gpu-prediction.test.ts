/** The model that predicts times on a card (bench/gpu) reproduces what a card has measured, within a factor of two. */
import { join } from 'node:path'

const folder = join(__dirname, '..', 'bench', 'gpu')
const { COMMIT, kernels, times } = require(join(folder, 'measured.js'))
const { countsOf, nameOf } = require(join(folder, 'launch-counts.js'))
const { timesOf } = require(join(folder, 'rows.js'))
const { cyclesOf, microseconds, wavesOf } = require(join(folder, 'time-model.js'))
const counts = require(join(folder, `counts-${COMMIT}.json`))
const { evaluation, MNIST, pullback } = require(join(folder, 'image-launches.js'))

interface Row {
  net: string
  tile: number
  arithmetic?: string
  batch: number
  attempt: number
  iteration: number
}
interface Kernel {
  name: string
  launch: object
  us: number
}

const kept = (launch: object) => counts[nameOf(launch)]
/** How far apart two times are, as a ratio of at least 1. */
const ratio = (a: number, b: number) => Math.max(a / b, b / a)

test.each((kernels as Kernel[]).map((kernel): [string, Kernel] => [kernel.name, kernel]))(
  'the kernel %s',
  (_name, { launch, us }) => {
    expect(ratio(microseconds(cyclesOf(kept(launch), launch)), us)).toBeLessThan(2)
  }
)

const named = (row: Row): [string, Row] => [[row.net, row.tile || row.arithmetic, row.batch].join(' '), row]
test.each((times as Row[]).map(named))('the row %s', (_name, row) => {
  const { attempt, iteration } = timesOf(row, kept, true)
  expect(ratio(attempt, row.attempt)).toBeLessThan(2)
  expect(ratio(iteration, row.iteration)).toBeLessThan(2)
})

test('rows of every way that was measured are there', () => {
  const ways = (net: string) => [
    ...new Set(
      times.filter((row: { net: string }) => row.net === net).map((row: { tile: number }) => row.tile)
    )
  ]
  expect(ways('small')).toEqual([4, 16, 32, 64, 0])
  expect(ways('wide')).toEqual([0])
})

test('launches of the multiscale flow of MNIST multiply what its nets have weights for', () => {
  const flops = (launches: (net: number[], hidden: number[], batch: number) => { flops: number }[]) =>
    MNIST.nets
      .flatMap((net: number[]) => launches(net, MNIST.hidden, 200))
      .reduce((sum: number, launch: { flops: number }) => sum + launch.flops, 0)
  // Weights of a 3 × 3 filter and t's plane apart, at each pixel, for a value and a tangent.
  const pixels = (side: number) => side * side
  const weights = ([channels, side]: number[]) => 9 * 64 * (2 * channels! + 2 * 64) * pixels(side!)
  const all = MNIST.nets.reduce((sum: number, net: number[]) => sum + weights(net), 0)
  expect(flops(evaluation)).toBe(2 * 2 * 200 * all)
  expect(all).toBeCloseTo(193.7e6, -5)
  // As much for the weights, and for the inputs all but the tangent's at the first layer.
  expect(flops(pullback)).toBeGreaterThan(1.97 * flops(evaluation))
  expect(flops(pullback)).toBeLessThan(2 * flops(evaluation))
})

test('more work takes longer: more rounds, colder code, more clocks of the tensor cores', () => {
  const work = { issued: 1000, once: 1000, waits: 10, tensorClocks: 0, bytes: 400 }
  const shape = { grid: 132, warps: 4, blocks: 1 }
  expect(wavesOf(shape)).toBe(1)
  const cycles = cyclesOf(work, shape)
  expect(cyclesOf(work, { ...shape, grid: 133 })).toBeGreaterThan(cycles)
  expect(cyclesOf(work, shape, true)).toBeLessThan(cycles)
  expect(cyclesOf({ ...work, tensorClocks: 100_000 }, shape)).toBeGreaterThan(100_000)
})

test('loops run as often as a launch says: those of products, those around them, and the first of others', () => {
  const plain = (opcode: string, targets: number[] = [], operands = '') => ({
    guard: '',
    opcode,
    operands,
    targets
  })
  const back = (target: number) => ({ ...plain('BRA', [target]), guard: '@P0' })
  // Around a loop of a multiply-add and its branch there is one of four, and after it another one of two.
  const instructions = [
    plain('MOV'),
    plain('FFMA'),
    back(1),
    plain('MOV'),
    back(0),
    plain('LDG.E', [], 'R4, desc[UR4][R2.64]'),
    back(5),
    plain('IADD3', [], 'R5, R4, R5, RZ'),
    plain('EXIT')
  ]
  const code = { symbol: '_ZN5thing', instructions, bytes: 0 }
  const launch = { source: '', kernel: 'thing', instance: '', trips: { float: 10, around: [3], first: 4 } }
  expect(countsOf([code], launch)).toEqual({
    issued: 3 * (3 + 10 * 2) + 4 * 2 + 2,
    once: 9,
    waits: 0,
    tensorClocks: 0,
    bytes: 16
  })
  expect(() => countsOf([code], { ...launch, instance: 'other' })).toThrow('no thing whose name holds other')
})
