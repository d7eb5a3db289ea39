import { Flow } from 'ffjord'
import { binding } from '../lib/binding'
import { nativeCodes } from '../lib/errors'
import { failure } from './failure'

const tiny = {
  shape: [2],
  blocks: [{ type: 'cnf' as const, net: { hidden: [4] } }],
  solver: { method: 'euler' as const, steps: 1 }
}

test('the binding and the package know the same codes', () => {
  const codes = binding().errorCodes()
  expect(codes.length).toBeGreaterThan(0)
  expect([...nativeCodes].sort()).toEqual([...codes].sort())
})

test('a flow that is disposed of in the middle says so in a code', async () => {
  const flow = await Flow.create(tiny)
  const optimizer = flow.optimizer({ type: 'sgd' })
  const fit = (async () => {
    for await (const _ of flow.fit(new Float32Array(40), { iterations: 1e6, batch: 4 })) flow.dispose()
  })()
  await failure(() => fit, 'DISPOSED')
  await failure(() => optimizer.step(), 'DISPOSED')
  await failure(() => flow.logProb([[0, 0]]), 'DISPOSED')
})
