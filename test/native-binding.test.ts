/**
 * The raw binding: order of calls, lifetimes, errors and the end of threads and processes. What the
 * numbers are is tested elsewhere; here they only have to be the same from every path.
 */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify, types } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type {
  Binding,
  NativeBlock,
  NativeCall,
  NativeError,
  NativeFlow,
  NativeFlowBurst,
  NativeOptimizer,
  NativeSettings
} from '../lib/native/interface'
import { loadAddon } from '../lib/native/load'

const root = join(__dirname, '..')
const binding = loadAddon(root) as Binding
const devices = binding.engines().filter((engine) => engine.unusable === '')

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

const cnf: NativeBlock = {
  type: 'cnf',
  time: 0.5,
  trainTime: true,
  net: {
    hidden: [8, 8],
    layer: 'concatsquash',
    activation: 'tanh',
    residual: false,
    strides: [],
    parallel: 1,
    zeroLast: false,
    spectralNorm: 0
  }
}

const settings: NativeSettings = {
  trace: { mode: 'exact', noise: 'gaussian', probes: 1, form: 'tangent', bottleneck: false, lattice: 0 },
  solver: {
    method: 'dopri5',
    rtol: 1e-4,
    atol: 1e-4,
    steps: 0,
    control: 'batch',
    controller: 'pi',
    maxAttempts: 1000
  },
  gradient: { method: 'checkpoint', norm: 'seminorm' },
  regularize: {},
  steer: 0
}

/** Many small steps: a call that runs for minutes unless it is stopped. */
const endless: NativeSettings = {
  ...settings,
  solver: { ...settings.solver, method: 'euler', steps: 100_000_000, maxAttempts: 2_000_000_000 }
}

const optimizer: NativeOptimizer = {
  type: 'adam',
  learningRate: 1e-3,
  beta1: 0.9,
  beta2: 0.999,
  epsilon: 1e-8,
  momentum: 0,
  weightDecay: 0,
  clipNorm: 0,
  averageDecay: 0,
  step: 1
}

const rows = Float32Array.from({ length: 8 }, (_, i) => Math.sin(3 * i))
const call: NativeCall & { rows: Float32Array } = {
  batch: 4,
  rows,
  noise: { seed: 7, call: 0, rowOffset: 0 },
  settings
}
const solve = { ...call, direction: 'forward', training: false, keepTape: true } as const

function create(device = 'reference', blocks: NativeBlock[] = [cnf]): NativeFlow {
  return new binding.Flow({ shape: [2], blocks }, device, 0, 0)
}

/** The error that `body` throws or rejects with. */
async function failure(body: () => unknown): Promise<NativeError> {
  try {
    await body()
  } catch (error) {
    return error as NativeError
  }
  throw new Error('nothing was thrown')
}

const codeOf = async (body: () => unknown) => (await failure(body)).code

/** Calls with arguments of the wrong kind, which the types forbid. */
function unchecked(flow: NativeFlow) {
  return flow as unknown as Record<string, (...values: unknown[]) => Promise<unknown>>
}

