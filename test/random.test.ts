import { permutation, philox, RowRandom } from '../lib/data/random'
import { binding } from '../lib/native/binding'

test('philox gives the known answers of its authors', () => {
  expect(philox([0, 0, 0, 0], 0)).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8])
  const ones = 0xffffffff
  // A seed holds 53 bits, so the upper key word of the known answer is out of reach; the core has it all.
  expect(philox([ones, ones, ones, ones], 0)).not.toEqual(philox([ones, ones, ones, 0], 0))
})

test('philox agrees with the core', () => {
  const seed = 2 ** 52 + 12345
  const drawn = binding().noise('uniform', { seed, call: 7, block: 3, probe: 2 }, 11, 2, 8)
  for (const row of [0, 1])
    for (const quad of [0, 1])
      philox([11 + row, quad, (2 << 16) | 3, 7], seed).forEach((word, i) => {
        expect(drawn[row * 8 + quad * 4 + i]).toBe(Math.fround((word >>> 8) * 2 ** -24 + 2 ** -25))
      })
})

test('a row is drawn from its place alone', () => {
  const a = new RowRandom(1)
  const b = new RowRandom(1)
  const draws = (random: RowRandom, row: number) => {
    random.seek(row)
    return Array.from({ length: 7 }, () => random.uniform())
  }
  draws(a, 3)
  expect(draws(a, 5)).toEqual(draws(b, 5))
  expect(draws(a, 6)).not.toEqual(draws(b, 5))
  expect(draws(a, 5 + 2 ** 32)).not.toEqual(draws(b, 5))
  expect(draws(new RowRandom(2), 5)).not.toEqual(draws(b, 5))
})

test('draws have the moments of their laws', () => {
  const random = new RowRandom(3)
  const count = 40_000
  const moments = [0, 0, 0, 0]
  for (let row = 0; row < count; row++) {
    random.seek(row)
    const uniform = random.uniform()
    const normal = random.normal()
    if (!(uniform > 0 && uniform < 1)) throw new Error(`a uniform draw is ${uniform}`)
    ;[uniform, normal, normal ** 2, normal ** 4].forEach((value, i) => {
      moments[i]! += value / count
    })
  }
  expect(Math.abs(moments[0]! - 0.5)).toBeLessThan(5 * Math.sqrt(1 / 12 / count))
  expect(Math.abs(moments[1]!)).toBeLessThan(5 / Math.sqrt(count))
  expect(Math.abs(moments[2]! - 1)).toBeLessThan(5 * Math.sqrt(2 / count))
  expect(Math.abs(moments[3]! - 3)).toBeLessThan(5 * Math.sqrt(96 / count))
})

test('a permutation holds every index once and follows seed and epoch', () => {
  const order = permutation(1000, 4, 2)
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i))
  expect(permutation(1000, 4, 2)).toEqual(order)
  expect(permutation(1000, 4, 3)).not.toEqual(order)
  expect(permutation(1000, 5, 2)).not.toEqual(order)
})
