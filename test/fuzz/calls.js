const { join } = require('node:path')
const { types } = require('node:util')
const { spoil } = require('./spoil.js')

/** Calls of every exported function with one or two hostile arguments. */
module.exports = async function calls(ffjord, folder) {
  const { Flow } = ffjord
  const x = (count = 4) => Float32Array.from({ length: count }, (_, i) => Math.sin(i))
  const net = () => ({ hidden: [4], layer: 'concat', activation: 'tanh' })
  const description = () => ({
    shape: [2],
    blocks: [
      { type: 'standardize', mean: [0, 0], scale: [1, 2] },
      { type: 'cnf', time: 0.5, trainTime: true, net: net() }
    ],
    solver: { method: 'bosh3', rtol: 1e-2, atol: 1e-2, maxAttempts: 200, evaluation: { rtol: 1e-2 } },
    trace: { noise: 'rademacher', probes: 1 },
    gradient: { method: 'checkpoint' },
    regularize: { kinetic: 0.1 },
    seed: 1,
    threads: 1
  })
  const soon = () => AbortSignal.timeout(2000)
  const evaluation = () => ({ seed: 1, rowOffset: 0, trace: 'exact', rtol: 1e-2, atol: 1e-2, signal: soon() })
  const columns = () => [
    { name: 'a', type: 'real', lower: -2 },
    { name: 'b', type: 'integer', step: 1 }
  ]
  const table = () => ({ columns: columns() })
  const data = () => ffjord.fromArray(x(16), { shape: [2], columns: ['a', 'b'] })
  const file = join(folder, 'rows.csv')
  require('node:fs').writeFileSync(file, 'a,b\n1,2\n2,3.5\n3,1\n4,7\n5,2\n6,1\n')

  let flow
  let conditional
  const renew = async () => {
    flow?.dispose()
    conditional?.dispose()
    flow = await Flow.create(description())
    conditional = await Flow.create({ ...description(), context: { size: 1, gates: false } })
    flow.optimizer({ type: 'sgd' })
  }
  await renew()
  const model = join(folder, 'model.safetensors')
  await flow.save(model)
  const own = (path) => (typeof path === 'string' ? join(folder, 'written') : path)

  const layers = (units) => [{ type: 'dense', units, activation: 'tanh' }]
  const autoencoder = () => ({
    shape: [4],
    likelihood: 'bernoulli',
    latent: 2,
    encoder: layers(3),
    decoder: layers(3),
    head: layers(4),
    posterior: { type: 'planar', flows: 1 },
    device: 'reference',
    seed: 1,
    threads: 1
  })
  const pixels = () => Float32Array.of(0, 1, 1, 0, 1, 1, 0, 0)
  const vae = await ffjord.Vae.create(autoencoder())
  const group = await ffjord.Group.join()
  const autoencoderFile = join(folder, 'vae.safetensors')
  await vae.save(autoencoderFile)
  /** Options with numbers under `key` that end. */
  const bounded = (options, key, most) => {
    const isPlain = typeof options === 'object' && options !== null && !types.isProxy(options)
    const value = isPlain ? options[key] : undefined // read once, as it may be another thing the next time
    return typeof value === 'number' && value > most ? { ...options, [key]: most } : options
  }
  const few = (count) => (typeof count === 'number' && count > 100 ? 100 : count)

  const finite = (values) => {
    for (const value of values) if (Number.isNaN(value)) throw new Error('NaN was accepted')
  }
  const used = async (set) => {
    for await (const batch of set.batches({ size: 2 })) {
      finite(batch.data)
      break
    }
    finite((await set.take(2)).data)
  }
  /** Arguments, and what is done with them. */
  const all = {
    'Flow.create': [() => [description()], async (o) => (await Flow.create(o)).dispose()],
    multiscale: [
      () => [
        {
          shape: [1, 8, 8],
          hidden: [2],
          strides: [1, 1],
          blocks: 1,
          time: 1,
          trainTime: true,
          layer: 'concat'
        }
      ],
      async (o) => {
        const blocks = ffjord.multiscale(o)
        ;(await Flow.create({ shape: o.shape, blocks, threads: 1 })).dispose()
      }
    ],
    'Flow.load': [
      () => [model, { threads: 1, trace: 'exact', seed: 2 }],
      async (p, o) => (await Flow.load(p, o)).dispose()
    ],
    save: [() => ['file', { weightsOnly: true }], (p, o) => flow.save(own(p), o)],
    logProb: [() => [x(), evaluation()], async (rows, o) => finite(await flow.logProb(rows, o))],
    certify: [() => [x(), { seed: 1, certify: true }], (rows, o) => flow.logProb(rows, o)],
    noise: [() => [x(), { noise: [x()], trace: { noise: 'gaussian' } }], (rows, o) => flow.logProb(rows, o)],
    logProbSync: [
      () => [
        [
          [1, 2],
          [0, 1]
        ],
        { seed: 1 }
      ],
      (rows, o) => finite(flow.logProbSync(rows, o))
    ],
    conditional: [
      () => [x(), { context: x(2) }],
      async (rows, o) => finite(await conditional.logProb(rows, o))
    ],
    batch: [
      () => [{ data: x(), shape: [2, 2], context: { data: x(2), shape: [2, 1] } }],
      (rows) => conditional.loss(rows)
    ],
    forward: [() => [x(), evaluation()], (rows, o) => flow.forward(rows, o)],
    forwardSync: [() => [x(), { seed: 1 }], (rows, o) => flow.forwardSync(rows, o)],
    inverse: [() => [x(), evaluation()], (rows, o) => flow.inverse(rows, o)],
    sample: [
      () => [3, { ...evaluation(), temperature: 1, precision: 'float64' }],
      async (n, o) => finite((await flow.sample(n, o)).data)
    ],
    observe: [
      () => [2, { observe: { mask: [1, 0], values: [0.5, 0], steps: 3 }, seed: 1, signal: soon() }],
      async (n, o) => finite((await flow.sample(n, o)).data)
    ],
    sampleAndLogProb: [() => [3, { context: [[1]], seed: 1 }], (n, o) => conditional.sampleAndLogProb(n, o)],
    sampleBase: [() => [3, { seed: 1, rowOffset: 2 }], (n, o) => flow.sampleBase(n, o)],
    score: [() => [x(), evaluation()], async (rows, o) => finite((await flow.score(rows, o)).data)],
    trajectory: [() => [{ x: x(), times: [0, 0.2], seed: 1 }], (o) => flow.trajectory(o)],
    velocity: [
      () => [x(), { t: [0.1, 0.2], block: 0, divergence: true, trace: 'exact' }],
      (z, o) => flow.velocity(z, o)
    ],
    velocityPullback: [
      () => [x(), { t: 0.1, f: x(), divergence: x(2), parameters: true }],
      (z, o) => flow.velocityPullback(z, o)
    ],
    loss: [() => [x(), { inputGradient: true, seed: 1, signal: soon() }], (rows, o) => flow.loss(rows, o)],
    optimizer: [
      () => [{ type: 'adam', lr: 1e-3, beta1: 0.9, average: 0.5, clipNorm: 1 }],
      async (o) => {
        const optimizer = flow.optimizer(o)
        await flow.loss(x())
        await optimizer.step()
      }
    ],
    lr: [
      () => [1e-3],
      (lr) => {
        flow.optimizer().lr = lr
      }
    ],
    setParameters: [() => [flow.parameters()], (weights) => flow.setParameters(weights)],
    table: [
      () => [{ ...table(), logProbQuantiles: [0, 1] }],
      (schema) => {
        flow.table = schema
        flow.table = undefined
      }
    ],
    evaluate: [
      () => [x(8), { rows: 3, batch: 2, seed: 1, signal: soon(), onProgress: () => undefined }],
      (rows, o) => flow.evaluate(rows, o)
    ],
    bitsPerDim: [
      () => [
        ffjord.fromImages(new Uint8Array(4), { shape: [1, 1, 2] }),
        {
          rows: 2,
          batch: 1,
          draws: 2,
          certify: 1,
          centre: true,
          seed: 1,
          signal: soon(),
          onProgress: () => undefined
        }
      ],
      async (images, o) => {
        const seen = await Flow.create({ shape: [1, 1, 2], blocks: [{ type: 'zero_mean' }], threads: 1 })
        try {
          await seen.bitsPerDim(images, o)
        } finally {
          seen.dispose()
        }
      }
    ],
    labelProbabilities: [
      () => [
        ffjord.fromImages(new Uint8Array(4), { shape: [1, 1, 2], labels: [0, 1] }),
        {
          prior: [0.3, 0.7],
          rows: 2,
          batch: 1,
          draws: 2,
          seed: 1,
          signal: soon(),
          onProgress: () => undefined
        }
      ],
      async (images, o) => {
        const context = { size: 2, columns: ['label=0', 'label=1'] }
        const blocks = [{ type: 'cnf', net: { hidden: [2], strides: [1, 1] } }]
        const seen = await Flow.create({ shape: [1, 1, 2], blocks, context, threads: 1 })
        try {
          await seen.labelProbabilities(images, o)
        } finally {
          seen.dispose()
        }
      }
    ],
    solve: [
      () => [x(), { training: true, seed: 1 }, { z: x(), deltaLogp: x(2), parameters: true }],
      async (rows, o, bar) => {
        const solution = await flow.solve(rows, o)
        try {
          await solution.pullback(bar)
        } finally {
          solution.dispose()
        }
      }
    ],
    fit: [
      () => [
        x(16),
        {
          iterations: 3,
          batch: 4,
          optimizer: { type: 'adam', lr: 1e-3 },
          schedule: { type: 'cosine', warmup: 1 },
          validation: { data: x(), every: 1, rows: 2, patience: 2 },
          keepBest: true,
          skipFailures: true,
          nfeBudget: 50,
          checkpoint: { every: 2, save: () => undefined },
          accumulate: 2,
          shuffle: true,
          seed: 1,
          signal: soon()
        }
      ],
      async (rows, o) => {
        for await (const _ of flow.fit(rows, withEnd(o)));
      }
    ],
    'fit to matching': [
      () => [
        x(16),
        {
          iterations: 3,
          batch: 4,
          objective: { type: 'fm+ml', coupling: 'optimal', matching: 1 },
          schedule: { type: 'step', every: 1, factor: 0.5 },
          signal: soon()
        }
      ],
      (rows, o) => flow.fit(rows, withEnd(o))
    ],
    odeint: [
      () => [(_, y) => y, [1, 2], [0, 0.5, 1], { method: 'dopri5', rtol: 1e-3, maxAttempts: 100 }],
      (f, y, t, o) => ffjord.odeint(f, y, t, o)
    ],
    fromArray: [
      () => [
        { data: x(8), shape: [4, 2] },
        { shape: [2], columns: ['a', 'b'], context: x(4), contextColumns: ['c'] }
      ],
      (rows, o) => used(ffjord.fromArray(rows, o))
    ],
    fromRows: [
      () => [
        [
          [1, 2],
          [3, 4]
        ],
        { columns: ['a', 'b'], context: [[1], [2]], contextColumns: ['c'] }
      ],
      (rows, o) => used(ffjord.fromRows(rows, o))
    ],
    ArrayDataset: [
      () => [x(8), [2], ['a', 'b'], { size: 1, columns: ['c'], data: x(4) }],
      (...all) => used(new ffjord.ArrayDataset(...all))
    ],
    TableDataset: [
      () => [x(8), [2], ['a', 'b']],
      (rows, shape, names) => {
        const set = ffjord.fromArray(rows, { shape, columns: names })
        set.restore({ epoch: 0, row: 1 })
      }
    ],
    'data set': [
      () => [
        { size: 2, shuffle: true, seed: 1, drop: true },
        [0.5, 0.5],
        { seed: 1 },
        3,
        { epoch: 0, row: 1 },
        ['a']
      ],
      async (batches, shares, split, count, state, names) => {
        const set = data()
        for await (const _ of set.batches(batches)) break
        set.split(shares, split)
        await set.take(count)
        set.restore(state)
        set.condition(names)
      }
    ],
    fromImages: [
      () => [
        { data: Uint8Array.from({ length: 12 }, (_, i) => 20 * i), shape: [2, 1, 2, 3] },
        { labels: [0, 1], labelNames: ['a', 'b'], dequantize: 'uniform', flip: true, seed: 1 }
      ],
      (images, o) => used(ffjord.fromImages(images, o))
    ],
    'set of images': [
      () => [
        { size: 2, shuffle: true, seed: 1, drop: true },
        [0.5, 0.5],
        { seed: 1 },
        2,
        { epoch: 0, row: 1 },
        ['label'],
        'centre',
        Uint32Array.of(1, 0)
      ],
      async (batches, shares, options, count, state, names, law, places) => {
        const set = ffjord.fromImages(new Uint8Array(12), { shape: [1, 2, 3], labels: [0, 1] })
        for await (const _ of set.batches(batches)) break
        set.split(shares, options)
        set.first(count)
        set.draw(count)
        await set.take(count)
        set.restore(state)
        set.condition(names)
        set.dequantize(law, options)
        set.binarize(options)
        set.pick(places)
      }
    ],
    imageFolder: [
      () => [folder, { resize: [2, 2], channels: 1, alpha: 'white', flip: true, seed: 1 }],
      (place, o) => ffjord.imageFolder(place, o),
      'refused'
    ],
    writePng: [
      () => [
        join(folder, 'grid.png'),
        { data: Uint8Array.of(1, 2, 3, 4), shape: [2, 1, 1, 2] },
        { columns: 2, gap: 1 }
      ],
      (path, images, o) => ffjord.writePng(own(path), images, o)
    ],
    imageBaselines: [
      () => [
        ffjord.fromImages(new Uint8Array(12), { shape: [1, 2, 3] }),
        ffjord.fromImages(new Uint8Array(6), { shape: [1, 2, 3] }),
        { alpha: 0.01, ridge: 0.1, rows: 2 }
      ],
      (train, test, o) => ffjord.imageBaselines(train, test, o)
    ],
    imageSet: [
      () => ['mnist', folder, { flip: true, seed: 1, split: 2 }],
      (name, place, o) => ffjord.imageSet(name, place, o),
      'refused'
    ],
    LawDataset: [() => ['name', 1], (name, law) => new ffjord.LawDataset(name, law, 0), 'refused'],
    fromAsyncIterable: [
      () => [[x(), x(2)], { shape: [2], columns: ['a', 'b'] }],
      async (source, o) => {
        await ffjord.fromAsyncIterable(source, o).take(2)
      }
    ],
    toy: [() => ['moons', { seed: 1 }], (name, o) => used(ffjord.toy(name, o))],
    fromImage: [
      () => [join(folder, 'no.png'), { seed: 1, pixels: 8 }],
      (path, o) => ffjord.fromImage(path, o),
      'refused'
    ],
    benchmark: [() => ['power', folder], (name, place) => ffjord.benchmark(name, place), 'refused'],
    fromFile: [
      () => [
        file,
        {
          columns: ['a', 'b'],
          header: true,
          delimiter: ',',
          bounds: { a: [0, null] },
          seed: 1,
          invalid: 'drop',
          precision: 'float64'
        }
      ],
      async (path, o) => used(await ffjord.fromFile(path, o))
    ],
    streamFile: [
      () => [file, { columns: ['a', 'b'], repeat: true }],
      async (path, o) => {
        await (await ffjord.streamFile(path, o)).take(2)
      }
    ],
    inspectFile: [
      () => [file, { columns: ['a', 'b'], categorical: 'one-hot' }],
      (path, o) => ffjord.inspectFile(path, o)
    ],
    splitFile: [
      () => [file, { validation: 0.2, test: 0.2, shard: { rank: 0, size: 2 }, keep: 10, exclude: [] }],
      (path, o) => ffjord.splitFile(path, o)
    ],
    fitGaussian: [
      () => [
        [
          [1, 2],
          [2, 1],
          [0, 5]
        ],
        ['a', 'b']
      ],
      (rows, names) => ffjord.fitGaussian(rows, names).logProb(rows)
    ],
    Gaussian: [
      () => [new Float64Array(1), Float64Array.of(1)],
      (mean, factor) => new ffjord.Gaussian(mean, factor)
    ],
    fitMixture: [
      () => [
        [
          [1, 2],
          [2, 1],
          [0, 5],
          [1, 1]
        ],
        { components: 2, rounds: 5, seed: 1 }
      ],
      (rows, o) => ffjord.fitMixture(rows, o)
    ],
    fitMixtureAsync: [
      () => [
        [
          [1, 2],
          [2, 1],
          [0, 5],
          [1, 1]
        ],
        { components: 2, rounds: 5, seed: 1, onProgress: () => undefined }
      ],
      (rows, o) => ffjord.fitMixtureAsync(rows, o)
    ],
    GaussianMixture: [
      () => [Float64Array.of(1), [ffjord.fitGaussian([[1], [2]])]],
      (weights, parts) => new ffjord.GaussianMixture(weights, parts)
    ],
    baselines: [
      () => [data(), data(), { seed: 1, support: { lower: [null, -5], upper: [null, 5] } }],
      (train, test, o) => ffjord.baselines(train, test, o)
    ],
    'Vae.create': [() => [autoencoder()], async (o) => (await ffjord.Vae.create(o)).dispose()],
    'Vae.load': [
      () => [autoencoderFile, { device: 'reference', threads: 1 }],
      async (p, o) => (await ffjord.Vae.load(p, o)).dispose()
    ],
    'Vae.save': [() => ['file', { weightsOnly: true }], (p, o) => vae.save(own(p), o)],
    'Vae.elbo': [
      () => [pixels(), { seed: 1, latent: true }],
      async (b, o) => finite((await vae.elbo(b, o)).elbo)
    ],
    'Vae.logLikelihood': [
      () => [pixels(), { seed: 1, samples: 2, clamp: 1e-3 }],
      async (b, o) => finite((await vae.logLikelihood(b, bounded(o, 'samples', 100))).logLikelihood)
    ],
    'Vae.encode': [() => [pixels(), { seed: 1 }], async (b, o) => finite((await vae.encode(b, o)).mean.data)],
    'Vae.decode': [() => [x(2), { draw: true, seed: 1 }], (z, o) => vae.decode(z, o)],
    'Vae.sample': [() => [2, { seed: 1 }], (count, o) => vae.sample(few(count), o)],
    'Vae.reconstruct': [() => [pixels(), { seed: 1 }], (b, o) => vae.reconstruct(b, o)],
    'Vae.evaluate': [
      () => [pixels(), { images: 2, batch: 2, seed: 1 }],
      async (b, o) => finite([(await vae.evaluate(b, o)).negativeElbo])
    ],
    'Vae.fit': [
      () => [
        pixels(),
        { epochs: 1, warmup: 1, batch: 2, optimizer: { type: 'sgd', lr: 1e-3 }, signal: soon() }
      ],
      (b, o) => vae.fit(b, bounded(o, 'epochs', 2))
    ],
    'Vae.setParameters': [() => [{ 'q_z_mean.bias': x(2) }], (weights) => vae.setParameters(weights)],
    decodeColumns: [() => [columns(), x()], (given, samples) => ffjord.decodeColumns(given, samples)],
    elementNames: [() => [columns()], (given) => ffjord.elementNames(given)],
    tableBlocks: [() => [columns(), x(32), 'standardize'], (...given) => ffjord.tableBlocks(...given)],
    scalingBlocks: [() => [data(), 'whiten'], (...given) => ffjord.scalingBlocks(...given)],
    remarksOn: [() => [data()], (set) => ffjord.remarksOn(set)],
    deviceInfo: [() => [], () => ffjord.deviceInfo()],
    libraryInfo: [() => [], () => ffjord.libraryInfo()],
    'Group.join': [() => [{ deadline: 10 }], (o) => ffjord.Group.join(o)],
    'fit in a group': [
      () => [data(), { iterations: 2, batch: 4, group, shard: true, sharedSteps: true, signal: soon() }],
      (set, o) => flow.fit(set, withEnd(o))
    ],
    readSafetensors: [() => [model], (path) => ffjord.readSafetensors(path)],
    writeSafetensors: [
      () => ['file', { metadata: { a: 'b' }, tensors: new Map([['t', { shape: [2], data: x(2) }]]) }],
      (path, content) => ffjord.writeSafetensors(own(path), content)
    ],
    FfjordError: [
      () => ['CANCELLED', 'message', {}],
      (code, message, o) => new ffjord.FfjordError(code, message, o)
    ]
  }
  /** Lengths that a call was not given would be those of a training until it converges. */
  function withEnd(options) {
    const isPlain = typeof options === 'object' && options !== null && !types.isProxy(options)
    return isPlain && 'iterations' in options ? options : { iterations: 2 }
  }

  const names = Object.keys(all)
  const methods = ['Flow', 'Vae', 'Group', 'toyNames', 'benchmarkNames', 'imageSetNames']
  const untried = Object.keys(ffjord).filter((name) => !names.includes(name) && !methods.includes(name))
  if (untried.length > 0) throw new Error(`no case calls ${untried.join(', ')}`)
  for (const [name, [make, call, end]] of Object.entries(all)) {
    const refused = await Promise.resolve()
      .then(() => call(...make()))
      .then(
        () => undefined,
        (error) => error
      )
    if ((end === 'refused') !== (refused !== undefined))
      throw new Error(`a right call of ${name} ends with ${refused}`)
  }

  let age = 0
  return async (random, tell) => {
    if (++age % 300 === 0) await renew()
    const name = random.one(names)
    const [make, call] = all[name]
    const args = make()
    tell(`${name}: ${spoil(args, random)}`)
    await call(...args)
  }
}
