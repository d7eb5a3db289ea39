import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { imageFolder, writePng } from 'ffjord'
import { readPicture } from '../lib/image/picture-file'
import { resized } from '../lib/image/resize'
import { failure } from './failure'

/** Fixtures, by images/make.py. */
const pictures = join(__dirname, 'images', 'pictures')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-folder-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** Copies of fixtures under other names, or as they are called. */
function put(...names: (string | [from: string, to: string])[]): void {
  for (const name of names) {
    const [from, to] = typeof name === 'string' ? [name, name] : name
    mkdirSync(dirname(join(folder, to)), { recursive: true })
    copyFileSync(join(pictures, from), join(folder, to))
  }
}

/** As make.py computes them: (height, width, channels). */
function made(count: number, step: number): number[] {
  return Array.from({ length: count }, (_, i) => (step * i + Math.floor(i / 7)) % 256)
}

/** (height, width, channels) → (channels, height, width). */
function planes(interleaved: ArrayLike<number>, channels: number): number[] {
  const pixels = interleaved.length / channels
  return Array.from(
    { length: interleaved.length },
    (_, i) => interleaved[(i % pixels) * channels + Math.floor(i / pixels)]!
  )
}

const levelsOf = async (options = {}) => [...(await imageFolder(folder, options)).levels]
const colours = planes(made(105, 29), 3)

test.each(['colours.png', 'interlaced.png', 'opaque.png'])('%s to the last digit', async (name) => {
  put(name)
  const data = await imageFolder(folder)
  expect(data.shape).toEqual([3, 5, 7])
  expect([...data.levels]).toEqual(colours)
})

test('palettes are looked up, and one, four and eight bits are 0 … 255', async () => {
  put('palette.png')
  expect(await levelsOf()).toEqual(
    planes(
      made(105, 1).map((level) => Math.floor(level / 64) * 64),
      3
    )
  )
  for (const name of ['grey-1.png', 'grey-4.png']) {
    put([name, 'palette.png'])
    expect(await levelsOf()).toEqual([...readFileSync(join(pictures, `${name}.levels`))])
  }
  put(['grey.png', 'palette.png'])
  expect(await levelsOf()).toEqual(made(35, 9))
})

test('JPEG within four levels of what another decoder makes of it', async () => {
  for (const [name, channels] of [
    ['smooth.jpg', 3],
    ['smooth-progressive.jpeg', 3],
    ['smooth-grey.jpg', 1]
  ] as const) {
    rmSync(folder, { recursive: true })
    put(name)
    const data = await imageFolder(folder)
    expect(data.shape).toEqual([channels, 16, 24])
    const other = planes(readFileSync(join(pictures, `${name}.levels`)), channels)
    const distance = Math.max(...other.map((level, i) => Math.abs(level - data.levels[i]!)))
    expect(distance).toBeLessThanOrEqual(4)
  }
})

test('files come in the order of their paths, and folders are classes', async () => {
  put(['colours.png', 'b/2.png'], ['colours.png', 'a/9.PNG'], ['opaque.png', 'b/deeper/1.png'])
  writeFileSync(join(folder, 'a', 'notes.txt'), 'no image')
  const data = await imageFolder(folder, { dequantize: 'centre', flip: true })
  expect(data.labels).toEqual({ values: Uint16Array.of(0, 1, 1), names: ['a', 'b'] })
  expect(data.law).toBe('centre')
  put(['colours.png', '0.png'])
  expect((await imageFolder(folder)).labels).toBeUndefined()
})

test('grey among colours is repeated, and colours become grey where asked for', async () => {
  put('colours.png', 'grey.png')
  const grey = made(35, 9)
  expect(await levelsOf()).toEqual([...colours, ...grey, ...grey, ...grey])
  const luma = Array.from({ length: 35 }, (_, i) =>
    Math.round(0.299 * colours[i]! + 0.587 * colours[35 + i]! + 0.114 * colours[70 + i]!)
  )
  expect(await levelsOf({ channels: 1 })).toEqual([...luma, ...grey])
  const hostile = Proxy.revocable({}, {})
  hostile.revoke()
  await failure(() => imageFolder(folder, { channels: hostile.proxy as 1 }), 'INVALID_OPTION')
  rmSync(join(folder, 'colours.png'))
  put(['colours.png', 'later.png'])
  const { message } = await failure(() => imageFolder(folder), 'INVALID_SHAPE')
  expect(message).toMatch(/image 1: .*later.png has colours, and grey.png is grey; give \{ channels: 3 \}/)
})

test('transparency is refused, or shows white or black', async () => {
  put('alpha.png')
  const { message } = await failure(() => imageFolder(folder), 'INVALID_FILE')
  expect(message).toMatch(
    /image 0: .*alpha.png has a transparent pixel, number 0; .*alpha: 'white' or 'black'/
  )
  const opacity = 102
  const over = (ground: number) =>
    colours.map((level) => Math.round((opacity * level + (255 - opacity) * ground) / 255))
  expect(await levelsOf({ alpha: 'white' })).toEqual(over(255))
  expect(await levelsOf({ alpha: 'black' })).toEqual(over(0))
})

