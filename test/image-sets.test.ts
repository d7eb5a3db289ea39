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
import { RandomState } from '../lib/benchmark/mt19937'
import { openTestData } from '../lib/cli/data'
import { openImages } from '../lib/cli/vae-data'
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

/** As make.py draws them: 0 and 1. */
function drawn(count: number, step: number): number[] {
  return Array.from({ length: count }, (_, i) => ((step * i + Math.floor(i / 11)) % 3 === 0 ? 1 : 0))
}

const vae = join(fixtures, 'vae')

test('static binarised MNIST from lines of zeros and ones', async () => {
  const { train, validation, test } = await imageSet('binarized-mnist', vae)
  expect([train.rows, validation!.rows, test.rows]).toEqual([5, 2, 3])
  expect(train.shape).toEqual([1, 28, 28])
  expect([...train.levels]).toEqual(drawn(5 * 784, 2).map((one) => 255 * one))
  expect([...(await validation!.take(2)).data]).toEqual(drawn(2 * 784, 5))
})

test('Caltech silhouettes from a MAT-file, packed: turned over and transposed', async () => {
  const { train, validation, test } = await imageSet('caltech', vae)
  expect([train.rows, validation!.rows, test.rows]).toEqual([4, 2, 3])
  const rows = drawn(4 * 784, 2)
  const expected = rows.map((_, at) => {
    const [image, row, column] = [Math.floor(at / 784), Math.floor(at / 28) % 28, at % 28]
    return 255 * (1 - rows[image * 784 + column * 28 + row]!)
  })
  expect([...train.levels]).toEqual(expected)
  expect(train.labels).toEqual({ values: Uint16Array.of(0, 1, 0, 1), names: ['ant', 'bird'] })
  expect(train.law).toBe('none')
})

test('Omniglot as the published programs shuffle, split and binarise it, number for number', async () => {
  const expected = gunzipSync(readFileSync(join(vae, 'omniglot.levels.gz')))
  const { train, validation, test, remark } = await imageSet('omniglot', vae)
  expect([train.rows, validation!.rows, test.rows]).toEqual([5, 1345, 7])
  expect(train.law).toBe('bernoulli')
  expect(Buffer.concat([train.levels, validation!.levels, test.levels]).equals(expected)).toBe(true)
  expect(new Set((await test.take(7)).data)).toEqual(new Set([0, 1]))
  expect(remark).not.toMatch(/grey values/)
  const grey = await imageSet('omniglot', vae, { dequantize: 'none' })
  expect(grey.validation!.levels.some((level) => level > 0 && level < 255)).toBe(true)
  expect(grey.train.levels).toEqual(train.levels)
})

test('Frey faces from a pickle of Python 2, shuffled by the seed of the split', async () => {
  const { train, validation, test } = await imageSet('freyfaces', vae)
  expect([train.rows, validation!.rows, test.rows]).toEqual([10, 200, 200])
  expect(train.shape).toEqual([1, 28, 20])
  const order = new RandomState(123).shuffled(410)
  const rowOf = (data: ImageDataset, row: number) => [...data.pick(Uint32Array.of(row)).levels]
  const face = (number: number) =>
    Array.from({ length: 560 }, (_, i) => (number + Math.floor(i / 140) * 50) % 256)
  expect(rowOf(train, 9)).toEqual(face(order[9]!))
  expect(rowOf(validation!, 0)).toEqual(face(order[10]!))
  expect(rowOf(test, 199)).toEqual(face(order[409]!))
  const other = await imageSet('freyfaces', vae, { split: 321 })
  expect(rowOf(other.train, 0)).toEqual(face(new RandomState(321).shuffled(410)[0]!))
  const named = await openImages(`frey:${vae}`, { binarize: false, seed: 0 }) // as its preset is called
  expect([named.train.rows, ...named.shape]).toEqual([10, 1, 28, 20])
  expect((await openTestData(`frey:${vae}`)).rows).toBe(test.rows)
})

