/**
 * Model files with a random change each: what loads has densities that are numbers, what does not says so by a code.
 * The seed is new in every run and stands in the test's name; FFJORD_TEST_SEED repeats one.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FfjordError, Flow, type FlowOptions } from 'ffjord'

const seed = Number(process.env.FFJORD_TEST_SEED ?? Date.now() % 2 ** 31)
const cases = 400

/** xorshift32 */
class Random {
  #state: number
  constructor(state: number) {
    this.#state = state | 0 || 1
    for (let i = 0; i < 8; i++) this.below(2)
  }
  below(count: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % count
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }
}

const numbers = [0, -0, -1, 0.5, 1, 2, 3, 1000, 65536, 2 ** 31, 2 ** 53, 1e38, 1e300, -1e300, 1e-40, 5e-324]
const values: readonly unknown[] = [
  ...numbers,
  null,
  true,
  '',
  '1',
  'cnf',
  '__proto__',
  [],
  {},
  [null],
  [[1]],
  { type: 'split' }
]

/** The value with one of its places changed. */
function mutated(value: unknown, random: Random): unknown {
  if (typeof value !== 'object' || value === null || random.below(8) === 0) return random.pick(values)
  const keys = Object.keys(value)
  if (keys.length === 0) return random.pick(values)
  const copy = structuredClone(value) as Record<string, unknown>
  const key = random.pick(keys)
  const kind = random.below(8)
  if (kind === 0) delete copy[key]
  else if (kind === 1) copy[random.pick(['constructor', 'toJSON', 'x', key])] = copy[random.pick(keys)]
  else copy[key] = mutated(copy[key], random)
  return copy
}

interface Parts {
  header: Record<string, unknown> & { __metadata__: Record<string, string> }
  body: Buffer
}

function split(bytes: Buffer): Parts {
  const end = 8 + Number(bytes.readBigUInt64LE(0))
  return {
    header: JSON.parse(bytes.subarray(8, end).toString()) as Parts['header'],
    body: bytes.subarray(end)
  }
}

function joined(header: string, body: Buffer): Buffer {
  const text = Buffer.from(header)
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, body])
}

/** What is done to a file. */
const mutations: Record<string, (bytes: Buffer, random: Random) => Buffer> = {
  'bytes anywhere': (bytes, random) => {
    const copy = Buffer.from(bytes)
    for (let i = 0; i <= random.below(6); i++) copy[random.below(copy.length)] = random.below(256)
    return copy
  },
  'a cut': (bytes, random) => bytes.subarray(0, random.below(bytes.length)),
  'a weight': (bytes, random) => {
    const { header, body } = split(bytes)
    const copy = Buffer.from(body)
    copy.writeFloatLE(
      random.pick([0, -1, Number.NaN, Infinity, 3e38, -3e38, 1e20, 1e-45]),
      4 * random.below(body.length >> 2)
    )
    return joined(JSON.stringify(header), copy)
  },
  'a tensor of the header': (bytes, random) => {
    const { header, body } = split(bytes)
    const name = random.pick(Object.keys(header))
    header[name] = mutated(header[name], random)
    return joined(JSON.stringify(header), body)
  },
  'a name of the header': (bytes, random) => {
    const { header, body } = split(bytes)
    const name = random.pick(Object.keys(header))
    const text = JSON.stringify(header)
    return joined(
      text.replace(`"${name}"`, `"${random.pick([...Object.keys(header), '__proto__', ''])}"`),
      body
    )
  },
  'the metadata': (bytes, random) => {
    const { header, body } = split(bytes)
    const metadata = header.__metadata__
    const key = random.pick(
      Object.keys(metadata).filter((one) => metadata[one]!.startsWith('{') || metadata[one]!.startsWith('['))
    )
    metadata[key] = JSON.stringify(mutated(JSON.parse(metadata[key]!), random)) ?? ''
    return joined(JSON.stringify(header), body)
  }
}

const cnf = { type: 'cnf', net: { hidden: [3] } } as const
const kinds: Record<string, FlowOptions> = {
  trained: {
    shape: [2],
    blocks: [
      { type: 'batch_norm', lag: 0.1 },
      { ...cnf, trainTime: true }
    ],
    trace: { noise: 'gaussian' }
  },
  spectral: {
    shape: [2],
    blocks: [{ type: 'cnf', net: { hidden: [3, 3], spectralNorm: 1, activation: 'swish' } }]
  },
  fixed: {
    shape: [2],
    blocks: [
      { type: 'support', lower: [-5, null], upper: [5, null] },
      { type: 'whiten', mean: [0, 0], matrix: [1, 0, 0.5, 1] },
      { type: 'standardize', mean: [0, 1], scale: [1, 2] },
      cnf
    ],
    solver: { method: 'rk4', steps: 2 }
  },
  conditional: {
    shape: [2],
    blocks: [cnf],
    context: { size: 2, columns: ['a', 'b'], mean: [0, 1], scale: [1, 2] }
  }
}

test(`seed ${seed}: ${cases} files`, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-mutated-'))
  const path = join(folder, 'model.safetensors')
  const bases: Buffer[] = []
  for (const [kind, options] of Object.entries(kinds)) {
    using flow = await Flow.create({ ...options, threads: 1 })
    const rows = Float32Array.from({ length: 16 }, (_, i) => Math.sin(i))
    if (kind === 'trained') {
      flow.table = {
        columns: [
          { name: 'a', type: 'real', lower: -5 },
          { name: 'b', type: 'integer', step: 1 }
        ]
      }
      await flow.fit(rows, { iterations: 2, batch: 4, optimizer: { type: 'adam', average: 0.9 } })
    }
    await flow.save(path)
    bases.push(readFileSync(path))
  }
  const outcomes = new Map<string, number>()
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const memory = process.memoryUsage().rss
  for (let i = 0; i < cases; i++) {
    const random = new Random(seed + Math.imul(i, 0x9e3779b1))
    const mutation = random.pick(Object.keys(mutations))
    writeFileSync(path, mutations[mutation]!(random.pick(bases), random))
    try {
      using flow = await Flow.load(path, { threads: 1 })
      const size = flow.shape.reduce((product, length) => product * length, 1)
      const { context } = flow.description
      const width = typeof context === 'object' ? context.size : 0
      const logProb = await flow.logProb(new Float32Array(2 * size).fill(0.25), {
        signal: AbortSignal.timeout(1000),
        ...(width > 0 && { context: new Float32Array(width) })
      })
      for (const value of logProb) if (!(value < Infinity)) throw new Error(`logProb is ${value}`)
      count('loaded')
    } catch (error) {
      const known = error instanceof FfjordError && error.code !== 'INTERNAL'
      if (!known) throw new Error(`case ${i}, ${mutation}: ${error}`, { cause: error })
      count(error.code)
    }
  }
  rmSync(folder, { recursive: true })
  expect(process.memoryUsage().rss - memory).toBeLessThan(2 ** 29)
  expect(outcomes.get('INVALID_FILE')).toBeGreaterThan(cases / 4)
  expect(outcomes.get('loaded')).toBeGreaterThan(cases / 40)
})
