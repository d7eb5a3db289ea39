import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type ImageDataset, type ImageSetName, imageSet } from 'ffjord'
import { failure } from './failure'

/** Fixtures, by images/make.py. */
const fixtures = join(__dirname, 'images')

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ffjord-images-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

/** As make.py computes them. */
function levels(count: number, step: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => (step * i + Math.floor(i / 7)) % 256)
}

const classes = ({ labels }: ImageDataset) => [...labels!.values]

/** A copy of fixtures, whose files a test spoils. */
function copy(...names: string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    copyFileSync(join(fixtures, name), join(folder, name))
  }
}

const mnistFiles = [
  'mnist/train-images-idx3-ubyte.gz',
  'mnist/train-labels-idx1-ubyte.gz',
  'mnist/t10k-images-idx3-ubyte',
  'mnist/t10k-labels-idx1-ubyte'
]

test('MNIST and its like from IDX files, packed or not', async () => {
  const { train, validation, test, remark } = await imageSet('mnist', join(fixtures, 'mnist'))
  expect(train.shape).toEqual([1, 3, 4])
  expect([...train.levels]).toEqual([...levels(72, 37)])
  expect([...test.levels]).toEqual([...levels(24, 11)])
  expect(classes(train)).toEqual([5, 0, 4, 1, 9, 2])
  expect(classes(test)).toEqual([7, 2])
  expect(train.labels!.names[9]).toBe('9')
  expect(validation).toBeUndefined()
  expect(remark).toBe(
    'mnist here is not the published set (6 train images in place of 60000, 2 test images in place of 10000, images of ' +
      'shape [1,3,4] in place of [1,28,28]): results do not compare with papers'
  )
  const clothes = await imageSet('fashion-mnist', join(fixtures, 'mnist'))
  expect(clothes.train.labels!.names[5]).toBe('sandal')
})

test('what is read anew: the part to train on, and draw 0 of the others', async () => {
  const { train, test } = await imageSet('mnist', join(fixtures, 'mnist'), { flip: true, seed: 3 })
  const first = await train.take(6)
  train.restore({ epoch: 1, row: 0 })
  expect((await train.take(6)).data).not.toEqual(first.data)
  const tested = await test.take(2)
  test.restore({ epoch: 1, row: 0 })
  expect((await test.take(2)).data).toEqual(tested.data)
})

test('CIFAR-10 from its binary batches', async () => {
  const { train, test } = await imageSet('cifar10', join(fixtures, 'cifar10'))
  expect(train.shape).toEqual([3, 32, 32])
  expect(classes(train)).toEqual([0, 9, 1, 8, 2, 7, 3, 6, 4, 5])
  expect(classes(test)).toEqual([5, 4])
  for (let batch = 0; batch < 5; batch++)
    expect(train.levels.subarray(batch * 6144, (batch + 1) * 6144)).toEqual(levels(6144, 3 + batch))
  expect(train.labels!.names).toContain('frog')
})

test('files that are missing, cut short or something else are refused by name, with the image and a remedy', async () => {
  const read = (name: ImageSetName = 'mnist') => imageSet(name, join(folder, name))
  const message = async (name?: ImageSetName) => (await failure(() => read(name), 'INVALID_FILE')).message
  const missing = await failure(() => read(), 'FILE_NOT_FOUND')
  expect(missing.message).toMatch(/train-images-idx3-ubyte is not there, as it is or as \.gz; it is MNIST/)

  const images = join(folder, mnistFiles[2]!)
  const labels = join(folder, mnistFiles[3]!)
  const spoil = async (file: string, change: (bytes: Buffer) => Buffer) => {
    copy(...mnistFiles)
    writeFileSync(file, change(readFileSync(file)))
    return message()
  }
  const set = (at: number, value: number) => (bytes: Buffer) => {
    bytes[at] = value
    return bytes
  }
  expect(await spoil(images, (bytes) => bytes.subarray(0, 30))).toMatch(
    /ends in entry 1 of 2: it holds 14 bytes of 24/
  )
  expect(await spoil(images, (bytes) => bytes.subarray(0, 10))).toMatch(/ends within its header/)
  expect(await spoil(images, (bytes) => Buffer.concat([bytes, bytes]))).toMatch(/its header says 24/)
  expect(await spoil(images, set(0, 80))).toMatch(/no IDX file: it begins with 50 00 08 03/)
  expect(await spoil(images, set(2, 0x0d))).toMatch(/numbers of type 0d, not unsigned bytes/)
  expect(await spoil(images, set(7, 0))).toMatch(/holds 24 bytes, and its header says 0/)
  expect(await spoil(images, () => readFileSync(labels))).toMatch(
    /1 dimensions in place of 3; give the file of images/
  )
  expect(await spoil(labels, set(9, 12))).toMatch(/says class 12 of image 1, and classes go to 9/)
  expect(await spoil(labels, (bytes) => Buffer.concat([bytes.subarray(0, 7), Buffer.from([1, 3])]))).toMatch(
    /has 1 labels, and there are 2 images/
  )
  const packed = join(folder, mnistFiles[0]!)
  expect(await spoil(packed, (bytes) => bytes.subarray(0, bytes.length - 12))).toMatch(
    /train-images.*cannot be unpacked .*cut short or damaged; fetch it again/
  )
  const square = (bytes: Buffer) => set(11, 4)(set(15, 3)(bytes))
  expect(await spoil(images, square)).toMatch(/shape \[1,3,4\] to train on and of \[1,4,3\] to test on/)

  const batch = 'cifar10/cifar-10-batches-bin/test_batch.bin'
  copy(...[1, 2, 3, 4, 5].map((i) => `cifar10/cifar-10-batches-bin/data_batch_${i}.bin.gz`))
  const bytes = gunzipSync(readFileSync(join(fixtures, `${batch}.gz`)))
  writeFileSync(join(folder, batch), bytes.subarray(0, 5000))
  expect(await message('cifar10')).toMatch(
    /test_batch.bin ends in image 1: 5000 bytes are no multiple of 3073/
  )
  writeFileSync(join(folder, batch), set(3073, 10)(bytes))
  expect(await message('cifar10')).toMatch(/says class 10 of image 1/)
})

/** A folder with the published files, such as mnist/train-images-idx3-ubyte.gz. */
const real = process.env.FFJORD_BENCHMARK_DATA

function testReal(name: string, file: string, body: (folder: string) => Promise<void>): void {
  const path = join(real ?? '', file)
  const reason = real ? `${path} is not there` : 'FFJORD_BENCHMARK_DATA names no folder'
  if (real && existsSync(path)) test(name, () => body(dirname(path)))
  else test.skip(`${name} (skipped, as ${reason})`, () => undefined)
}

testReal('MNIST as published', 'mnist/train-images-idx3-ubyte.gz', async (folder) => {
  const { train, test, remark } = await imageSet('mnist', folder)
  expect(remark).toBeUndefined()
  expect([train.rows, test.rows]).toEqual([60_000, 10_000])
  expect(classes(train.first(5))).toEqual([5, 0, 4, 1, 9])
  const zeros = test.levels.reduce((sum, level) => sum + (level === 0 ? 1 : 0), 0)
  expect(zeros / test.levels.length).toBeCloseTo(0.807, 3)
})

testReal('CIFAR-10 as published', 'cifar10/cifar-10-batches-bin/data_batch_1.bin', async (folder) => {
  const { train, remark } = await imageSet('cifar10', dirname(folder))
  expect(remark).toBeUndefined()
  expect(train.rows).toBe(50_000)
})
