import { RowQueue } from '../lib/data/row-queue'

test('rows leave in the order they came, across pieces, whole or some of their columns', () => {
  const queue = new RowQueue(3)
  const reused = Float32Array.of(1, 2, 3, 4, 5, 6)
  queue.push(reused)
  reused.fill(0)
  queue.push(new Float32Array(0))
  queue.push(Float32Array.of(7, 8, 9))
  queue.push(Float64Array.of(10, 11, 12, 13, 14, 15))
  expect(queue.rows).toBe(5)
  expect(queue.drop(1)).toBe(1)
  expect([...queue.columns(3, 0, 3)]).toEqual([4, 5, 6, 7, 8, 9, 10, 11, 12])
  expect([...queue.columns(4, 2, 3)]).toEqual([6, 9, 12, 15])
  expect([...queue.columns(2, 0, 2)]).toEqual([4, 5, 7, 8])
  expect(queue.drop(2)).toBe(2)
  expect([...queue.columns(2, 0, 3)]).toEqual([10, 11, 12, 13, 14, 15])
  expect(queue.drop(9)).toBe(2)
  expect([queue.rows, queue.columns(0, 0, 3).length]).toEqual([0, 0])
  queue.push(Float32Array.of(1, 2, 3))
  queue.clear()
  expect(queue.rows).toBe(0)
})

test('float64 pieces stay float64', () => {
  const queue = new RowQueue(1)
  queue.push(Float64Array.of(1.7e9 + 0.25))
  expect(queue.columns(1, 0, 1)).toEqual(Float64Array.of(1.7e9 + 0.25))
})
