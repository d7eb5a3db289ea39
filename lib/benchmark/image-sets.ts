import { imagesOf, type VisitOptions, visitKeys } from '../data/from-images'
import type { ImageDataset } from '../data/image-dataset'
import { checkLabels } from '../data/labels'
import { CIFAR_SHAPE, readCifar } from '../image/cifar'
import { neededFile } from '../image/file-bytes'
import { readIdx } from '../image/idx'
import { choice, fail, integer, object, text } from '../native/check'
import { labelled, type Pictures, type SetOfPictures, type SetReader } from './pictures'
import { caltech, freyFaces, omniglot, staticMnist } from './vae-sets'

/** The sets of images that papers report on, read from a folder with the published files and split as they are. */

export interface ImageParts {
  /** Read anew at every visit. */
  train: ImageDataset
  /** Where the set defines one. Draw 0 of every image, as of `test`. */
  validation?: ImageDataset
  test: ImageDataset
}

export interface ImageSet extends ImageParts {
  name: ImageSetName
  /** What sets the images apart from the published ones, so that results do not compare; undefined where nothing does. */
  remark?: string
}

export interface ImageSetOptions extends VisitOptions {
  /** Seed of the shuffle that splits Frey faces (papers: 123, 321 and 231) and Omniglot. Default: 123. */
  split?: number
}

export const imageSetNames = [
  'mnist',
  'fashion-mnist',
  'cifar10',
  'binarized-mnist',
  'caltech',
  'omniglot',
  'freyfaces'
] as const
export type ImageSetName = (typeof imageSetNames)[number]

const digits = Array.from({ length: 10 }, (_, digit) => String(digit))
const clothes = [
  't-shirt',
  'trouser',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'boot'
]
const things = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']

const readers: Record<ImageSetName, SetReader> = {
  mnist: {
    rows: { train: 60_000, test: 10_000 },
    shape: [1, 28, 28],
    law: 'uniform',
    read: (folder) => idxSet(folder, digits, 'one of the four files of MNIST')
  },
  'fashion-mnist': {
    rows: { train: 60_000, test: 10_000 },
    shape: [1, 28, 28],
    law: 'uniform',
    read: (folder) =>
      idxSet(folder, clothes, 'of Fashion-MNIST, published as github.com/zalandoresearch/fashion-mnist')
  },
  cifar10: { rows: { train: 50_000, test: 10_000 }, shape: CIFAR_SHAPE, law: 'uniform', read: cifar10 },
  'binarized-mnist': staticMnist,
  caltech,
  omniglot,
  freyfaces: freyFaces
}

/**
 * A published set of images from a folder with its files. Those in zeros and ones (`binarized-mnist`, `caltech`) are read as they
 * stand; `omniglot` is binarised anew at every visit of its part to train on, and once for the others; all else is dequantised.
 * @throws FfjordError FILE_NOT_FOUND, with the file that is missing and where it is published; INVALID_FILE, with what is wrong
 */
export async function imageSet(
  name: ImageSetName,
  folder: string,
  options: ImageSetOptions = {}
): Promise<ImageSet> {
  const reader = readers[choice(name, 'name', imageSetNames)]
  const { split, ...given } = object(options, 'imageSet options', ['split', ...visitKeys])
  const visits = given as VisitOptions
  const isUsual = visits.binarize === undefined && visits.dequantize === undefined
  const usual = reader.law === 'bernoulli' ? { binarize: true } : { dequantize: reader.law }
  const rule: VisitOptions = isUsual ? { ...visits, ...usual } : visits
  const set = await reader.read(text(folder, 'folder', 'the folder that the published files lie in'), {
    isBinarized: rule.binarize === true,
    split: integer(split ?? 123, 'split', 0, 2 ** 32 - 1)
  })
  const images = ({ levels, shape, labels, isDrawn }: Pictures) =>
    imagesOf(
      levels,
      shape,
      labels,
      isDrawn && rule.binarize ? { ...visits, binarize: false, dequantize: 'none' } : rule
    )
  const parts = {
    train: images(set.train),
    ...(set.validation && { validation: images(set.validation).draw(0) }),
    test: images(set.test).draw(0)
  }
  const remarks = [remarkOn(name, reader, parts), set.remark].filter((remark) => remark !== undefined)
  return { name, ...parts, ...(remarks.length > 0 && { remark: remarks.join('; ') }) }
}

function remarkOn(name: string, { rows, shape }: SetReader, parts: ImageParts): string | undefined {
  const differs = (['train', 'validation', 'test'] as const)
    .filter((part) => parts[part]?.rows !== rows[part])
    .map((part) => `${parts[part]?.rows} ${part} images in place of ${rows[part]}`)
  if (String(parts.train.shape) !== String(shape))
    differs.push(`images of shape [${parts.train.shape}] in place of [${shape}]`)
  if (differs.length === 0) return undefined
  return `${name} here is not the published set (${differs.join(', ')}): results do not compare with papers`
}

async function idxSet(folder: string, names: readonly string[], published: string): Promise<SetOfPictures> {
  const part = async (prefix: string): Promise<Pictures> => {
    // Both spellings are about.
    const file = (what: string, dimensions: number) =>
      neededFile(
        folder,
        [`${prefix}-${what}-idx${dimensions}-ubyte`, `${prefix}-${what}.idx${dimensions}-ubyte`],
        published,
        ['raw']
      )
    const paths = { images: file('images', 3), labels: file('labels', 1) }
    const { shape, data } = await readIdx(paths.images, 3)
    const labels = await readIdx(paths.labels, 1)
    return {
      levels: data,
      shape: [1, shape[1]!, shape[2]!],
      labels: labelled(paths.labels, labels.data, names, shape[0]!)
    }
  }
  const train = await part('train')
  const test = await part('t10k')
  if (String(train.shape) === String(test.shape)) return { train, test }
  return fail(
    'INVALID_FILE',
    `${folder} holds images of shape [${train.shape}] to train on and of [${test.shape}] to test on; give files of one set`
  )
}

/** data_batch_1.bin … data_batch_5.bin and test_batch.bin. */
async function cifar10(folder: string): Promise<SetOfPictures> {
  const published = 'of CIFAR-10 in its binary version, published as www.cs.toronto.edu/~kriz/cifar.html'
  const part = async (names: readonly string[]): Promise<Pictures> => {
    const batches = await Promise.all(
      names.map((name) => readCifar(neededFile(folder, [name], published, ['cifar-10-batches-bin'])))
    )
    const levels = joined(batches.map((batch) => batch.levels))
    const labels = joined(batches.map((batch) => batch.labels))
    return { levels, shape: CIFAR_SHAPE, labels: checkLabels(labels, things, labels.length) }
  }
  const train = await part([1, 2, 3, 4, 5].map((number) => `data_batch_${number}.bin`))
  return { train, test: await part(['test_batch.bin']) }
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}
