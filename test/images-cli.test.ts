import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Flow, imageFolder, imageSet, writePng } from 'ffjord'
import { PNG } from 'pngjs'
import { describeComputation, describeFlow } from '../lib/cli/architecture'
import { imagePreset, imagePresetNames } from '../lib/cli/image-presets'

const root = join(__dirname, '..')
const folder = mkdtempSync(join(tmpdir(), 'ffjord-images-cli-'))
const mnist = join(__dirname, 'images', 'mnist')
const run = join(folder, 'run')
afterAll(() => rmSync(folder, { recursive: true, force: true }))

function ffjord(...given: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'dist/cli/index.js'), ...given], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr })
    })
  })
}

beforeAll(async () => {
  const small = '--hidden 2 --parallel 1 --iterations 4 --batch 4 --validation 0.5'
  const { code, stderr } = await ffjord(
    'train',
    '--data',
    `mnist:${mnist}`,
    '--out',
    run,
    ...small.split(' ')
  )
  expect(stderr).toMatch(/images\/s/)
  expect(code).toBe(0)
}, 60_000)

test('images are scored one by one, to the number and by class, as eval scores them together', async () => {
  const scores = join(folder, 'scores.csv')
  const call = ['--model', run, '--data', `mnist:${mnist}`, '--draws', '3', '--seed', '5']
  const { code, stderr } = await ffjord('logprob', ...call, '--spread', '--out', scores)
  expect(code).toBe(0)
  expect(stderr).toMatch(/^Scoring {2}0\/6 log-densities$/m)
  const [head, ...lines] = readFileSync(scores, 'utf8').trim().split('\n')
  expect(head).toBe('image,label,log_prob,bits_per_dim,spread')
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const { test: images } = await imageSet('mnist', mnist)
  const found = await flow.bitsPerDim(images!, { draws: 3, seed: 5 })
  expect(lines).toHaveLength(found.rows)
  const size = images!.shape.reduce((product, extent) => product * extent)
  for (const [image, line] of lines.entries()) {
    const cells = line.split(',')
    const draws = [0, 1, 2].map((draw) => found.logProb[draw * found.rows + image]!)
    const density =
      Math.log(draws.reduce((sum, value) => sum + Math.exp(value - draws[0]!), 0) / 3) + draws[0]!
    expect(cells[0]).toBe(String(image))
    expect(cells[1]).toBe(images!.labels!.names[images!.labels!.values[image]!])
    expect(Number(cells[2])).toBeCloseTo(density, 3)
    expect(Number(cells[3])).toBeCloseTo((-density / size + Math.log(256)) / Math.LN2, 4)
    expect(Number(cells[4])).toBeGreaterThan(0)
  }
})

test('a set of images is inspected before training: its parts, levels, classes and repeated images', async () => {
  const { code, stdout } = await ffjord('inspect', '--data', `mnist:${mnist}`, '--json')
  expect(code).toBe(0)
  const { shape, parts } = JSON.parse(stdout)
  const { train, test: tested } = await imageSet('mnist', mnist)
  expect(shape).toEqual(train.shape)
  const held = parts.find(({ part }: { part: string }) => part === 'test')
  expect(held.images).toBe(tested!.rows)
  expect(held.levels.highest).toBe(Math.max(...tested!.levels))
  const zeros = tested!.levels.filter((level) => level === held.levels.commonest).length
  expect(held.levels.share).toBe(zeros / tested!.levels.length)
  const classes = Object.values(held.classes as Record<string, number>)
  expect(classes.reduce((sum, count) => sum + count)).toBe(tested!.rows)
  const lines = (await ffjord('inspect', '--data', `mnist:${mnist}`)).stdout
  expect(lines).toMatch(/images of 3 × 4 in grey/)
})

test('training ends with bits per dimension, and a report of images', () => {
  const page = readFileSync(join(run, 'report.html'), 'utf8')
  for (const text of ['Bits per dimension', 'Most likely', 'Least likely', 'Samples'])
    expect(page).toContain(text)
})

