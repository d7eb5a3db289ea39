import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, fromImages, imageFolder, type ScoringProgress, writePng } from 'ffjord'
import { PNG } from 'pngjs'
import { curves } from '../lib/report/history'
import { imageSections } from '../lib/report/image-sections'
import { GAP } from '../lib/report/image-sheet'
import { failure } from './failure'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-classes-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function ffjord(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist/cli/index.js'), ...given], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

/** Images of noise around 60 in class 'dark', around 190 in class 'light'. */
function noisy(image: number, side: number): Uint8Array {
  const middle = image % 2 ? 190 : 60
  return Uint8Array.from({ length: side * side }, (_, i) => middle + 40 * Math.sin(7 * i + 3.1 * image))
}

/** A flow of one time unit whose field is a constant a class: x − (c₁ − c₀) is Gaussian. */
async function shifting(extra: { mean?: number[]; scale?: number[] } = {}) {
  const flow = await Flow.create({
    shape: [1, 1, 2],
    blocks: [{ type: 'cnf', time: 1, trainTime: false, net: { hidden: [], strides: [1], layer: 'concat' } }],
    context: { size: 2, columns: ['label=left', 'label=right'], ...extra },
    trace: 'exact',
    device: 'reference'
  })
  const zero = Object.entries(flow.parameters()).map(([name, { data }]) => [
    name,
    name.endsWith('sqrt_end_time') ? data : data.map(() => 0)
  ])
  const bias = zero.find(([name]) => /context|cond/.test(String(name)))
  ;(bias![1] as Float32Array).set([2, -1])
  flow.setParameters(Object.fromEntries(zero))
  return flow
}

describe('p(class | image)', () => {
  const images = fromImages(Uint8Array.of(0, 10, 200, 250, 90, 90), {
    shape: [1, 1, 2],
    labels: [0, 1, 0],
    labelNames: ['left', 'right']
  })

  test("is Bayes' theorem on the densities of each class, over draws of noise", async () => {
    using flow = await shifting()
    const prior = [0.2, 0.8]
    const told: number[] = []
    const onProgress = ({ scored, total }: ScoringProgress) => void told.push(scored, total)
    const found = await flow.labelProbabilities(images, { prior, draws: 2, onProgress })
    expect(told).toEqual([0, 12, 3, 12, 6, 12, 9, 12, 12, 12])
    const expected: number[] = []
    for (let row = 0; row < 3; row++) {
      const joint = [0, 0]
      for (const draw of [0, 1]) {
        const x = (await images.dequantize('uniform').draw(draw).take(3)).data.subarray(2 * row, 2 * row + 2)
        for (const label of [0, 1]) {
          const context = [[1 - label, label]]
          joint[label]! += prior[label]! * Math.exp((await flow.logProb(x, { context }))[0]!)
        }
      }
      expected.push(joint[0]! / (joint[0]! + joint[1]!), joint[1]! / (joint[0]! + joint[1]!))
    }
    found.probabilities.forEach((value, at) => {
      expect(value).toBeCloseTo(expected[at]!, 6)
    })
    expect(Math.abs(found.probabilities[0]! - 0.2)).toBeGreaterThan(0.01)
    const own = [expected[0]!, expected[3]!, expected[4]!]
    expect(found.logLoss!.value).toBeCloseTo(-own.reduce((sum, p) => sum + Math.log(p), 0) / 3, 6)
    expect(found.accuracy).toBeCloseTo(own.filter((p) => p > 0.5).length / 3, 10)
    expect(found.names).toEqual(['left', 'right'])
  })

  test('takes the shares of the training images, which standardise the context, for a prior', async () => {
    using flow = await shifting({ mean: [0.25, 0.75], scale: [0.5, 0.5] })
    expect((await flow.labelProbabilities(images)).prior).toEqual([0.25, 0.75])
    using equal = await shifting()
    expect((await equal.labelProbabilities(images)).prior).toEqual([0.5, 0.5])
  })

  test('classes are matched by name, and those that the flow does not know are refused', async () => {
    using flow = await shifting()
    const { shape, levels } = images
    const turned = fromImages(levels, { shape, labels: [1, 0, 1], labelNames: ['right', 'left'] })
    expect(await flow.labelProbabilities(turned)).toEqual(await flow.labelProbabilities(images))
    const strange = fromImages(levels, { shape, labels: [1, 0, 1], labelNames: ['right', 'up'] })
    await failure(() => flow.labelProbabilities(strange), 'INVALID_INPUT')
    await failure(() => flow.labelProbabilities(images, { prior: [1] }), 'INVALID_OPTION')
    using plain = await Flow.create({ shape, blocks: [{ type: 'zero_mean' }], device: 'reference' })
    await failure(() => plain.labelProbabilities(images), 'UNSUPPORTED')
  })
})

describe('a flow of two classes in folders', () => {
  const run = join(folder, 'run')
  const data = `images:${join(folder, 'pictures')}`
  const small = '--hidden 2 --parallel 2 --iterations 3 --batch 4 --validation 0.2 --test 0.4'

  beforeAll(async () => {
    for (const [label, name] of ['dark', 'light'].entries()) {
      mkdirSync(join(folder, 'pictures', name), { recursive: true })
      for (let i = 0; i < 10; i++)
        await writePng(join(folder, 'pictures', name, `${i}.png`), {
          data: noisy(2 * i + label, 8),
          shape: [1, 1, 8, 8]
        })
    }
    const given = `train --preset mnist-smoke --data ${data} --context label --out ${run} ${small}`
    const { code, stderr } = await ffjord(...given.split(' '))
    expect(stderr).toMatch(/Estimate: .*3 iterations of flow matching at .* images\); memory: .* MiB/)
    expect(code).toBe(0)
  }, 60_000)

  test('the report shows classes, paths and holes filled in', () => {
    const page = readFileSync(join(run, 'report.html'), 'utf8')
    for (const text of [
      'Samples by class',
      'p(class | image)',
      'Between two test images',
      'From noise to samples',
      'Image, hole, fillings',
      'Bits per dimension'
    ])
      expect(page).toContain(text)
  })

  test('lines in the base begin and end with their images', () => {
    const svg = readFileSync(join(run, 'paths-of-images.svg'), 'utf8')
    const [between] = [...svg.matchAll(/base64,([^"]+)"/g)].map(([, text]) =>
      PNG.sync.read(Buffer.from(text!, 'base64'))
    )
    const each = 8 + GAP
    // Test images are dark or light: the ends of lines have the levels of one of them, everywhere.
    expect([between!.width, (between!.height + GAP) % each]).toEqual([9 * each - GAP, 0])
    for (let line = 0; line < (between!.height + GAP) / each; line++)
      for (const left of [0, 8 * each]) {
        const levels = Array.from(
          { length: 64 },
          (_, i) => between!.data[4 * ((each * line + Math.floor(i / 8)) * between!.width + left + (i % 8))]!
        )
        const middle = levels.reduce((sum, level) => sum + level, 0) / 64
        const near = Math.abs(middle - 60) < 15 ? 60 : 190
        for (const level of levels) expect(Math.abs(level - near)).toBeLessThan(44)
      }
  })

  test('eval tells classes, with a probability each in --json', async () => {
    const { stdout } = await ffjord('eval', '--model', run, '--data', data)
    expect(stdout).toMatch(/Classes {2}\d+\.\d % right, log loss/)
    const found = JSON.parse((await ffjord('eval', '--model', run, '--data', data, '--json')).stdout)
    expect(found.labels).toMatchObject({ n: 20, names: ['dark', 'light'] })
    for (const [dark, light] of found.labels.probabilities) expect(dark + light).toBeCloseTo(1, 10)
  }, 60_000)

  test('samples stand in a line a class, or are of one by its name', async () => {
    const out = join(folder, 'classes.png')
    const { stderr } = await ffjord('sample', '--model', run, '-n', '5', '--seed', '3', '--out', out)
    expect(stderr).toContain('3 samples of each class')
    const { width, height } = PNG.sync.read(readFileSync(out))
    expect([width, height]).toEqual([3 * 8 + 2 * 2, 2 * 8 + 2])
    const one = join(folder, 'light.npy')
    const given = ['sample', '--model', run, '-n', '2', '--out', one, '--context']
    expect((await ffjord(...given, 'light')).code).toBe(0)
    const { code, stderr: refused } = await ffjord(...given, 'red')
    expect(code).not.toBe(0)
    expect(refused).toContain("'red' is no level of 'label' (dark, light)")
  }, 60_000)
})

test('losses of images are drawn in bits per dimension', () => {
  const nothing = [null, null]
  const history = {
    iteration: [1, 2],
    loss: [0, -16 * Math.log(256)],
    validation: nothing,
    evaluations: nothing,
    backwardEvaluations: nothing,
    accepted: nothing,
    rejected: nothing,
    gradientNorm: nothing,
    learningRate: nothing
  }
  const [chart] = curves({ ...history, dimensions: 16 }).charts
  expect(chart!.title).toBe('Loss, bits per dimension')
  expect(chart!.series[0]!.values).toEqual([8, 0])
  expect(curves(history).charts[0]!.title).toContain('nats')
})

test('a multiscale flow has lines between images, and says what is left out', async () => {
  const test = fromImages(
    Uint8Array.from({ length: 4 * 16 }, (_, i) => (37 * i) % 256),
    { shape: [1, 4, 4] }
  )
  using flow = await Flow.create({
    shape: [1, 4, 4],
    blocks: [{ type: 'squeeze' }, { type: 'cnf', net: { hidden: [2], strides: [1, 1] } }],
    device: 'reference'
  })
  const rows = (await test.take(4)).data
  const { sections, images } = await imageSections(flow, { rows, samples: rows, test, seed: 1 })
  expect(images).toBeUndefined()
  expect(sections.map(({ title }) => title)).toEqual(['Images', 'Paths of images'])
  expect(sections[1]!.note).toContain('left out')
  expect(sections[1]!.panels).toHaveLength(1)
})

test('folders of classes with more than a few images are read to their ends', async () => {
  for (const name of ['one', 'two']) {
    mkdirSync(join(folder, 'many', name), { recursive: true })
    for (let i = 0; i < 40; i++)
      await writePng(join(folder, 'many', name, `${i}.png`), { data: new Uint8Array(4), shape: [1, 1, 2, 2] })
  }
  expect((await imageFolder(join(folder, 'many'))).rows).toBe(80)
})