describe.each(devices.map((engine) => engine.name))('calls on %s', (device) => {
  let flow: NativeFlow
  beforeEach(() => {
    flow = create(device)
  })
  afterEach(() => flow.dispose())

  test('asynchronous and synchronous calls give the same numbers', async () => {
    const { logProb, statistics } = await flow.logProb(call)
    expect(flow.logProbSync(call)).toEqual({ logProb, statistics })
    expect(types.isFloat32Array(logProb)).toBe(true)
    expect(logProb).toHaveLength(4)
    expect(statistics.traces).toEqual(flow.traces(settings))
    expect(statistics.blockEvaluations).toEqual([statistics.evaluations])

    const solved = await flow.solve(solve)
    const { tape: _, ...values } = flow.solveSync(solve)
    expect(values).toEqual({ ...solved, tape: undefined })
  })

  test('arrays are read and written in both precisions', async () => {
    const wide = await flow.logProb({ ...call, rows: Float64Array.from(rows), float64: true })
    const { logProb } = await flow.logProb(call)
    expect(types.isFloat64Array(wide.logProb)).toBe(true)
    expect(Float32Array.from(wide.logProb)).toEqual(logProb)
  })

  test('a call reads its rows before it returns', async () => {
    const changing = rows.slice()
    const pending = flow.logProb({ ...call, rows: changing })
    changing.fill(Number.NaN)
    structuredClone(changing.buffer, { transfer: [changing.buffer] })
    expect((await pending).logProb).toEqual((await flow.logProb(call)).logProb)
  })

  test('a view of a larger buffer is read at its offset', async () => {
    const padded = new Float32Array(rows.length + 5).fill(99)
    padded.set(rows, 3)
    const view = padded.subarray(3, 3 + rows.length)
    expect(flow.logProbSync({ ...call, rows: view })).toEqual(flow.logProbSync(call))
  })

  test('calls run in the order they were made, and synchronous ones wait for them', async () => {
    const before = flow.logProbSync(call).logProb
    const order: string[] = []
    const loss = flow.loss({ ...call, inputGradient: true }).then((value) => {
      order.push('loss')
      return value
    })
    const step = flow.step(optimizer).then(() => order.push('step'))
    const after = flow.logProb(call).then(({ logProb }) => {
      order.push('logProb')
      return logProb
    })
    const synchronous = flow.logProbSync(call).logProb // sees the step
    expect(synchronous).toEqual(await after)
    expect(synchronous).not.toEqual(before)
    await Promise.all([loss, step])
    expect(order).toEqual(['loss', 'step', 'logProb'])
    expect((await loss).inputGradient).toHaveLength(rows.length)
  })

  test('a pullback returns cotangents and adds to the gradients', async () => {
    const { tape, z } = await flow.solve(solve)
    flow.zeroGradients()
    const once = await flow.pullback(tape!, {
      zBar: z,
      deltaLogpBar: new Float32Array(4).fill(1),
      parameters: true
    })
    const gradients = flow.read('gradients')
    await flow.pullback(tape!, { zBar: z, deltaLogpBar: new Float32Array(4).fill(1), parameters: true })
    const twice = flow.read('gradients')
    expect(once.rowsBar).toHaveLength(rows.length)
    expect(gradients.some((value) => value !== 0)).toBe(true)
    for (const [i, value] of gradients.entries()) expect(twice[i]).toBeCloseTo(2 * value, 5)
  })

  test('weights are written and read back', () => {
    const weights = flow.read('parameters').map((value, i) => value + i / 1024)
    flow.write('parameters', weights)
    expect(flow.read('parameters')).toEqual(weights)
    expect(flow.parameters.reduce((sum, tensor) => sum + tensor.size, 0)).toBe(weights.length)
  })

  test('a burst trains on uploaded rows', async () => {
    const uploaded = flow.upload(4, rows)
    const burst = makeBurst(uploaded, 3)
    const iterations = await flow.train(burst)
    expect(uploaded.count).toBe(4)
    expect(iterations).toHaveLength(3)
    expect(iterations[2]!.loss).toBeLessThan(iterations[0]!.loss)
    uploaded.release()
    expect(await codeOf(() => flow.train(burst))).toBe('INVALID_ARGUMENT')
  })

  test('a stop ends a solve, and the flow goes on', async () => {
    const stop = new binding.Stop()
    const stopped = codeOf(() => flow.logProb({ ...call, settings: endless, stop }))
    setTimeout(() => stop.request(), 20)
    expect(await stopped).toBe('CANCELLED')
    expect(await codeOf(() => flow.logProb({ ...call, stop }))).toBe('CANCELLED')
    expect((await flow.logProb(call)).logProb).toHaveLength(4)
  })

  test('the stop of a solve also ends its pullback', async () => {
    const stop = new binding.Stop()
    const long = {
      ...settings,
      solver: { ...settings.solver, method: 'euler', steps: 20_000, maxAttempts: 1e6 }
    }
    const { tape, z } = await flow.solve({ ...solve, settings: long, stop })
    const stopped = codeOf(() => flow.pullback(tape!, { zBar: z, parameters: true }))
    setTimeout(() => stop.request(), 1)
    expect(await stopped).toBe('CANCELLED')
    expect((await flow.logProb(call)).logProb).toHaveLength(4)
  })

  test('a solve that cannot go on says where', async () => {
    const hopeless = { ...settings, solver: { ...settings.solver, maxAttempts: 1, rtol: 1e-12, atol: 1e-12 } }
    const error = await failure(() => flow.logProb({ ...call, settings: hopeless }))
    expect(error.code).toBe('SOLVE_FAILED')
    expect(error).toMatchObject({
      t: expect.any(Number),
      h: expect.any(Number),
      block: 0,
      rows: expect.any(Array)
    })
    expect((await flow.logProb(call)).logProb).toHaveLength(4)
  })
})

