import { spawn } from 'node:child_process'
import { join } from 'node:path'

/** Child processes have no transpiler, so they run the built package. */
const built = join(__dirname, '..', 'dist', 'index.js')

/** Jobs that never come to their end, and how the process ends in the midst of them. */
const jobs = {
  fit: 'flow.fit(x(2000), { iterations: 1e9, batch: 500 })',
  sample: 'forever(() => flow.sample(3000))',
  several: 'forever(() => Promise.all([flow.logProb(x(3000)), flow.score(x(500)), flow.logProb(x(100))]))',
  certify: 'forever(() => flow.logProb(x(1000), { certify: true }))'
}
const ends = {
  'process.exit': { code: 'process.exit(7)', status: 7 },
  'an uncaught exception': { code: 'setImmediate(() => { throw new Error("uncaught") })', status: 1 },
  'an unhandled rejection': { code: 'Promise.reject(new Error("unhandled"))', status: 1 }
}

const script = (job: string, end: string, milliseconds: number) => `
  const { Flow } = require(${JSON.stringify(built)})
  const x = (n) => Float32Array.from({ length: 2 * n }, (_, i) => Math.sin(i))
  const forever = async (call) => { for (;;) await call() }
  ;(async () => {
    const flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [32, 32, 32] } }], threads: 2 })
    setTimeout(() => { ${end} }, ${milliseconds})
    await ${job}
  })()`

/** The exit code, or the signal, of a process that runs `code`. */
function outcome(code: string): Promise<number | NodeJS.Signals | null> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['-e', code], { stdio: 'ignore', timeout: 30_000 })
    child.on('error', reject)
    child.on('exit', (status, signal) => resolve(signal ?? status))
  })
}

describe.each(Object.entries(ends))('%s', (_, { code, status }) => {
  test.each(Object.entries(jobs))('ends a process during %s by its exit code', async (_, job) => {
    for (const milliseconds of [0, 15, 40])
      expect(await outcome(script(job, code, milliseconds))).toBe(status)
  })
})

test('a process whose worker threads train ends by its exit code', async () => {
  const training = script(jobs.fit, '', 0).replace(
    'setTimeout(() => {  }, 0)',
    'require("node:worker_threads").parentPort.postMessage(0)'
  )
  const code = `
    const { Worker } = require('node:worker_threads')
    let waiting = 2
    for (let i = 0; i < 2; i++)
      new Worker(${JSON.stringify(training)}, { eval: true }).on('message', () => { if (--waiting === 0) setTimeout(() => process.exit(7), 20) })`
  expect(await outcome(code)).toBe(7)
})
