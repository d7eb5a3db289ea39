import { readdir, readFile } from 'node:fs/promises'
import { extname, join, sep } from 'node:path'
import { imagesOf, type VisitOptions, visitKeys } from '../data/from-images'
import type { ImageDataset } from '../data/image-dataset'
import { checkLabels, type Labels } from '../data/labels'
import type { Alpha } from '../data/picture-reading'
import { checkPictureReading, type PictureReading, pictureKeys } from '../data/picture-reading'
import { unreadable } from '../file/file-errors'
import { newArray } from '../native/batch'
import { fail, object, text } from '../native/check'
import { FfjordError, isFfjordError } from '../native/errors'
import type { Picture } from './picture'
import { readPicture } from './picture-file'
import { resized } from './resize'

export interface ImageFolderOptions extends PictureReading, VisitOptions {}

const readable = ['.png', '.jpg', '.jpeg']
/** Pictures that would be missed. */
const others = ['.gif', '.webp', '.bmp', '.tif', '.tiff', '.avif', '.heic', '.heif', '.jp2', '.jxl']

/** Files that are read ahead of their decoding. */
const AHEAD = 16

/**
 * The PNG and JPEG files of a folder and the folders in it, in the order of their paths, as a data set. Where all lie in folders
 * in it, those are classes. Each file is read and decoded once.
 * @throws FfjordError with the file, and what to do, where one cannot be decoded, is of another size, has colours among grey ones,
 * 16 bits a level or transparent pixels
 */
export async function imageFolder(folder: string, options: ImageFolderOptions = {}): Promise<ImageDataset> {
  const given = object(options, 'imageFolder options', [...pictureKeys, ...visitKeys])
  const { size, alpha, channels: wanted } = checkPictureReading(given)
  const files = await filesIn(text(folder, 'folder', 'a folder with PNG and JPEG files'))
  const first = await pictureOf(folder, files[0]!, alpha, size)
  const channels = wanted ?? (first.isGrey ? 1 : 3)
  const shape = [channels, first.height, first.width] as const
  const pixels = shape[1] * shape[2]
  const levels = newArray(Uint8Array, files.length * channels * pixels)
  for await (const [row, picture] of pictures(folder, files, alpha, size)) {
    if (picture.height !== first.height || picture.width !== first.width)
      refuse(
        folder,
        files[row]!,
        row,
        `has ${sizeText(picture)} pixels, and ${files[0]} has ${sizeText(first)}`,
        'give { resize } (--resize), or pictures of one size'
      )
    if (channels === 1 && !picture.isGrey && wanted === undefined)
      refuse(
        folder,
        files[row]!,
        row,
        `has colours, and ${files[0]} is grey`,
        'give { channels: 3 } (--channels 3) for colours, or { channels: 1 } for grey'
      )
    put(picture, channels, levels.subarray(row * channels * pixels, (row + 1) * channels * pixels))
  }
  return imagesOf(levels, shape, classesOf(files), given as VisitOptions)
}

const sizeText = ({ width, height }: Picture) => `${width} × ${height}`

/** Paths in the folder, sorted. A folder of a million files is listed as it comes, and holds no more than their names. */
async function filesIn(folder: string): Promise<string[]> {
  const files: string[] = []
  try {
    // opendir of Node 20 loses what a folder in the folder holds beyond its first 32 entries.
    for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath ?? entry.path, entry.name).slice(join(folder, sep).length)
      if (entry.isDirectory() || entry.name.startsWith('.')) continue
      const kind = extname(entry.name).toLowerCase()
      if (others.includes(kind))
        fail(
          'UNSUPPORTED_FILE',
          `${join(folder, path)} is no PNG and no JPEG file; convert it to one, or take it out of the folder`
        )
      if (readable.includes(kind)) files.push(path)
    }
  } catch (error) {
    throw unreadable(folder, error)
  }
  if (files.length === 0)
    fail('EMPTY_BATCH', `${folder} holds no .png, .jpg or .jpeg file; name a folder of images`)
  return files.sort((a, b) => (a < b ? -1 : 1))
}

/** Folders in the folder as classes, where every file lies in one, and there are several. */
function classesOf(files: readonly string[]): Labels | undefined {
  const folders = files.map((file) => file.split(sep).slice(0, -1)[0])
  const names = [...new Set(folders)]
  if (names.length < 2 || names.includes(undefined)) return undefined
  const places = new Map(names.map((name, place) => [name, place]))
  return checkLabels(
    folders.map((name) => places.get(name)!),
    names as string[],
    files.length
  )
}

/** All pictures in their order; some files are read while others are decoded. */
async function* pictures(
  folder: string,
  files: readonly string[],
  alpha: Alpha,
  size: { height: number; width: number } | undefined
): AsyncGenerator<[number, Picture]> {
  const reading: Promise<Uint8Array | Error>[] = []
  const read = (row: number) =>
    readFile(join(folder, files[row]!)).catch((error: unknown) =>
      unreadable(join(folder, files[row]!), error)
    )
  for (let row = 0; row < files.length; row++) {
    while (reading.length < AHEAD && row + reading.length < files.length)
      reading.push(read(row + reading.length))
    const bytes = await reading.shift()!
    if (bytes instanceof Error) throw bytes
    yield [row, decoded(folder, files[row]!, row, bytes, alpha, size)]
  }
}

function decoded(
  folder: string,
  file: string,
  row: number,
  bytes: Uint8Array,
  alpha: Alpha,
  size: { height: number; width: number } | undefined
): Picture {
  const path = join(folder, file)
  try {
    const picture = readPicture(path, bytes, alpha)
    return size ? resized(picture, size.height, size.width) : picture
  } catch (error) {
    if (!isFfjordError(error)) throw error
    throw new FfjordError(error.code, `image ${row}: ${error.message}`, { cause: error })
  }
}

async function pictureOf(
  folder: string,
  file: string,
  alpha: Alpha,
  size: { height: number; width: number } | undefined
): Promise<Picture> {
  for await (const [, picture] of pictures(folder, [file], alpha, size)) return picture
  return fail('EMPTY_BATCH', `${folder} holds no picture; name a folder of images`)
}

/** Interleaved pixels → planes of channels. */
function put({ levels, isGrey }: Picture, channels: 1 | 3, planes: Uint8Array): void {
  const pixels = planes.length / channels
  for (let pixel = 0; pixel < pixels; pixel++) {
    if (isGrey) {
      for (let channel = 0; channel < channels; channel++) planes[channel * pixels + pixel] = levels[pixel]!
      continue
    }
    const [red, green, blue] = [levels[3 * pixel]!, levels[3 * pixel + 1]!, levels[3 * pixel + 2]!]
    if (channels === 1) planes[pixel] = Math.round(0.299 * red + 0.587 * green + 0.114 * blue)
    else {
      planes[pixel] = red
      planes[pixels + pixel] = green
      planes[2 * pixels + pixel] = blue
    }
  }
}

function refuse(folder: string, file: string, row: number, what: string, remedy: string): never {
  return fail('INVALID_SHAPE', `image ${row}: ${join(folder, file)} ${what}; ${remedy}`)
}