function makeBurst(uploaded: NativeFlowBurst['rows'], count: number): NativeFlowBurst {
  return {
    objective: 'ml',
    coupling: 'independent',
    parts: 1,
    rows: uploaded,
    indices: Uint32Array.from({ length: 4 * count }, (_, i) => i % 4),
    batchSizes: new Uint32Array(count).fill(4),
    learningRates: new Float64Array(count).fill(1e-2),
    settings,
    optimizer,
    noiseSeed: 1,
    firstCall: 0,
    seconds: 60,
    skipFailures: false
  }
}

describe('lifetimes', () => {
  test('dispose lets the calls under way finish', async () => {
    const flow = create()
    const expected = flow.logProbSync(call).logProb
    const pending = [flow.logProb(call), flow.logProb(call)]
    flow.dispose()
    flow.dispose()
    for (const { logProb } of await Promise.all(pending)) expect(logProb).toEqual(expected)
    for (const use of [() => flow.idle(), () => flow.logProbSync(call), () => flow.read('parameters')])
      expect(await codeOf(use)).toBe('DISPOSED')
  })

  test('a getter that disposes the flow in the middle of a call does no harm', async () => {
    const flow = create()
    const trap = Object.defineProperty({ ...call }, 'float64', { get: () => flow.dispose() })
    expect(await codeOf(() => flow.logProb(trap))).toBe('DISPOSED')
  })

  test('a flow that nobody holds finishes its calls', async () => {
    const pending = Array.from({ length: 20 }, () => create().logProb(call))
    for (let i = 0; i < 5; ++i) {
      collectGarbage()
      await new Promise(setImmediate)
    }
    for (const { logProb } of await Promise.all(pending)) expect(logProb).toHaveLength(4)
  })

  test('garbage collection knows how large flows are', async () => {
    const large: NativeBlock = { ...cnf, net: { ...cnf.net, hidden: [512, 512] } }
    const flows: WeakRef<object>[] = []
    for (let i = 0; i < 40; ++i) {
      flows.push(new WeakRef(create('reference', [large]))) // 9 MB there, a few hundred bytes here
      await new Promise(setImmediate)
    }
    expect(flows.some((flow) => flow.deref() === undefined)).toBe(true)
  })

  test('a tape outlives its flow object, and fails cleanly after dispose', async () => {
    const flow = create()
    const { tape, z } = await flow.solve(solve)
    flow.dispose()
    collectGarbage()
    expect(await codeOf(() => flow.pullback(tape!, { zBar: z, parameters: false }))).toBe('DISPOSED')
    tape!.release()
    tape!.release()
  })

  test('handles of another flow, released ones and foreign objects are refused', async () => {
    const [flow, other] = [create(), create()]
    const { tape, z } = await flow.solve(solve)
    const pullback = { zBar: z, parameters: false }
    const uploaded = flow.upload(4, rows)
    const Tape = tape!.constructor as new () => NonNullable<typeof tape>
    const attempts = [
      () => other.pullback(tape!, pullback),
      () => other.train(makeBurst(uploaded, 1)),
      () => flow.pullback(uploaded as never, pullback),
      () => flow.pullback(new Tape(), pullback),
      () => flow.pullback({ release() {} }, pullback),
      () => flow.train({ ...makeBurst(uploaded, 1), rows: tape as never }),
      () => flow.logProb({ ...call, stop: { request() {} } }),
      () => flow.logProb({ ...call, stop: flow as never })
    ]
    for (const attempt of attempts) expect(await codeOf(attempt)).toBe('INVALID_ARGUMENT')
    const last = flow.pullback(tape!, pullback)
    tape!.release()
    expect((await last).rowsBar).toHaveLength(rows.length)
    expect(await codeOf(() => flow.pullback(tape!, pullback))).toBe('INVALID_ARGUMENT')
    const typeError = expect.objectContaining({ name: 'TypeError' })
    expect(() => flow.idle.call(tape as never)).toThrow(typeError)
    expect(() => (binding.Flow as unknown as () => void)()).toThrow(typeError)
  })
})

