import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type FitOptions, Flow, type FlowOptions, toy } from 'ffjord'
import { normalizeSettings } from '../lib/flow/normalize-settings'
import { type BudgetState, initialBudgetState } from '../lib/flow/training-state'
import { watchEvaluations } from '../lib/training/evaluation-budget'
import { failure } from './failure'

const settings = normalizeSettings({ regularize: { kinetic: 0.02 } }).training

/** Warnings of a run whose evaluations are `counts`. */
function warnings(counts: readonly number[], budget?: number | false, state = initialBudgetState()) {
  return counts.flatMap((nfe, i) => {
    const iteration = { iteration: i + 1, nfe, blockNfe: [nfe / 4, (3 * nfe) / 4] }
    return watchEvaluations(state, iteration, budget, settings, 1e-5) ?? []
  })
}

const steady = (nfe: number, count: number) => Array.from({ length: count }, () => nfe)

test('growth is measured from the start, and told once a doubling', () => {
  expect(warnings(steady(20, 500))).toEqual([])
  expect(warnings([...steady(20, 30), ...steady(75, 500)])).toEqual([])
  const found = warnings([...steady(20, 30), ...steady(100, 200), ...steady(200, 200)])
  expect(found.map(({ budget }) => budget)).toEqual([80, 160])
  expect(found[0]).toMatchObject({ code: 'EVALUATIONS_GREW', startNfe: 20 })
  expect(found[0]!.nfe).toBeGreaterThan(80)
  expect(found[0]!.blockNfe[1]! / found[0]!.nfe).toBeCloseTo(0.75)
  expect(found[0]!.message).toMatch(/8\d evaluations \(by block: 2\d, 6\d\), 4\.\d times the 20 of the first/)
  expect(found[0]!.message).toContain('kinetic 0.02')
  expect(found[0]!.message).toContain('weight decay (now 0.00001)')
  expect(found[0]!.message).toContain('rtol 0.00001')
})

test('one dear batch is no growth', () => {
  expect(warnings([...steady(20, 50), 1000, ...steady(20, 50)])).toEqual([])
})

test('a budget of its own, or none', () => {
  expect(warnings([...steady(20, 30), ...steady(60, 100)], 50)).toHaveLength(1)
  expect(warnings([...steady(20, 30), ...steady(2000, 100)], false)).toEqual([])
})

test('a state that was saved goes on where it stood', () => {
  const counts = [...steady(20, 30), ...steady(300, 60)]
  const whole = warnings(counts)
  const state = initialBudgetState()
  const before = warnings(counts.slice(0, 35), undefined, state)
  const stored = JSON.parse(JSON.stringify(state)) as BudgetState
  const after = warnings(counts.slice(35), undefined, stored)
  expect([...before, ...after].map(({ nfe }) => nfe)).toEqual(whole.map(({ nfe }) => nfe))
})

const model: FlowOptions = {
  shape: [2],
  blocks: [{ type: 'cnf', net: { hidden: [8] } }],
  solver: { rtol: 1e-3, atol: 1e-3 },
  device: 'reference'
}
const options: FitOptions = { iterations: 30, batch: 16, nfeBudget: 1 }

describe('a fit', () => {
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ffjord-budget-'))
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('carries the warning in its records, progress and result', async () => {
    using flow = await Flow.create(model)
    const fit = flow.fit(toy('moons'), options)
    const seen: string[] = []
    for await (const progress of fit) {
      expect(progress.warnings).toEqual(progress.records.flatMap(({ warning }) => warning ?? []))
      expect(progress.blockNfe).toHaveLength(1)
      expect(progress.blockNfe[0]).toBeCloseTo(progress.nfe)
      for (const { message } of progress.warnings) seen.push(message)
    }
    const result = await fit
    expect(result.warnings.map(({ message }) => message)).toEqual(seen)
    expect(result.warnings.map(({ iteration }) => iteration)).toEqual([21])
  })

  test('does not repeat it after a resume', async () => {
    using flow = await Flow.create(model)
    await flow.fit(toy('moons'), options)
    const path = join(folder, 'model.safetensors')
    await flow.save(path)
    using again = await Flow.load(path)
    const { warnings } = await again.fit(toy('moons'), { ...options, iterations: 60, resume: true })
    expect(warnings).toEqual([])
  })

  test('refuses a budget that is none', async () => {
    using flow = await Flow.create(model)
    await failure(async () => flow.fit(toy('moons'), { ...options, nfeBudget: -1 }), 'INVALID_OPTION')
  })
})
