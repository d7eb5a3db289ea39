import { nearest, show } from '../lib/native/check'

const deep = JSON.parse('['.repeat(50_000) + ']'.repeat(50_000)) as unknown
const circular: unknown[] = []
circular.push(circular)
const revoked = (target: object) => {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
const thrower = (): never => {
  throw new Error('a getter of the caller ran')
}

test.each<[unknown, string]>([
  [1n, '1n'],
  [{ a: 1n, b: ['x'] }, "{ a: 1n, b: ['x'] }"],
  [Symbol('s'), 'Symbol(s)'],
  [circular, '[[[…]]]'],
  [deep, '[[[…]]]'],
  [revoked({}), 'a proxy'],
  [revoked([]), 'a proxy'],
  [new Proxy({}, { get: thrower, ownKeys: thrower, getPrototypeOf: thrower }), 'a proxy'],
  [Object.defineProperty({}, 'a', { get: thrower, enumerable: true }), '{ a: a getter }'],
  [{ toJSON: thrower, toString: thrower }, '{ toJSON: a function, toString: a function }'],
  [Object.defineProperty({}, Symbol.toStringTag, { get: thrower }), '{}'],
  [Object.create(null), '{}'],
  [new Date(Number.NaN), 'a Date'],
  [new Error('x'), 'an Error'],
  [Promise.resolve(1), 'a Promise'],
  [new Float32Array(3), 'a Float32Array'],
  [new DataView(new ArrayBuffer(3)), 'a DataView'],
  [[[1, 2], null, undefined], '[[1, 2], null, undefined]'],
  [-1.5, '-1.5']
])('a value in a message, %#', (value, text) => {
  expect(show(value)).toBe(text)
})

test('what is long is cut, and takes no longer than what is short', () => {
  const began = performance.now()
  for (const value of [
    'x'.repeat(1e6),
    new Array(2 ** 32 - 1),
    new Array(1e6).fill(1),
    { ['k'.repeat(1e6)]: 1 }
  ])
    expect(show(value).length).toBeLessThan(70)
  expect(performance.now() - began).toBeLessThan(1000)
})

test('slips of the keyboard are known: a letter more, less, wrong, or exchanged', () => {
  const names = ['pinwheel', 'moons', 'seed', 'hidden', 'iterations']
  expect(nearest('pinweel', names)).toBe('pinwheel')
  expect(nearest('Mooons', names)).toBe('moons')
  expect(nearest('sede', names)).toBe('seed')
  expect(nearest('iteratoins', names)).toBe('iterations')
  expect(nearest('qqqq', names)).toBeUndefined()
  expect(nearest('x', ['y'])).toBeUndefined()
  expect(nearest('a'.repeat(1e6), names)).toBeUndefined()
})