describe('arguments', () => {
  const flow = create()

  /** Every way to put `value` in place of one field of `object`, at any depth. */
  function* replaced(object: object, value: unknown): Generator<object> {
    for (const [key, old] of Object.entries(object)) {
      yield { ...object, [key]: value }
      if (typeof old === 'object' && old !== null && !ArrayBuffer.isView(old) && !Array.isArray(old))
        for (const inner of replaced(old, value)) yield { ...object, [key]: inner }
    }
  }

  test('a wrong value in any field ends no process', async () => {
    const uploaded = flow.upload(4, rows)
    const { tape, z } = await flow.solve(solve)
    const velocity = {
      block: 0,
      times: new Float64Array([0.1]),
      steer: 0,
      batch: 4,
      z: rows,
      noise: call.noise,
      trace: settings.trace,
      divergence: true,
      fBar: rows,
      parameters: true
    }
    const short = { ...settings, solver: { ...settings.solver, method: 'euler', steps: 2 } }
    const calls: [string, object, unknown[]][] = [
      ['logProb', { ...call, settings: short }, []],
      ['logProbSync', { ...call, settings: short }, []],
      ['score', { ...call, settings: short }, []],
      ['sample', { ...call, settings: short, temperature: 1, logProb: true }, []],
      ['loss', { ...call, settings: short, inputGradient: true }, []],
      ['solve', { ...solve, settings: short, times: new Float64Array([0.1, 0.2]) }, []],
      ['solveSync', { ...solve, settings: short, times: new Float64Array([0.1, 0.2]) }, []],
      [
        'pullback',
        { zBar: z, deltaLogpBar: z.subarray(0, 4), regularisersBar: z.subarray(0, 0), parameters: true },
        [tape]
      ],
      ['velocity', velocity, []],
      ['velocityPullback', velocity, []],
      ['step', optimizer, []],
      ['train', { ...makeBurst(uploaded, 2), settings: short }, []]
    ]
    const values = [
      undefined,
      null,
      Number.NaN,
      -1,
      0.5,
      'x',
      {},
      [],
      [1, 'a'],
      new Float32Array(3),
      () => 1,
      1n
    ]
    const known = ['INVALID_ARGUMENT', 'UNSUPPORTED', 'SOLVE_FAILED', 'OUT_OF_MEMORY']
    let refused = 0
    for (const [method, good, leading] of calls) {
      await unchecked(flow)[method]!(...leading, good)
      for (const value of values) {
        for (const bad of [value, ...replaced(good, value)]) {
          try {
            await unchecked(flow)[method]!(...leading, bad)
          } catch (error) {
            expect(known).toContain((error as NativeError).code)
            refused++
          }
        }
      }
    }
    expect(refused).toBeGreaterThan(1000)
    expect((await create().logProb(call)).logProb).toHaveLength(4)
  })

  test.each([
    ['call.rows must hold 8 numbers', { rows: new Float32Array(7) }],
    ['call.rows must be a Float32Array', { rows: [1, 2, 3] }],
    ['call.batch must be a whole number', { batch: 2 ** 40 }],
    ['call.noise.seed must be a whole number', { noise: { ...call.noise, seed: 2 ** 60 } }],
    [
      "unknown solver method 'rk5'",
      { settings: { ...settings, solver: { ...settings.solver, method: 'rk5' } } }
    ],
    [
      "unknown call.settings.trace.mode 'none'; known: auto, exact, hutchinson",
      { settings: { ...settings, trace: { ...settings.trace, mode: 'none' } } }
    ],
    [
      'call.settings.solver.steps must be at least 1 with euler',
      { settings: { ...settings, solver: { ...settings.solver, method: 'euler' } } }
    ],
    ['call.noise.given needs one array a CNF block', { noise: { ...call.noise, given: [rows, rows] } }]
  ])('%s', async (message, wrong) => {
    const error = await failure(() => unchecked(flow).logProb!({ ...call, ...wrong }))
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toContain(message.split(' needs')[0])
  })

  test('a detached array is an error', async () => {
    const detached = rows.slice()
    structuredClone(detached.buffer, { transfer: [detached.buffer] })
    expect(await codeOf(() => flow.logProb({ ...call, rows: detached }))).toBe('INVALID_ARGUMENT')
  })

  test.each([
    ['INVALID_ARGUMENT', { shape: [2 ** 30, 2 ** 30, 2 ** 30], blocks: [cnf] }],
    [
      'INVALID_ARGUMENT',
      { shape: [2], blocks: [{ ...cnf, net: { ...cnf.net, hidden: [2 ** 30, 2 ** 30] } }] }
    ],
    [
      'INVALID_ARGUMENT',
      { shape: [2], blocks: [{ ...cnf, net: { ...cnf.net, layer: 'hyper', hidden: [2 ** 31 - 1] } }] }
    ],
    [
      'INVALID_ARGUMENT',
      {
        shape: [1, 4, 4],
        blocks: [{ ...cnf, net: { ...cnf.net, hidden: Array(100).fill(1), strides: Array(101).fill(-2) } }]
      }
    ],
    ['INVALID_ARGUMENT', { shape: [2], blocks: [{ type: 'sorcery' }] }],
    ['INVALID_ARGUMENT', { shape: [], blocks: [cnf] }],
    ['INVALID_ARGUMENT', { shape: [2], blocks: [{ ...cnf, net: { ...cnf.net, activation: 'sine' } }] }],
    ['INVALID_ARGUMENT', null]
  ])('%s for a description that cannot be', async (code, description) => {
    expect(await codeOf(() => new binding.Flow(description as never, 'reference', 0, 0))).toBe(code)
  })

  test('a flow without a seed has its layout at once, and weights when it is made', async () => {
    const drawn = create()
    const outline = new binding.Flow({ shape: [2], blocks: [cnf] }, 'reference', null, 0)
    expect(outline.parameters).toEqual(drawn.parameters)
    expect(outline.memory).toBe(drawn.memory)
    expect(outline.traces(settings)).toEqual(drawn.traces(settings))
    expect(await codeOf(() => outline.read('parameters'))).toBe('INVALID_ARGUMENT')
    expect(await codeOf(() => outline.logProb(call))).toBe('INVALID_ARGUMENT')
    const made = outline.make(0)
    expect(await codeOf(() => outline.make(0))).toBe('INVALID_ARGUMENT')
    expect(await made).toBeUndefined()
    expect(outline.read('parameters')).toEqual(drawn.read('parameters'))
    expect(await outline.logProb(call)).toEqual(await drawn.logProb(call))

    const zeros = new binding.Flow({ shape: [2], blocks: [cnf] }, 'reference', null, 0)
    await zeros.make(null)
    expect(zeros.read('parameters')).toEqual(drawn.read('gradients'))
  })

  test('a flow that is disposed before it is made, or meanwhile, rejects and ends', async () => {
    const outline = new binding.Flow({ shape: [2], blocks: [cnf] }, 'reference', null, 0)
    outline.dispose()
    expect(await codeOf(() => outline.make(0))).toBe('DISPOSED')
    const other = new binding.Flow({ shape: [2], blocks: [cnf] }, 'reference', null, 0)
    const made = other.make(0)
    other.dispose()
    expect(await codeOf(() => made)).toBe('DISPOSED')
    expect(await codeOf(() => other.read('parameters'))).toBe('DISPOSED')
  })

  test('a device that does not exist is an error', async () => {
    const error = await failure(() => create('abacus'))
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(error.message).toContain('reference')
  })

  test('a result that fits no memory is an error', async () => {
    const many = { ...call, batch: 2 ** 32 - 1, temperature: 1, logProb: false, float64: true }
    const wide = new binding.Flow({ shape: [2 ** 20], blocks: [{ type: 'zero_mean' }] }, 'reference', 0, 0)
    expect(await codeOf(() => wide.sample(many))).toBe('OUT_OF_MEMORY')
  })

  test('noise is that of the core, for any cut of its rows', () => {
    const key = { seed: 5, call: 2, block: 1, probe: 3 }
    const whole = binding.noise('gaussian', key, 10, 6, 3)
    expect(binding.noise('gaussian', key, 12, 2, 3)).toEqual(whole.subarray(6, 12))
    expect(new Set(binding.noise('rademacher', key, 0, 50, 3))).toEqual(new Set([-1, 1]))
  })

  test('the machine is described', () => {
    const { instructionSet, instructionSets, threads } = binding.cpu()
    expect(instructionSets).toContain(instructionSet)
    expect(threads).toBeGreaterThanOrEqual(1)
    expect(binding.fmaPeak(0.01)).toBeGreaterThan(0.1)
    expect(binding.methods()).toContainEqual({ name: 'dopri5', order: 5, stages: 7, adaptive: true })
  })
})

