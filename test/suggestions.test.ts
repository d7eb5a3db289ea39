import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, toy } from 'ffjord'
import { openTestData } from '../lib/cli/data'
import { openImages } from '../lib/cli/vae-data'
import { failure } from './failure'

test('near misses get near suggestions', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-'))
  writeFileSync(join(folder, 'train.csv'), 'a,b\n1,2\n')
  await expect(openTestData('pinweel')).rejects.toThrow("did you mean 'pinwheel'?")
  await expect(openTestData(join(folder, 'tarin.csv'))).rejects.toThrow(
    `did you mean '${join(folder, 'train.csv')}'?`
  )
  await expect(openTestData('minst:FOLDER')).rejects.toThrow("did you mean 'mnist:FOLDER'?")
  await expect(openImages('caltec:FOLDER', { binarize: false, seed: 0 })).rejects.toThrow(
    "did you mean 'caltech:FOLDER'?"
  )
  await expect(openTestData('nothing-like-it')).rejects.toThrow(/^(?!.*did you mean)/)
  rmSync(folder, { recursive: true })

  expect((await failure(() => toy('pinweel' as never), 'INVALID_OPTION')).message).toMatch(/'pinwheel'/)
  const blocks = [{ type: 'cnf', net: { hiden: [4] } }] as never
  expect((await failure(() => Flow.create({ shape: [2], blocks }), 'UNKNOWN_OPTION')).message).toMatch(
    /'hidden'/
  )
})

test('wrong choices name what was meant', async () => {
  const solver = { method: 'dorpi5' } as never
  const blocks = [{ type: 'cnf' as const, net: { hidden: [4] } }]
  const { message } = await failure(() => Flow.create({ shape: [2], blocks, solver }), 'INVALID_OPTION')
  expect(message).toMatch(/did you mean 'dopri5'\?/)
})
