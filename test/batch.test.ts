import type { Batch } from 'ffjord'
import { toRows } from '../lib/native/batch'
import { failure } from './failure'

test('a batch is a flat array, a tensor, or one array a row', () => {
  const expected = Float32Array.of(1, 2, 3, 4)
  const forms: Batch[] = [
    expected,
    { data: expected, shape: [2, 2] },
    [
      [1, 2],
      [3, 4]
    ],
    [Float32Array.of(1, 2), Float64Array.of(3, 4)]
  ]
  for (const form of forms) {
    const { data, count } = toRows(form, [2])
    expect([[...data], count]).toEqual([[1, 2, 3, 4], 2])
  }
  expect(toRows(new Float32Array(24), [2, 3, 2]).count).toBe(2)
  expect(toRows({ data: new Float32Array(24), shape: [2, 2, 3, 2] }, [2, 3, 2]).count).toBe(2)
  expect(toRows({ data: new Float32Array(24), shape: [2, 12] }, [2, 3, 2]).count).toBe(2)
})

test('float64 stays float64, and arrays of numbers are', () => {
  expect(toRows([[0.1, 1.7e9 + 0.25]], [2]).data).toEqual(Float64Array.of(0.1, 1.7e9 + 0.25))
  const data = Float64Array.of(0.1, 0.2)
  expect(toRows(data, [2]).data).toBe(data)
  expect(toRows({ data, shape: [1, 2] }, [2]).data).toBe(data)
})

const of = (value: unknown) => value as Batch

test.each([
  ['nothing', undefined, 'INVALID_INPUT', ''],
  ['a number', 3, 'INVALID_INPUT', ''],
  ['integers', Int32Array.of(1, 2), 'INVALID_INPUT', 'Int32Array'],
  ['integers in a tensor', { data: Int32Array.of(1, 2), shape: [1, 2] }, 'INVALID_INPUT', 'data'],
  ['text in a row', [[1, '2']], 'INVALID_INPUT', '[0][1]'],
  ['numbers without rows', [1, 2], 'INVALID_INPUT', '[0]'],
  ['no rows', [], 'EMPTY_BATCH', ''],
  ['an empty array', new Float32Array(0), 'EMPTY_BATCH', ''],
  ['a length that does not divide', new Float32Array(3), 'INVALID_SHAPE', '3'],
  ['a shape that is not the data’s', { data: new Float32Array(4), shape: [3, 2] }, 'INVALID_SHAPE', '[3,2]'],
  ['samples of another shape', { data: new Float32Array(6), shape: [2, 3] }, 'INVALID_SHAPE', '[2,3]'],
  ['a tensor without a shape', { data: new Float32Array(4) }, 'INVALID_SHAPE', ''],
  ['rows of different lengths', [[1, 2], [3]], 'INVALID_SHAPE', '[1]'],
  [
    'NaN',
    [
      [1, 2],
      [3, Number.NaN]
    ],
    'NOT_FINITE',
    'row 1, column 1'
  ],
  ['infinity', Float64Array.of(0, 0, -Infinity, 0), 'NOT_FINITE', 'row 1, column 0']
] as const)('%s is refused', async (_, batch, code, words) => {
  const { message } = await failure(() => toRows(of(batch), [2], 'x'), code)
  expect(message).toContain(words)
})