describe('threads and processes', () => {
  // Runs in processes of its own: a crash must fail one test, not the suite.
  const prelude = `
    const { b, cnf, call, endless, settings } = (() => {
      const b = require('node-gyp-build')(${JSON.stringify(root)})
      return { b, cnf: ${JSON.stringify(cnf)}, settings: ${JSON.stringify(settings)}, endless: ${JSON.stringify(endless)},
        call: { batch: 4, rows: new Float32Array(8).fill(0.5), noise: { seed: 1, call: 0, rowOffset: 0 }, settings: ${JSON.stringify(settings)} } }
    })()
    const create = (device) => new b.Flow({ shape: [2], blocks: [cnf] }, device, 0, 0)
    const devices = b.engines().filter((e) => e.unusable === '').map((e) => e.name)`

  /** Output and exit code of a program that begins with `prelude`. */
  async function run(program: string): Promise<{ code: number; out: string }> {
    const options = { cwd: root, timeout: 60_000 }
    try {
      const { stdout } = await promisify(execFile)(process.execPath, ['-e', prelude + program], options)
      return { code: 0, out: stdout.trim() }
    } catch (error) {
      const failed = error as { code: number; stdout: string; stderr: string }
      return { code: failed.code ?? -1, out: failed.stdout + failed.stderr }
    }
  }

  test('an idle flow does not keep the process alive, a pending call does', async () => {
    expect(
      await run(`
        const flow = create('reference')
        flow.logProb(call).then(({ logProb }) => console.log(logProb.length))`)
    ).toEqual({ code: 0, out: '4' })
  })

  test('process.exit during calls is clean', async () => {
    expect(
      await run(`
        for (const device of devices)
          for (let i = 0; i < 3; ++i) create(device).logProb({ ...call, settings: endless })
        setTimeout(() => process.exit(3), 50)`)
    ).toEqual({ code: 3, out: '' })
  })

  test('an uncaught error during calls ends the process with its own exit code', async () => {
    const { code, out } = await run(`
      for (const device of devices) create(device).logProb({ ...call, settings: endless })
      setTimeout(() => { throw new Error('as expected') }, 50)`)
    expect(code).toBe(1)
    expect(out).toContain('as expected')
  })

  test('worker threads end while their flows compute, which would take forever', async () => {
    const { code, out } = await run(`
      const { Worker } = require('node:worker_threads')
      const program = ${JSON.stringify(`${prelude}
        for (const device of devices)
          for (let i = 0; i < 6; ++i) create(device).logProb({ ...call, settings: endless })
        setTimeout(() => require('node:worker_threads').parentPort.postMessage('ready'), 10)`)}
      ;(async () => {
        let ended = 0
        for (let i = 0; i < 8; ++i) {
          const worker = new Worker(program, { eval: true })
          await new Promise((resolve) => worker.once('message', resolve))
          await worker.terminate()
          ++ended
        }
        console.log(ended)
      })()`)
    expect({ code, ended: Number(out) }).toEqual({ code: 0, ended: 8 })
  })

  test('several threads load the addon, use it and end one after the other', async () => {
    const { code, out } = await run(`
      const { Worker } = require('node:worker_threads')
      const program = ${JSON.stringify(`${prelude}
        const flows = devices.map(create)
        Promise.all(flows.map((flow) => flow.logProb(call))).then((results) =>
          require('node:worker_threads').parentPort.postMessage(results.map(({ logProb }) => logProb[0])))`)}
      Promise.all(Array.from({ length: 6 }, () => new Promise((resolve, reject) => {
        let result
        const worker = new Worker(program, { eval: true })
        worker.on('message', (message) => { result = message.join() })
        worker.on('exit', () => resolve(result))
        worker.on('error', reject)
      }))).then((results) => console.log(new Set(results).size, results[0]))`)
    expect(code).toBe(0)
    expect(out).toMatch(/^1 -\d/)
  })
})
