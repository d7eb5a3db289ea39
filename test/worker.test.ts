import { join } from 'node:path'
import { Worker } from 'node:worker_threads'

/** Workers have no transpiler, so they run the built package. */
const built = join(__dirname, '..', 'dist', 'index.js')

const train = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { Flow, toy } = require(workerData)
  ;(async () => {
    const flow = await Flow.create({ shape: [2], blocks: [{ type: 'cnf', net: { hidden: [16, 16] } }] })
    for await (const { iteration } of flow.fit(toy('moons'), { iterations: 1e6, batch: 64 })) parentPort.postMessage(iteration)
  })()`

test('worker threads train at once, and end cleanly when terminated in the middle', async () => {
  const workers = [0, 1].map(() => new Worker(train, { eval: true, workerData: built }))
  await Promise.all(
    workers.map(
      (worker) =>
        new Promise<void>((resolve, reject) => {
          worker.on('error', reject)
          worker.on('message', (iteration: number) => iteration > 3 && resolve())
        })
    )
  )
  expect(await Promise.all(workers.map((worker) => worker.terminate()))).toEqual([1, 1])
})