test('pictures are cut around their middle, and averaged without aliases', async () => {
  put('smooth.jpg', 'colours.png')
  const sizes = await failure(() => imageFolder(folder), 'INVALID_SHAPE')
  expect(sizes.message).toMatch(
    /image 1: .*smooth.jpg has 24 × 16 pixels, and colours.png has 7 × 5; give \{ resize \}/
  )
  const data = await imageFolder(folder, { resize: [4, 6] })
  expect([data.rows, ...data.shape]).toEqual([2, 3, 4, 6])
  // A slope stays a slope, at the middles of new pixels, but for the ones at its ends.
  const slope = {
    width: 24,
    height: 16,
    isGrey: true,
    levels: Uint8Array.from({ length: 384 }, (_, i) => 10 * (i % 24))
  }
  const half = resized(slope, 8, 8)
  expect([...half.levels.subarray(9, 15)]).toEqual(
    [1, 2, 3, 4, 5, 6].map((i) => Math.round(10 * (4 + 2 * i + 0.5)))
  )
  const checks = { ...slope, levels: slope.levels.map((_, i) => 255 * ((i + Math.floor(i / 24)) % 2)) }
  for (const level of resized(checks, 4, 6).levels.subarray(7, 11))
    expect(Math.abs(level - 127.5)).toBeLessThan(1)
  expect(resized(slope, 16, 24)).toBe(slope)
})

test('what cannot be read is refused by its name and number, with a remedy', async () => {
  put('colours.png')
  const bytes = readFileSync(join(pictures, 'colours.png'))
  const photo = readFileSync(join(pictures, 'smooth.jpg'))
  const message = async (content: Uint8Array, name = 'x.png') => {
    writeFileSync(join(folder, name), content)
    const error = await failure(() => imageFolder(folder), 'INVALID_FILE')
    expect(error.message).toContain(`image 1: ${join(folder, name)} `)
    rmSync(join(folder, name))
    return error.message
  }
  expect(await message(bytes.subarray(0, 100))).toMatch(
    /cannot be decoded .*cut short or damaged; write it anew/
  )
  const flipped = Buffer.from(bytes)
  flipped[60]! ^= 1
  expect(await message(flipped)).toMatch(/cannot be decoded/)
  expect(await message(bytes.subarray(0, 20))).toMatch(/ends within its header/)
  expect(await message(new Uint8Array())).toMatch(/is empty/)
  expect(await message(Buffer.from('GIF89a'))).toMatch(
    /neither a PNG nor a JPEG file, whatever its name says/
  )
  expect(await message(readFileSync(join(pictures, 'deep.png')))).toMatch(/16 bits a level.*-depth 8/)
  expect(await message(photo.subarray(0, photo.length - 40), 'x.jpg')).toMatch(
    /cut short: its end is missing/
  )
  expect(await message(photo.subarray(0, 30), 'x.jpg')).toMatch(/ends within its header/)
  expect(await message(readFileSync(join(pictures, 'print.jpg')), 'x.jpg')).toMatch(
    /4 channels, as for print/
  )
  const huge = Buffer.from(bytes)
  huge.writeUInt32BE(2 ** 31, 16)
  expect(await message(huge)).toMatch(/2147483648 × 5 pixels/)
  writeFileSync(join(folder, 'x.webp'), 'x')
  await failure(() => imageFolder(folder), 'UNSUPPORTED_FILE')
  await failure(() => imageFolder(join(folder, 'nowhere')), 'FILE_NOT_FOUND')
  mkdirSync(join(folder, 'empty'))
  await failure(() => imageFolder(join(folder, 'empty')), 'EMPTY_BATCH')
  await failure(() => imageFolder(folder, { resize: 0 }), 'INVALID_OPTION')
  await failure(() => imageFolder(folder, { channels: 2 as 1 }), 'INVALID_OPTION')
})

test('thousands of files are read in their order', async () => {
  const grey = readFileSync(join(pictures, 'grey.png'))
  for (let i = 0; i < 1500; i++) writeFileSync(join(folder, `${String(i).padStart(5, '0')}.png`), grey)
  copyFileSync(join(pictures, 'grey-1.png'), join(folder, '01000.png'))
  const data = await imageFolder(folder)
  expect(data.rows).toBe(1500)
  expect([...data.pick(Uint32Array.of(1000)).levels]).toEqual([
    ...readFileSync(join(pictures, 'grey-1.png.levels'))
  ])
})

test('a grid of images as a PNG, whose levels come back', async () => {
  const path = join(folder, 'grid.png')
  const shape = [3, 1, 2, 2]
  const numbers = Float32Array.from({ length: 12 }, (_, i) => (20 * i + 0.5) / 256)
  await writePng(path, { data: numbers, shape }, { columns: 2, gap: 1 })
  const { width, height, isGrey, levels } = readPicture(path, readFileSync(path), 'refuse')
  expect([width, height, isGrey]).toEqual([5, 5, true])
  expect([...levels]).toEqual(
    [
      [0, 20, 0, 80, 100],
      [40, 60, 0, 120, 140],
      [0, 0, 0, 0, 0],
      [160, 180, 0, 0, 0],
      [200, 220, 0, 0, 0]
    ].flat()
  )
  await writePng(path, { data: Uint8Array.from(colours), shape: [1, 3, 5, 7] })
  expect(await levelsOf()).toEqual(colours)
  // Beyond [0, 1] as at its ends.
  await writePng(path, { data: Float64Array.of(-1, 1, 1.5, 0.999), shape: [1, 1, 2, 2] })
  expect(await levelsOf()).toEqual([0, 255, 255, 255])
  await failure(
    () => writePng(path, { data: Float32Array.of(Number.NaN), shape: [1, 1, 1, 1] }),
    'NOT_FINITE'
  )
  await failure(() => writePng(path, { data: numbers, shape: [3, 2, 2, 1] }), 'INVALID_SHAPE')
  await failure(() => writePng(join(folder, 'no', 'grid.png'), { data: numbers, shape }), 'FILE_NOT_WRITABLE')
})
