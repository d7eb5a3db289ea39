import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Flow, type FlowOptions, type Progress } from 'ffjord'
import { failure } from './failure'

const options: FlowOptions = {
  shape: [1],
  blocks: [{ type: 'cnf', net: { hidden: [4] } }],
  solver: { method: 'euler', steps: 1 },
  threads: 1
}
const x = Float32Array.from({ length: 32 }, (_, i) => Math.sin(i))
const dist = join(__dirname, '..', 'dist')

test('a fit has all of a promise', async () => {
  using flow = await Flow.create(options)
  const fit = flow.fit(x, { iterations: 3 })
  expect(Object.prototype.toString.call(fit)).toBe('[object Fit]')
  let ended = 0
  const result = await fit.finally(() => ended++)
  expect(result).toMatchObject({ iterations: 3, stopped: 'iterations' })
  expect(await fit.catch(() => undefined)).toBe(result)
  expect(ended).toBe(1)
  const wrong = flow.fit(x, { iterations: -1 })
  expect(await wrong.catch(({ code }) => code as string)).toBe('INVALID_OPTION')
  await failure(() => wrong.finally(() => ended++), 'INVALID_OPTION')
  expect(ended).toBe(2)
})

test('one that nobody waits for starts by itself', async () => {
  using flow = await Flow.create(options)
  const before = flow.parameters()
  const fit = flow.fit(x, { iterations: 5 })
  for (let i = 0; i < 500 && JSON.stringify(flow.parameters()) === JSON.stringify(before); i++)
    await sleep(10)
  expect(flow.parameters()).not.toEqual(before)
  expect((await fit).iterations).toBe(5)
})

test('an error of one that nobody waits for is an unhandled rejection, as of any promise', () => {
  const code = `
    const { Flow } = require(${JSON.stringify(dist)})
    process.on('unhandledRejection', ({ code }) => { console.log(code); process.exit(7) })
    Flow.create(${JSON.stringify(options)}).then((flow) => { flow.fit([[1]], { iterations: 0 }) })`
  const { status, stdout } = spawnSync(process.execPath, ['-e', code], { encoding: 'utf8' })
  expect([status, stdout.trim()]).toEqual([7, 'INVALID_OPTION'])
})

test('an error that a loop has caught is no unhandled rejection', async () => {
  using flow = await Flow.create(options)
  const unhandled: unknown[] = []
  const listen = (error: unknown) => unhandled.push(error)
  process.on('unhandledRejection', listen)
  await failure(async () => {
    for await (const _ of flow.fit(x, { iterations: -1 }));
  }, 'INVALID_OPTION')
  await sleep(50)
  process.off('unhandledRejection', listen)
  expect(unhandled).toEqual([])
})

test('iterated and awaited at once, both end, with the same result or the same error', async () => {
  using flow = await Flow.create(options)
  const collected = async (fit: AsyncIterable<Progress>) => {
    const seen: number[] = []
    for await (const { iteration } of fit) seen.push(iteration)
    return seen
  }
  const fit = flow.fit(x, { iterations: 3000, batch: 8 })
  const [seen, first, second] = await Promise.all([collected(fit), fit, fit.then()])
  expect(first).toBe(second)
  expect(first).toMatchObject({ iterations: 3000, stopped: 'iterations' })
  expect(seen.at(-1)).toBe(3000)

  const mine = new Error('of the caller')
  const failing = flow.fit(x, {
    iterations: 300,
    checkpoint: {
      every: 100,
      save: () => {
        throw mine
      }
    }
  })
  const outcomes = await Promise.allSettled([collected(failing), failing, failing.then()])
  for (const outcome of outcomes) expect(outcome).toEqual({ status: 'rejected', reason: mine })
  await expect(failing).rejects.toBe(mine)
})

test('a loop that is left ends a fit that is awaited, too', async () => {
  using flow = await Flow.create(options)
  const fit = flow.fit(x, { iterations: 1e8, batch: 8 })
  const left = (async () => {
    for await (const _ of fit) break
  })()
  const [, result] = await Promise.all([left, fit])
  expect(result.stopped).toBe('break')
  expect(await fit).toBe(result)
})

test('a fit that has not ended goes no further once its flow is disposed, even if its last iteration is done', async () => {
  const flow = await Flow.create(options)
  const fit = flow.fit(x, { iterations: 1 })
  const steps = fit[Symbol.asyncIterator]()
  expect((await steps.next()).done).toBe(false)
  flow.dispose()
  await expect(steps.next()).rejects.toMatchObject({ code: 'DISPOSED' })
  await expect(fit).rejects.toMatchObject({ code: 'DISPOSED' })
})
