// Worker threads that are terminated in the midst of jobs: node ending-workers.js PACKAGE COUNT. Exits by 0 if each
// ended in time without an error; run under a sanitizer, the process ends by what that finds.
const { Worker } = require('node:worker_threads')
const [, , project, count = '60'] = process.argv

/** Runs a job for ever once it has said that the flow is there. */
const body = (job) => `
  const { Flow, odeint } = require(${JSON.stringify(project)})
  const { parentPort } = require('node:worker_threads')
  const x = (n) => Float32Array.from({ length: 2 * n }, (_, i) => Math.sin(i))
  const create = (hidden) => Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden } }], threads: 2 })
  ;(async () => {
    const flow = await create([16, 16])
    parentPort.postMessage('begun')
    const turn = () => new Promise(setImmediate)
    for (;;) { ${job}; await turn() }
  })()`
const jobs = [
  'await flow.fit(x(500), { iterations: 1e6, batch: 100 })',
  'await Promise.all([flow.logProb(x(500)), flow.score(x(100)), flow.logProb(x(20))])',
  'await flow.sample(500)',
  'flow.logProbSync(x(100))',
  'odeint((t, y) => y.map((v) => -v), [1, 2, 3], [0, 10], { rtol: 1e-9 })',
  'const solution = await flow.solve(x(100)); solution.pullback({ z: x(100) }).catch(() => {})',
  'const other = await create([8]); const call = other.logProb(x(200)); other.dispose(); await call',
  'flow.logProb(x(50)).catch(() => {})'
]

/** What was wrong with the worker's end, if anything. */
function ended(job, delay) {
  return new Promise((resolve) => {
    const worker = new Worker(body(job), { eval: true })
    const late = setTimeout(() => resolve(`not ended after 60 s: ${job}`), 60_000)
    worker.on('message', () => setTimeout(() => worker.terminate(), delay))
    worker.on('error', (error) => resolve(`${error}: ${job}`))
    worker.on('exit', () => {
      clearTimeout(late)
      resolve(undefined)
    })
  })
}

;(async () => {
  const wrong = []
  for (let i = 0; i < Number(count); i += 2) {
    const pair = [i, i + 1].map((k) => ended(jobs[k % jobs.length], (37 * k) % 120))
    wrong.push(...(await Promise.all(pair)).filter(Boolean))
  }
  for (const line of wrong) console.error(line)
  console.log(`${count} workers were terminated, ${wrong.length} not as they should be`)
  process.exit(wrong.length > 0 ? 1 : 0)
})()