test('the report moves samples from noise to images, in one file', () => {
  const page = readFileSync(join(run, 'report.html'), 'utf8')
  const data = JSON.parse(
    /<script type="application\/json" id="report-data">(.*?)<\/script>/s.exec(page)![1]!
  )
  const { times, png, width, height, step } = data.images
  expect(times).toHaveLength(25)
  expect(times[0]).toBeGreaterThan(0)
  expect(times.at(-1)).toBe(0)
  const picture = PNG.sync.read(Buffer.from(png.split(',')[1], 'base64'))
  expect([picture.width, picture.height]).toEqual([width, 24 * step + height])
  // The first frame is noise, and the last one are samples.
  const frame = (index: number) =>
    picture.data.subarray(4 * width * step * index, 4 * width * (step * index + height))
  expect(Buffer.compare(frame(0), frame(24))).not.toBe(0)
  expect(page).toContain('<canvas id="images"')
  expect(page).not.toMatch(/(src|href)="http/)
})

describe('pictures of several sizes, with transparency', () => {
  const photos = join(folder, 'photos')
  const out = join(folder, 'photos-run')
  const data = `images:${photos}`

  beforeAll(async () => {
    mkdirSync(photos)
    for (let i = 0; i < 8; i++) {
      const png = new PNG({ width: 10 + i, height: 12 })
      for (let at = 0; at < png.data.length; at++)
        png.data[at] = at % 4 === 3 ? (at % 8 === 3 ? 128 : 255) : (at * (i + 3)) % 256
      writeFileSync(join(photos, `${i}.png`), PNG.sync.write(png))
    }
    const reading = '--resize 4x8 --channels 1 --alpha white --flip --dequantize truncated-normal'
    const small = '--hidden 2 --parallel 1 --iterations 3 --batch 4 --validation 0.25 --test 0.25'
    const { code, stderr } = await ffjord(
      'train',
      '--data',
      data,
      '--out',
      out,
      ...`${reading} ${small}`.split(' ')
    )
    expect(stderr).not.toMatch(/error/i)
    expect(code).toBe(0)
  }, 60_000)

  test('are read as the options say, and again as in training', async () => {
    using flow = await Flow.load(join(out, 'model.safetensors'))
    expect(flow.shape).toEqual([1, 4, 8])
    const reading = {
      resize: [4, 8] as const,
      channels: 1,
      alpha: 'white',
      dequantize: 'truncated-normal'
    } as const
    expect(flow.provenance!.images).toEqual(reading)
    const given = ['eval', '--model', out, '--data', data]
    const found = JSON.parse((await ffjord(...given, '--json')).stdout)
    const images = await imageFolder(photos, reading)
    const own = await flow.bitsPerDim(images, { certify: 100 })
    expect(found).toMatchObject({ n: 8, dequantize: 'truncated-normal', bitsPerDim: own.bitsPerDim })
    const uniform = JSON.parse((await ffjord(...given, '--dequantize', 'uniform', '--json')).stdout)
    expect(uniform).toMatchObject({
      dequantize: 'uniform',
      bitsPerDim: (await flow.bitsPerDim(images, { dequantize: 'uniform' })).bitsPerDim
    })
    const other = await ffjord(...given, '--resize', '8')
    expect(other.code).not.toBe(0)
    expect(other.stderr).toMatch(/\[1, 8, 8\]|\[1,8,8\]/)
    const published = await ffjord('eval', '--model', out, '--data', `mnist:${mnist}`)
    expect(published.stderr).toMatch(/samples of shape \[1,3,4\], and the flow \[1,4,8\]/)
  }, 60_000)

  test('go on being read so where a run is resumed', async () => {
    const { code, stderr } = await ffjord('train', '--resume', '--out', out, '--iterations', '4')
    expect(stderr).not.toMatch(/error/i)
    expect(code).toBe(0)
  }, 60_000)

  test('are refused without them, with the option that helps', async () => {
    const { code, stderr } = await ffjord('train', '--data', data, '--out', join(folder, 'none'))
    expect(code).toBe(1)
    expect(stderr).toMatch(/transparent pixel.*--alpha/s)
    const sizes = await ffjord('train', '--data', data, '--out', join(folder, 'none'), '--alpha', 'black')
    expect(sizes.stderr).toMatch(/--resize/)
  }, 60_000)

  test.each([[[]], [['--quiet']]])(
    'a flow that flow matching cannot train leaves no folder behind (%p)',
    async (more) => {
      const empty = join(folder, 'multiscale')
      const reading = '--resize 8 --channels 1 --alpha white --validation 0.25 --test 0.25'
      const call = `train --preset mnist --hidden 2 --blocks 1 --objective fm --data ${data} --out ${empty} ${reading}`
      const { code, stderr } = await ffjord(...call.split(' '), ...more)
      expect(code).not.toBe(0)
      expect(stderr).toMatch(/flow matching/)
      expect(existsSync(empty)).toBe(false)
    },
    60_000
  )

  test.each([
    ['--resize 8', /--resize, --channels and --alpha go with images:FOLDER/],
    ['--dequantize centre', /give --dequantize uniform or truncated-normal/],
    ['--no-dequantize', /give --dequantize uniform or truncated-normal/],
    ['--resize 0x8', /whole number of at least 1/],
    ['--channels 2', /1 for grey/]
  ])('%s is a wrong call with a published set, and no folder is left', async (options, message) => {
    const empty = join(folder, 'wrong')
    const { code, stderr } = await ffjord(
      'train',
      '--data',
      `mnist:${mnist}`,
      '--out',
      empty,
      ...options.split(' ')
    )
    expect([code, existsSync(empty)]).toEqual([2, false])
    expect(stderr).toMatch(message)
  })
})

test('all pixels are standardised alike, behind the logit', async () => {
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const [logit, standardize] = flow.description.blocks
  expect(logit).toEqual({ type: 'logit', alpha: 1e-6 })
  const { mean, scale } = standardize as unknown as { mean: number[]; scale: number[] }
  expect(new Set(mean).size + new Set(scale).size).toBe(2)
  expect(scale[0]).toBeGreaterThan(0.5)
})

test('eval has what the bits depend on, as the library does', async () => {
  const given = [
    'eval',
    '--model',
    run,
    '--data',
    `mnist:${mnist}`,
    '--draws',
    '3',
    '--centre',
    '--certify',
    '2'
  ]
  const told = await ffjord(...given, '--against', `mnist:${mnist}`, '--json')
  expect(told.stderr).toMatch(/^Scoring {2}0\/8 log-densities$/m)
  expect(told.stderr).toContain('Fitting plain densities to compare with')
  const found = JSON.parse(told.stdout)
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const { test } = await imageSet('mnist', mnist)
  const own = await flow.bitsPerDim(test, { draws: 3, centre: true, certify: 2 })
  expect(found).toMatchObject({
    n: 2,
    draws: 3,
    bitsPerDim: own.bitsPerDim,
    bound: own.bound,
    centre: own.centre
  })
  expect(found.baselines).toHaveLength(3)
  const { stdout, stderr } = await ffjord(...given, '--quiet')
  expect(stderr).not.toContain('Scoring')
  for (const text of ['Bits/dim', 'Bound', 'Centre', 'as RNODE evaluates', 'Errors'])
    expect(stdout).toContain(text)
}, 60_000)

test('samples come as one picture, which shows them row by row', async () => {
  const out = join(folder, 'grid.png')
  expect((await ffjord('sample', '--model', run, '-n', '5', '--seed', '3', '--out', out)).code).toBe(0)
  const { width, height, data } = PNG.sync.read(readFileSync(out))
  using flow = await Flow.load(join(run, 'model.safetensors'))
  const [, tall, wide] = flow.shape as [number, number, number]
  expect([width, height]).toEqual([3 * wide + 4, 2 * tall + 2])
  const samples = (await flow.sample(5, { seed: 3 })).data
  const pixel = (image: number, y: number, x: number) =>
    data[4 * ((Math.floor(image / 3) * (tall + 2) + y) * width + (image % 3) * (wide + 2) + x)]!
  for (const image of [0, 4])
    for (const [y, x] of [
      [0, 0],
      [tall - 1, wide - 2]
    ] as const)
      expect(
        Math.abs(pixel(image, y, x) - 256 * samples[(image * tall + y) * wide + x]!)
      ).toBeLessThanOrEqual(1)
})

test.each(imagePresetNames)('the preset %s describes a flow', (name) => {
  const recipe = imagePreset(name)
  const shape = name === 'cifar10' ? [3, 32, 32] : [1, 28, 28]
  const fixed = recipe.scale === 'standardize' ? [{ type: 'zero_mean' } as const] : []
  expect(describeFlow(recipe, shape, fixed).blocks.length).toBeGreaterThan(1)
  expect(describeComputation(recipe).trace).toMatchObject({ noise: expect.anything() })
  expect(Number.isInteger(recipe.iterations)).toBe(true)
})

const pictures = join(folder, 'pictures')
beforeAll(async () => {
  mkdirSync(pictures)
  for (let i = 0; i < 8; i++)
    await writePng(join(pictures, `${i}.png`), {
      data: Float32Array.from({ length: 64 }, (_, at) => Math.abs(Math.sin(at * (i + 1)))),
      shape: [1, 1, 8, 8]
    })
})

test.each(imagePresetNames)(
  'the preset %s tells what it will take, and trains',
  async (name) => {
    const small = '--batch 2 --iterations 2 --validation-rows 2 --validation 0.3 --test 0.3 --no-report'
    const hidden = imagePreset(name).hidden.map(() => 2)
    const phases = name === 'mnist-fm' ? ['--matching', '1'] : []
    const call = `train --preset ${name} --data images:${pictures} --out ${join(folder, name)} --hidden ${hidden} ${small}`
    const { code, stderr } = await ffjord(...call.split(' '), ...phases)
    expect(stderr).toMatch(
      name === 'mnist-fm'
        ? /Estimate: .*1 iterations of flow matching at .*, 1 iterations of maximum likelihood at /
        : /Estimate: .*2 iterations of /
    )
    expect(code).toBe(0)
  },
  60_000
)