test('damaged files of these sets are refused by what is wrong in them', async () => {
  const message = async (name: ImageSetName, file: string, content: Uint8Array | string) => {
    writeFileSync(join(folder, file), content)
    return (await failure(() => imageSet(name, folder), 'INVALID_FILE')).message
  }
  const lines = 'binarized_mnist_train.amat'
  expect(await message('binarized-mnist', lines, '0 1 1\n')).toMatch(
    /3 numbers in line 1 of numbers, and an image has 784/
  )
  expect(await message('binarized-mnist', lines, '0 2')).toMatch(/holds '2' in line 1/)
  expect(await message('binarized-mnist', lines, '01 ')).toMatch(/where zeros and ones stand alone/)
  expect(await message('binarized-mnist', lines, '\n')).toMatch(/holds no numbers/)

  const mat = readFileSync(join(vae, 'caltech101_silhouettes_28_split1.mat'))
  const name = 'caltech101_silhouettes_28_split1.mat'
  for (let cut = 0; cut < mat.length; cut += 59)
    expect(await message('caltech', name, mat.subarray(0, cut))).toMatch(
      /level 5|ends within|unpacked|no variable/
    )
  const wrong = Buffer.from(mat)
  wrong[mat.length - 20]! ^= 0xff
  expect(await message('caltech', name, wrong)).toMatch(/cannot be unpacked/)
  expect(await message('caltech', name, readFileSync(join(vae, 'chardata.mat')))).toMatch(
    /no variable train_data; it has data, testdata/
  )

  const pickle = gunzipSync(readFileSync(join(vae, 'freyfaces.pkl.gz'))).toString('latin1')
  const spoilt = (from: string | RegExp, to: string) =>
    message('freyfaces', 'freyfaces.pkl', Buffer.from(pickle.replace(from, to), 'latin1'))
  expect(await spoilt('cnumpy\nndarray', 'cos\nsystem')).toMatch(
    /names os system, which this reader does not make/
  )
  expect(await spoilt('(I410', '(I411')).toMatch(/bytes in an array of 411 × 560/)
  expect(await spoilt(/a\.$/, '')).toMatch(/ends early/)
  expect(await spoilt("S'u1'", "S'f8'")).toMatch(/not of bytes/)
  expect(await message('freyfaces', 'freyfaces.pkl', Uint8Array.of(0x80, 2))).toMatch(/goes on with/)
})

test('files that are missing, cut short or something else are refused by name, with the image and a remedy', async () => {
  const read = (name: ImageSetName = 'mnist') => imageSet(name, join(folder, name))
  const message = async (name?: ImageSetName) => (await failure(() => read(name), 'INVALID_FILE')).message
  const missing = await failure(() => read(), 'FILE_NOT_FOUND')
  expect(missing.message).toMatch(
    /train-images-idx3-ubyte is not there, as it is or as \.gz; it is one of the four files of MNIST/
  )

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
  expect(await spoil(labels, set(9, 12))).toMatch(/says class 12 of image 1, and classes go from 0 to 9/)
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

testReal('Frey faces as published, from both of their files', 'freyfaces/freyfaces.pkl', async (path) => {
  const { train, validation, test, remark } = await imageSet('freyfaces', path)
  expect(remark).toBeUndefined()
  expect([train.rows, validation!.rows, test.rows]).toEqual([1565, 200, 200])
  copyFileSync(join(path, 'frey_rawface.mat'), join(folder, 'frey_rawface.mat'))
  const other = await imageSet('freyfaces', folder)
  expect(Buffer.compare(other.train.levels, train.levels)).toBe(0)
  const all = [train, validation!, test].flatMap(({ levels }) => [...levels])
  expect([all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))]).toEqual([8, 238])
})

testReal(
  'Caltech silhouettes as published',
  'caltech101_silhouettes/caltech101_silhouettes_28_split1.mat',
  async (path) => {
    const { train, validation, test, remark } = await imageSet('caltech', path)
    expect(remark).toBeUndefined()
    expect([train.rows, validation!.rows, test.rows]).toEqual([4100, 2264, 2307])
    expect(train.labels!.names).toHaveLength(101)
    expect(train.labels!.names[0]).toBe('Airplanes Side 2')
  }
)

testReal(
  'static binarised MNIST as published',
  'binarized_mnist/binarized_mnist_train.amat.gz',
  async (path) => {
    const { train, validation, test, remark } = await imageSet('binarized-mnist', path)
    expect(remark).toBeUndefined()
    expect([train.rows, validation!.rows, test.rows]).toEqual([50_000, 10_000, 10_000])
  }
)
