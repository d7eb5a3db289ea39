const vm = require('node:vm')

/** What a caller's own code throws: it may come back as it is. */
class Mine extends Error {}
const throws = () => {
  throw new Mine('of the caller')
}

const numbers = [
  0,
  -0,
  -1,
  0.5,
  1,
  2,
  3,
  7,
  255,
  256,
  65_536,
  2 ** 31,
  2 ** 32,
  2 ** 53,
  2 ** 60,
  1e-320,
  1e-9,
  1e38,
  1e300,
  -1e300,
  Number.NaN,
  Infinity,
  -Infinity
]

function lost(Kind, size) {
  const array = new Kind(size)
  structuredClone(array.buffer, { transfer: [array.buffer] })
  return array
}

function shrunk() {
  const buffer = new ArrayBuffer(32, { maxByteLength: 64 })
  const array = new Float32Array(buffer, 0, 8)
  buffer.resize(8)
  return array
}

function revoked(target) {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}

function ring(list) {
  list.push(list)
  return list
}

const nested = (depth) => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
const elsewhere = (text) => vm.runInNewContext(text)

/** Each makes one value that hardly any argument should be. */
const makers = [
  () => undefined,
  () => null,
  () => false,
  () => '',
  () => 'word',
  () => '12',
  () => '__proto__',
  () => 'constructor',
  () => 'x'.repeat(50_000),
  () => 3n,
  () => 2n ** 90n,
  () => Symbol('s'),
  () => () => 1,
  () => throws,
  () => class {},
  () => ({}),
  () => Object.create(null),
  () => Object.create({ seed: 1, lr: 1 }),
  () => ({ seed: 1n, type: Symbol('t') }),
  () => [],
  () => [[]],
  () => [null],
  () => new Array(3),
  () => new Array(1e6),
  () => [1, [2, [3]]],
  () => [['1', '2']],
  () => [[1n, 2n]],
  () => [[1, 2], undefined],
  () => ring([]),
  () => ring([1, 2]),
  () => nested(30),
  () => nested(20_000),
  () => revoked({}),
  () => revoked([]),
  () => new Proxy({}, {}),
  () => new Proxy([1, 2], {}),
  () => new Proxy({}, { get: throws }),
  () => new Proxy({}, { ownKeys: throws, getPrototypeOf: throws }),
  () => ({ toJSON: throws, toString: throws, valueOf: throws, [Symbol.toPrimitive]: throws }),
  () => Object.defineProperty({}, 'data', { get: throws, enumerable: true }),
  () => new Date(Number.NaN),
  () => new Map([[1, 2]]),
  () => new Set([1]),
  () => /x/,
  () => new Error('x'),
  () => new Boolean(false),
  () => Promise.resolve(1),
  () => new ArrayBuffer(16),
  () => new SharedArrayBuffer(16),
  () => new DataView(new ArrayBuffer(16)),
  () => Buffer.alloc(8),
  () => new Uint8Array(4),
  () => new BigInt64Array(4),
  () => new Float32Array(0),
  () => new Float32Array(3),
  () => new Float32Array([0.1, 0.2, 0.3, 0.4]),
  () => new Float64Array([0.1, 0.2, 0.3, 0.4]),
  () => new Float32Array(4).fill(Number.NaN),
  () => new Float64Array(4).fill(1e300),
  () => new Float32Array(new SharedArrayBuffer(16)),
  () => lost(Float32Array, 4),
  () => lost(Float64Array, 4),
  () => shrunk(),
  () => ({ data: lost(Float32Array, 4), shape: [2, 2] }),
  () => ({ data: new Float32Array(4), shape: [2 ** 40, 0] }),
  () => ({ data: new Float32Array(4), shape: revoked([]) }),
  () => ({ data: [1, 2, 3, 4], shape: [2, 2] }),
  () => ({ data: new Float32Array(4), shape: [2, 2], context: throws }),
  () => ({ length: 2, 0: 1, 1: 2 }),
  () => ({ rows: 4, shape: [2], peek: () => ({}) }),
  () => ({ aborted: false }),
  () => AbortSignal.abort(),
  () => AbortSignal.timeout(1),
  () => elsewhere('new Float64Array([1, 2])'),
  () => elsewhere('[[1, 2]]'),
  () => elsewhere('new Date()')
]

/** @param most numbers are no larger, where they would only take time */
function hostile(random, most = Infinity) {
  if (random.chance(0.3)) {
    const number = random.one(numbers)
    return number > most && Number.isFinite(number) ? most : number
  }
  return random.one(makers)()
}

module.exports = { hostile, numbers, Mine }
