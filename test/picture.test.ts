import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { fromImage, type LawDataset } from 'ffjord'
import { PNG } from 'pngjs'
import { failure } from './failure'

const folder = mkdtempSync(join(tmpdir(), 'ffjord-picture-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

/** Writes a picture whose pixels have this grey and opacity. */
function draw(
  name: string,
  width: number,
  height: number,
  pixel: (column: number, row: number) => number | { grey: number; alpha: number }
): string {
  const png = new PNG({ width, height })
  for (let i = 0; i < width * height; i++) {
    const value = pixel(i % width, Math.floor(i / width))
    const { grey, alpha } = typeof value === 'number' ? { grey: value, alpha: 255 } : value
    png.data.set([grey, grey, grey, alpha], 4 * i)
  }
  const path = join(folder, name)
  writeFileSync(path, PNG.sync.write(png))
  return path
}

const slope = draw('slope.png', 12, 6, (column, row) => 255 - 17 * column - 8 * row)

function columns(data: LawDataset, count: number): [x: number[], y: number[]] {
  const rows = Array.from(data.sample(count).data)
  return [rows.filter((_, i) => i % 2 === 0), rows.filter((_, i) => i % 2 === 1)]
}

test('points lie where the picture is dark: upright, and as wide for its height as it is', async () => {
  const corner = draw('corner.png', 40, 20, (column, row) => (column < 4 && row < 4 ? 0 : 255))
  const [x, y] = columns(await fromImage(corner), 500)
  const spacing = 8 / 39
  expect(Math.abs(Math.min(...x) + 4)).toBeLessThan(3 * spacing)
  expect(Math.max(...x)).toBeLessThan(-4 + 6 * spacing)
  expect(Math.abs(Math.max(...y) - (19 / 2) * spacing)).toBeLessThan(3 * spacing)
  expect(Math.min(...y)).toBeGreaterThan((19 / 2 - 6) * spacing)
})

test('the density is the sum over all pixels', async () => {
  const data = await fromImage(slope)
  const deviation = 4 / 11
  const weights = Array.from({ length: 72 }, (_, i) => 17 * (i % 12) + 8 * Math.floor(i / 12))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  const points = columns(data, 50)
  const rows = points[0].map((x, i) => [x, points[1][i]!])
  data.logDensity(rows).forEach((value, i) => {
    const [x, y] = rows[i] as [number, number]
    const p = weights.reduce((sum, weight, pixel) => {
      const dx = (x - (-4 + (8 / 11) * (pixel % 12))) / deviation
      const dy = (y - (8 / 11) * (2.5 - Math.floor(pixel / 12))) / deviation
      return sum + (weight / total) * Math.exp(-(dx * dx + dy * dy) / 2)
    }, 0)
    expect(value).toBeCloseTo(Math.log(p / (2 * Math.PI * deviation ** 2)), 8)
  })
})

test('samples follow the density, and the entropy is theirs', async () => {
  const data = await fromImage(slope, { seed: 3 })
  const surprisal = data.logDensity(data.sample(20_000)).map((value) => -value)
  const mean = surprisal.reduce((sum, value) => sum + value, 0) / surprisal.length
  const variance = surprisal.reduce((sum, value) => sum + (value - mean) ** 2, 0) / surprisal.length
  expect(Math.abs(mean - data.entropy)).toBeLessThan(5 * Math.sqrt(variance / surprisal.length))
  expect(data.withSeed(3).sample(10).data).toEqual((await fromImage(slope, { seed: 3 })).sample(10).data)
})

test('transparent parts are white', async () => {
  const pierced = draw('pierced.png', 4, 4, (column) => ({ grey: 0, alpha: column < 2 ? 255 : 0 }))
  const plain = draw('plain.png', 4, 4, (column) => (column < 2 ? 0 : 255))
  const [a, b] = [await fromImage(pierced), await fromImage(plain)]
  expect(a.sample(20).data).toEqual(b.sample(20).data)
})

test('a large picture is averaged down', async () => {
  const large = draw('large.png', 300, 4, (column) => (column < 150 ? 100 * (column % 2) : 200))
  const small = draw('small.png', 150, 2, (column) => (column < 75 ? 50 : 200))
  const averaged = await fromImage(large, { pixels: 150 })
  expect(averaged.sample(100).data).toEqual((await fromImage(small)).sample(100).data)
})

test('wrong files are refused', async () => {
  await failure(() => fromImage(join(folder, 'none.png')), 'FILE_NOT_FOUND')
  await failure(() => fromImage(join(folder, 'photo.jpg')), 'UNSUPPORTED_FILE')
  await failure(() => fromImage(draw('blank.png', 5, 5, () => 200)), 'INVALID_FILE')
  const torn = join(folder, 'torn.png')
  writeFileSync(torn, readFileSync(slope).subarray(0, 60))
  await failure(() => fromImage(torn), 'INVALID_FILE')
  await failure(() => fromImage(slope, { pixel: 3 } as object), 'UNKNOWN_OPTION')
})

test('train learns a picture and shows it in the report', async () => {
  const out = join(folder, 'run')
  const given = [
    '--hidden',
    '16',
    '--batch',
    '64',
    '--iterations',
    '20',
    '--test-rows',
    '500',
    '--quiet',
    '--json'
  ]
  const command = join(__dirname, '..', 'dist', 'cli', 'index.js')
  const { stdout } = await promisify(execFile)(process.execPath, [
    command,
    ...['train', '--data', slope, '--out', out],
    ...given
  ])
  const { klGap, entropy } = JSON.parse(stdout)
  expect(klGap).toBeGreaterThan(0)
  expect(entropy).toBeCloseTo((await fromImage(slope)).entropy, 10)
  const page = readFileSync(join(out, 'report.html'), 'utf8')
  for (const title of ['True density', 'Learned density', 'From base to data']) expect(page).toContain(title)
}, 60_000)
