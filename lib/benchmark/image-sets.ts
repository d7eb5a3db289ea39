import { imagesOf, type VisitOptions, visitKeys } from '../data/from-images'
import type { ImageDataset } from '../data/image-dataset'
import { checkLabels, type Labels } from '../data/labels'
import { CIFAR_SHAPE, readCifar } from '../image/cifar'
import { damaged, neededFile } from '../image/file-bytes'
import { readIdx } from '../image/idx'
import { choice, fail, object, text } from '../native/check'

/** The sets of images that papers report on, read from a folder with the published files and split as they are. */

export interface ImageParts {
  /** Read anew at every visit, in an order that `seed` of the options decides where the set does not. */
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

/** Images and their classes, before it is said how they are read. */
export interface Pictures {
  /** (rows, shape) */
  levels: Uint8Array
  shape: readonly [number, number, number]
  labels?: Labels
}

interface SetOfPictures {
  train: Pictures
  validation?: Pictures
  test: Pictures
}

interface SetReader {
  /** Images of the published parts. */
  rows: { train: number; validation?: number; test: number }
  shape: readonly [number, number, number]
  read(folder: string): Promise<SetOfPictures>
}

export const imageSetNames = ['mnist', 'fashion-mnist', 'cifar10'] as const
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
    read: (folder) => idxSet(folder, digits, 'MNIST, in the four files of its authors')
  },
  'fashion-mnist': {
    rows: { train: 60_000, test: 10_000 },
    shape: [1, 28, 28],
    read: (folder) =>
      idxSet(folder, clothes, 'Fashion-MNIST, published as github.com/zalandoresearch/fashion-mnist')
  },
  cifar10: { rows: { train: 50_000, test: 10_000 }, shape: CIFAR_SHAPE, read: cifar10 }
}

/**
 * A published set of images from a folder with its files.
 * @throws FfjordError FILE_NOT_FOUND, with the file that is missing and where it is published; INVALID_FILE, with what is wrong
 */
export async function imageSet(
  name: ImageSetName,
  folder: string,
  options: VisitOptions = {}
): Promise<ImageSet> {
  const reader = readers[choice(name, 'name', imageSetNames)]
  const given = object(options, 'imageSet options', visitKeys) as VisitOptions
  const set = await reader.read(text(folder, 'folder', 'the folder that the published files lie in'))
  const train = imagesOf(set.train.levels, set.train.shape, set.train.labels, given)
  const drawn = ({ levels, shape, labels }: Pictures) => imagesOf(levels, shape, labels, given).draw(0)
  const parts = { train, ...(set.validation && { validation: drawn(set.validation) }), test: drawn(set.test) }
  const remark = remarkOn(name, reader, parts)
  return { name, ...parts, ...(remark !== undefined && { remark }) }
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
  const [train, test] = [await part('train'), await part('t10k')]
  return alike(folder, { train, test })
}

/** Classes of `rows` images, by the file that they come from. */
function labelled(path: string, values: Uint8Array, names: readonly string[], rows: number): Labels {
  if (values.length !== rows)
    damaged(
      path,
      `has ${values.length} labels, and there are ${rows} images`,
      'give the labels of these images'
    )
  const outside = values.findIndex((value) => value >= names.length)
  if (outside >= 0)
    damaged(path, `says class ${values[outside]} of image ${outside}, and classes go to ${names.length - 1}`)
  return checkLabels(values, names, rows)
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

function alike(folder: string, set: SetOfPictures): SetOfPictures {
  if (String(set.train.shape) === String(set.test.shape)) return set
  return fail(
    'INVALID_FILE',
    `${folder} holds images of shape [${set.train.shape}] to train on and of [${set.test.shape}] to test on; give files of one set`
  )
}
