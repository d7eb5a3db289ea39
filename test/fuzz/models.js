const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { spoilBytes } = require('./bytes.js')
const { numbers } = require('./values.js')

/** Model files with bytes changed, or values in their header and metadata. */
module.exports = async function models(ffjord, folder) {
  const { Flow } = ffjord
  const cnf = (net, more) => ({ type: 'cnf', ...more, net: { hidden: [4], ...net } })
  const rows = Float32Array.from({ length: 64 }, (_, i) => 0.5 + 0.4 * Math.sin(i))
  const kinds = [
    {
      shape: [2],
      blocks: [cnf({}, { trainTime: true })],
      context: { size: 1, gates: true, mean: [0], scale: [2] }
    },
    { shape: [2], blocks: [{ type: 'batch_norm' }, cnf({ layer: 'concat', spectralNorm: 1 })] },
    {
      shape: [2],
      blocks: [
        { type: 'support', lower: [-5, null], upper: [5, null] },
        { type: 'whiten', mean: [0, 0], matrix: [1, 0, 0.5, 1] },
        cnf({ layer: 'hyper', activation: 'softplus' })
      ],
      solver: { method: 'rk4', steps: 2, evaluation: { steps: 4 } }
    },
    { shape: [2], blocks: [{ type: 'logit', alpha: 1e-3 }, { type: 'zero_mean' }, cnf({})], trace: 'exact' }
  ]
  const bases = []
  for (const [i, options] of kinds.entries()) {
    const flow = await Flow.create({ ...options, threads: 1 })
    const context = options.context ? rows.subarray(0, 32) : undefined
    const data = ffjord.fromArray(rows, { shape: [2], columns: ['a', 'b'], ...(context && { context }) })
    const length = { iterations: 3, batch: 8 }
    if (i % 2 === 0) await flow.fit(data, { ...length, optimizer: { type: 'adam', average: 0.5 } })
    const path = join(folder, `base-${i}`)
    await flow.save(path)
    bases.push({ bytes: readFileSync(path), conditional: context !== undefined })
    flow.dispose()
  }

  return async (random, tell) => {
    const base = random.below(bases.length)
    const { bytes, conditional } = bases[base]
    const inHeader = random.chance(0.7)
    tell(`base ${base}, ${inHeader ? 'header' : 'bytes'}`)
    const path = join(folder, 'spoiled')
    writeFileSync(path, inHeader ? spoilHeader(bytes, random) : spoilBytes(bytes, random))
    const flow = await Flow.load(path, { threads: 1 })
    try {
      const options = { seed: 1, signal: AbortSignal.timeout(3000), ...(conditional && { context: [[0.5]] }) }
      // What was loaded is a model: its densities are numbers, or −∞ outside of its support.
      const logProb = await flow.logProb([[0.4, 0.6]], options)
      if (logProb.some((value) => Number.isNaN(value) || value === Infinity))
        throw new Error(`the model that was read gives a log-density of ${logProb}`)
      const { data } = await flow.sample(2, options)
      if (data.some(Number.isNaN)) throw new Error('the model that was read gives samples that are NaN')
      await flow.save(path)
    } finally {
      flow.dispose()
    }
  }
}

/** Changes a value of the JSON header, or of the JSON in its metadata. */
function spoilHeader(bytes, random) {
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString())
  const metadata = header.__metadata__
  const key = random.one(Object.keys(metadata))
  if (random.chance(0.6) && /^[[{]/.test(metadata[key])) {
    metadata[key] = JSON.stringify(spoilJson(JSON.parse(metadata[key]), random))
  } else spoilJson(header, random)
  const text = Buffer.from(JSON.stringify(header))
  const head = Buffer.alloc(8)
  head.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([head, text, bytes.subarray(8 + length)])
}

function spoilJson(root, random) {
  const places = []
  const walk = (value) => {
    if (typeof value !== 'object' || value === null) return
    for (const key of Object.keys(value)) {
      places.push([value, key])
      walk(value[key])
    }
  }
  walk(root)
  if (places.length === 0) return random.one([null, 1, 'x', []])
  const [holder, key] = random.one(places)
  const old = holder[key]
  const other = random.one(places)
  const changes = [
    () => random.one([null, true, '', 'x', '__proto__', [], {}, [[1]], { length: 2 }]),
    () => random.one(numbers.filter(Number.isFinite)),
    () => (typeof old === 'number' ? old * random.one([-1, 2, 0.5, 1e9, 1e-9]) : [old]),
    () => structuredClone(other[0][other[1]]),
    () => (Array.isArray(old) ? [...old, ...old] : old),
    () => undefined
  ]
  holder[key] = random.one(changes)()
  return root
}
