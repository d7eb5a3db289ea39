// A rank of a test: does the jobs that its arguments name, and notes in a file of its own what came of each.
//   [launcher] node rank.js OUT JOB…
const { createHash } = require('node:crypto')
const { writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { Flow, Group, Vae, fromArray, fromAsyncIterable, fromImages } = require(
  join(__dirname, '..', '..', 'dist', 'index.js')
)

const [out, ...names] = process.argv.slice(2)

// The memory of rank 1 may be short; it is read with the first size that is asked for.
const { OMPI_COMM_WORLD_RANK, PMI_RANK, RANK_1_MEMORY } = process.env
if (RANK_1_MEMORY && (OMPI_COMM_WORLD_RANK ?? PMI_RANK) === '1') process.env.FFJORD_MEMORY = RANK_1_MEMORY

/** Two moons or so, the same in every process. */
function rows(count, width = 2) {
  return Float32Array.from(
    { length: count * width },
    (_, i) => Math.sin(1 + 12.9898 * i) + 0.3 * Math.cos(i % 7)
  )
}

function digest(flow) {
  const hash = createHash('sha256')
  for (const { data } of Object.values(flow.parameters())) hash.update(data)
  return hash.digest('hex')
}

function makeFlow(options = {}) {
  const { blocks = [cnf()], control = 'sample', ...rest } = options
  return Flow.create({
    shape: [2],
    blocks,
    device: process.env.RANK_DEVICE ?? 'cpu',
    seed: 3,
    threads: 1,
    solver: { method: 'dopri5', rtol: 1e-3, atol: 1e-3, control },
    ...rest
  })
}
const cnf = (options) => ({ type: 'cnf', time: 0.5, trainTime: true, net: { hidden: [12, 10], ...options } })

/** What a fit comes to, of what ranks and numbers of ranks are compared by. */
async function fitted(flow, data, options, group) {
  const losses = []
  const validations = []
  const nfe = []
  const warnings = []
  let error
  let result
  const fit = flow.fit(data, { batch: 256, seed: 1, ...options, group })
  try {
    for await (const { records, validation } of fit) {
      losses.push(...records.map(({ loss }) => loss))
      if (options.sharedSteps) nfe.push(...records.map((one) => one.nfe))
      if (validation !== undefined) validations.push(validation)
    }
    result = await fit
    warnings.push(...result.warnings.map(({ code }) => code))
  } catch (thrown) {
    error = { code: thrown.code, message: thrown.message }
  }
  return {
    losses,
    validations,
    error,
    stopped: result?.stopped,
    iterations: result?.iterations,
    weights: digest(flow),
    warnings,
    nfe
  }
}

/** The same on cards, and how gradients were summed there. */
async function onCards(options, group) {
  const device = 'cuda-emulated'
  const flow = await makeFlow({ device, ...options })
  const found = await fitted(flow, few(), { iterations: 3, optimizer: { type: 'sgd', lr: 0.1 } }, group)
  return { ...found, transport: group.transport, library: group.library }
}

/** Rows far out take fewer steps than one of rank 1 of two near the origin, and a solver that takes no more. */
const makeHardFlow = () =>
  makeFlow({
    blocks: [{ ...cnf(), time: 3 }],
    solver: { method: 'dopri5', rtol: 1e-5, atol: 1e-5, control: 'sample', maxAttempts: 4 }
  })
const hardRows = () =>
  fromArray({ data: new Float32Array(512).fill(30).fill(0.01, 400, 402), shape: [256, 2] })

/** 20 iterations whose last batches of an epoch are smaller, to 8 rows. */
const twenty = { iterations: 20, optimizer: { type: 'adam', lr: 1e-2, clipNorm: 0.5, average: 0.9 } }
const few = () => fromArray({ data: rows(1032), shape: [1032, 2] })
const validation = { data: rows(301), every: 5 }

const jobs = {
  sample: async (group) => fitted(await makeFlow(), few(), { ...twenty, validation, keepBest: true }, group),
  tile: async (group) =>
    fitted(await makeFlow({ control: 'tile', regularize: { kinetic: 0.01 } }), few(), twenty, group),
  estimate: async (group) =>
    fitted(await makeFlow({ trace: { noise: 'rademacher', probes: 2 } }), few(), twenty, group),
  norm: async (group) =>
    fitted(
      await makeFlow({ blocks: [{ type: 'batch_norm', lag: 0.3 }, cnf(), { type: 'batch_norm' }] }),
      few(),
      twenty,
      group
    ),
  parts: async (group) => fitted(await makeFlow(), few(), { ...twenty, batch: 512, accumulate: 2 }, group),
  /** A batch that takes over 64 MiB of a rank's memory at a time: in parts as asked for, or as there is room. */
  wide: async (group) => {
    const shape = [512]
    const solver = { method: 'euler', steps: 1 }
    const flow = await makeFlow({ shape, solver, blocks: [cnf({ hidden: [2] })] })
    const data = fromArray({ data: rows(16384, 512), shape: [16384, 512] })
    const accumulate = Number(process.env.RANK_PARTS ?? 1)
    const optimizer = { type: 'sgd', lr: 1e-5 }
    return fitted(flow, data, { iterations: 2, batch: 16384, accumulate, optimizer }, group)
  },
  context: async (group) => {
    const context = { data: rows(1032, 3), shape: [1032, 3] }
    const data = fromArray({ data: rows(1032), shape: [1032, 2] }, { context })
    return fitted(await makeFlow({ context: { size: 3 } }), data, twenty, group)
  },
  matching: async (group) => fitted(await makeFlow(), few(), { ...twenty, objective: 'fm' }, group),
  coupled: async (group) =>
    fitted(
      await makeFlow(),
      few(),
      { ...twenty, batch: 512, objective: { type: 'fm', coupling: 'optimal' } },
      group
    ),
  blocks: async (group) =>
    fitted(await makeFlow({ blocks: [cnf(), cnf()] }), few(), { ...twenty, objective: 'fm' }, group),
  together: async (group) =>
    fitted(await makeFlow({ control: 'batch' }), few(), { ...twenty, validation, sharedSteps: true }, group),
  /** Of a batch's rows each rank reads those of its number, in turns; the last batch is not whole. */
  sharded: async (group) => {
    const own = () =>
      (function* () {
        for (let row = group.rank; row < 1032; row += group.size)
          yield [...rows(1032).subarray(2 * row, 2 * row + 2)]
      })()
    const data = fromAsyncIterable(own, { shape: [2] })
    return fitted(await makeFlow(), data, { ...twenty, shard: true }, group)
  },
  batch: async (group) => fitted(await makeFlow({ control: 'batch' }), few(), twenty, group),
  cards: (group) => onCards({}, group),
  'norm on cards': (group) =>
    onCards({ blocks: [{ type: 'batch_norm', lag: 0.3 }, cnf(), { type: 'batch_norm' }] }, group),
  images: async (group) => {
    const vae = await Vae.create({
      shape: [1, 4, 4],
      likelihood: 'bernoulli',
      latent: 2,
      encoder: [{ type: 'dense', units: 12 }],
      decoder: [{ type: 'dense', units: 12 }],
      head: [{ type: 'dense', units: 16 }],
      posterior: { type: 'none' },
      seed: 2,
      threads: 1,
      device: 'cpu'
    })
    const data = rows(520, 16).map((x) => (x > 0 ? 1 : 0))
    return fitted(
      vae,
      fromArray({ data, shape: [520, 1, 4, 4] }),
      { epochs: 5, batch: 128, validation: { data: data.slice(0, 16 * 101), every: 1 } },
      group
    )
  },

  /** 20 iterations and a file, which `resumed` goes on from to 40. */
  saved: async (group) => {
    const flow = await makeFlow()
    const found = await fitted(flow, few(), twenty, group)
    if (group.rank === 0) await flow.save(`${out}.safetensors`)
    return found
  },
  resumed: async (group) => {
    const flow = await Flow.load(process.env.RANK_MODEL, { device: 'cpu', threads: 1 })
    return fitted(flow, few(), { ...twenty, iterations: 40, resume: true }, group)
  },
  forty: async (group) => fitted(await makeFlow(), few(), { ...twenty, iterations: 40 }, group),

  failing: async (group) => {
    const flow = await makeHardFlow()
    const before = digest(flow)
    const found = await fitted(flow, hardRows(), { iterations: 3, shuffle: false }, group)
    return { ...found, unchanged: found.weights === before }
  },
  /** A row of rank 1 makes the state infinite, and the step that all take together. */
  'failing together': async (group) => {
    const flow = await makeFlow({ blocks: [cnf({ activation: 'softplus' })], control: 'batch' })
    const data = rows(256)
    data[400] = 3e38
    const options = { iterations: 3, shuffle: false, sharedSteps: true }
    return fitted(flow, fromArray({ data, shape: [256, 2] }), options, group)
  },
  skipping: async (group) =>
    fitted(await makeHardFlow(), hardRows(), { iterations: 3, shuffle: false, skipFailures: true }, group),
  /** The last rank has enough. */
  aborted: async (group) => {
    const controller = new AbortController()
    if (group.rank === group.size - 1) setTimeout(() => controller.abort(), 300)
    return fitted(await makeFlow(), few(), { iterations: 1e6, signal: controller.signal }, group)
  },
  broken: async (group) => {
    const flow = await makeFlow()
    const fit = flow.fit(few(), { batch: 256, iterations: 1e6, group })
    for await (const { iteration } of fit) if (group.rank === group.size - 1 && iteration > 5) break
    return { iterations: (await fit).iterations, weights: digest(flow) }
  },
  /** The last rank ends by an error of its own loop, and the others have yet to note what they have. */
  left: async (group) => {
    const fit = (await makeFlow()).fit(few(), { batch: 256, iterations: 1e6, group })
    for await (const { iteration } of fit)
      if (group.rank === group.size - 1 && iteration > 5) throw new Error('no more')
    await new Promise((resolve) => setTimeout(resolve, 1000))
    return { stopped: (await fit).stopped }
  },
  thrown: async (group) => {
    const checkpoint = {
      every: 5,
      save: () => {
        throw new Error('the disk is full')
      }
    }
    return fitted(await makeFlow(), few(), { iterations: 100, checkpoint }, group)
  },
  /** Behind a fit that failed on all ranks. */
  'failing alone': async (group) => {
    const data = (name) =>
      fromAsyncIterable(
        async function* () {
          if (group.rank === 1) throw new Error(`there is no ${name}`)
          for (;;) yield rows(256)
        },
        { shape: [2] }
      )
    return fitted(await makeFlow(), few(), { ...twenty, validation: { data: data('file'), every: 5 } }, group)
  },
  'two at once': async (group) => {
    const flows = [await makeFlow(), await makeFlow({ seed: 9 })]
    const [found, second] = await Promise.all(flows.map((flow) => fitted(flow, few(), twenty, group)))
    return { ...found, second }
  },
  /** Rank 0 has rows for a batch more, and those of rank 1 that are left are fewer. */
  'shards that differ': async (group) => {
    const count = group.rank === 0 ? 600 : 500
    const data = fromArray({ data: rows(count), shape: [count, 2] })
    const stream = fromAsyncIterable(() => data.batches({ size: 50 }), { shape: [2] })
    return fitted(await makeFlow(), stream, { ...twenty, shard: true, accumulate: 2 }, group)
  },
  /** Rank 1 has a batch more. */
  'other end': async (group) => {
    const batches = Array.from({ length: 2 + group.rank }, () => ({ data: rows(256), shape: [256, 2] }))
    return fitted(await makeFlow(), fromAsyncIterable(batches, { shape: [2] }), twenty, group)
  },
  'after leaving': async (group) => {
    const flow = await makeFlow()
    const fit = flow.fit(few(), { iterations: 5, batch: 256, group })
    const running = fit.then(({ iterations }) => iterations)
    await new Promise((resolve) => setImmediate(resolve))
    const early = await group.leave().catch(({ code }) => code)
    const iterations = await running
    await group.leave()
    return { ...(await fitted(flow, few(), twenty, group)), early, iterations }
  },
  'other batch': async (group) =>
    fitted(await makeFlow(), few(), { ...twenty, batch: 256 + group.rank }, group),
  'other data': async (group) =>
    fitted(
      await makeFlow(),
      rows(1032).map((x) => x + group.rank),
      twenty,
      group
    ),
  'other visits': async (group) => {
    const shape = [1, 2, 2]
    const flow = await makeFlow({ shape, blocks: [cnf({ hidden: [2], strides: [1, 1] })] })
    const images = fromImages(new Uint8Array(256 * 4), { shape, seed: group.rank })
    return fitted(flow, images, { iterations: 2 }, group)
  },
  'other flow': async (group) =>
    fitted(await makeFlow({ blocks: [cnf({ hidden: [12, 11 + (group.rank % 2)] })] }), few(), twenty, group),

  /** To be killed, stopped or told to end from outside. */
  endless: async (group) => {
    const flow = await makeFlow()
    const checkpoint = { every: 5, save: `${out}.safetensors` }
    return fitted(flow, few(), { iterations: 1e6, checkpoint }, group)
  }
}

async function main() {
  const joined = () => Group.join({ deadline: Number(process.env.RANK_DEADLINE ?? 60) })
  const [group, same] = await Promise.all([joined(), joined()])
  const { rank, size, localRank, localSize, threads, transport } = group
  const found = {
    rank,
    size,
    localRank,
    localSize,
    threads,
    transport,
    same: same === group,
    pid: process.pid,
    jobs: {}
  }
  const note = () => writeFileSync(`${out}.${rank}.json`, JSON.stringify(found))
  note()
  for (const name of names) {
    found.jobs[name] = await jobs[name](group)
    note()
  }
  return Object.values(found.jobs).some(({ error }) => error?.code === 'PEER_LOST') ? 3 : 0
}

main().then(
  (code) => {
    process.exitCode = code
  },
  (error) => {
    process.stderr.write(`${error.code} ${error.message}\n`)
    process.exitCode = 1
  }
)
