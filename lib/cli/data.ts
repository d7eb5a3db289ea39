import { existsSync, readdirSync } from 'node:fs'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { withContext } from '../data/schema'
import {
  type Benchmark,
  type BenchmarkName,
  benchmark,
  benchmarkNames,
  type Dataset,
  type FileOptions,
  fromFile,
  fromImage,
  type Group,
  type ImageDataset,
  type ImageFolderOptions,
  type ImageReading,
  type ImageSetName,
  imageFolder,
  imageSet,
  imageSetNames,
  LawDataset,
  TableDataset,
  type TableInspection,
  type TableSchema,
  type ToyName,
  toy,
  toyNames
} from '../index'
import { nearest } from '../native/check'
import { inspectTable } from '../table/inspect'
import { readTable } from '../table/load'
import { splitTable } from '../table/split-file'
import { conditioned } from './context'
import { WrongCall } from './exit'
import { type ImageChoice, type ImagesRead, trainedImages } from './image-options'
import { inspected, refuseProblems } from './inspection'
import { note } from './progress'
import { type TableChoice, trainedTable, trainingTable } from './table-options'

/** Seeds of rows of a toy density or a picture that no training run draws. */
const VALIDATION_SEED = 1_000_003
const TEST_SEED = 2_000_003

/** Rows to train on, and rows of the same law that training does not see. */
export interface Source {
  name: string
  train: Dataset
  /** The training rows at hand: all, or a sample where they stream from a file. */
  seen: Dataset
  validation: Dataset
  test: Dataset
  /** What the columns hold, where the rows come from a table. */
  table?: TableSchema
  /** What was found in the columns of a table, all rows of which were looked at. */
  inspection?: TableInspection
  /** Rows of the table that were left out. */
  dropped?: number
  /** How images were read, where that was said. */
  images?: ImageReading
}

/** What `train` says of its rows besides their name. */
interface SourceChoice extends TableChoice, ImageChoice {
  seed: number
  validation: string
  test: string
  context?: readonly string[]
}

export function isToy(name: string): name is ToyName {
  return (toyNames as readonly string[]).includes(name)
}

/** What `--data` takes, for the help. */
export const DATA =
  'a toy density, a .png picture, a table (.csv, .tsv, .parquet, .npy, .npz, .h5, .arrow; - for CSV on stdin), images as mnist:FOLDER or images:FOLDER, or power:FOLDER and so on'

const pictures = ['.png', '.jpg', '.jpeg', '.gif', '.webp']

/** What --data says of images; 'images' are any PNG and JPEG files. */
interface NamedImages {
  name: ImageSetName | 'images'
  folder: string
}

/** Parts of images, of which some may have to be cut off the others. */
interface ImageParts {
  train: ImageDataset
  validation?: ImageDataset
  test?: ImageDataset
}

/** What presets call a set. */
const shortNames: Record<string, ImageSetName> = { frey: 'freyfaces' }

/** 'mnist:FOLDER' names a set of images by the folder with its published files. */
export function imageSetIn(name: string): NamedImages | undefined {
  const [, said = '', folder] = /^([a-z0-9-]+):(.+)$/.exec(name) ?? []
  const set = shortNames[said] ?? said
  if (set !== 'images' && !(imageSetNames as readonly string[]).includes(set)) return undefined
  return { name: set as NamedImages['name'], folder: folder! }
}

/** The same data, from any working directory. */
export function absoluteData(name: string): string {
  const set = benchmarkIn(name) ?? imageSetIn(name)
  if (set) return `${set.name}:${resolve(set.folder)}`
  return existsSync(name) && !isToy(name) ? resolve(name) : name
}

/** The parts of the set of images that `name` names by its folder. */
export async function openImageParts(name: string, reading: ImagesRead): Promise<ImageParts> {
  const named = imageSetIn(name)
  if (!named)
    throw new WrongCall(
      `${name} names no set of images; give ${imageSetNames.join(', ')} with a folder, as mnist:FOLDER`
    )
  return openImageSet(named, 0, reading)
}

async function openImageSet(
  { name, folder }: NamedImages,
  seed: number,
  { trained, ...reading }: ImagesRead
): Promise<ImageParts> {
  if (name === 'images') return openImageFolder(folder, { ...trained, ...reading, seed })
  const { resize, channels, alpha, ...visits } = reading
  if (resize || channels || alpha)
    throw new WrongCall(
      `--resize, --channels and --alpha go with images:FOLDER; the images of ${name} have one size and no transparency`
    )
  const set = await imageSet(name, folder, { ...visits, seed })
  if (set.remark) note(set.remark)
  return set
}

/** Folders train, validation (or valid, val) and test in the folder are the parts; all of it is one where they are not there. */
async function openImageFolder(folder: string, options: ImageFolderOptions): Promise<ImageParts> {
  const part = (...names: string[]) =>
    names.map((name) => join(folder, name)).find((path) => existsSync(path))
  const paths = { train: part('train'), validation: part('validation', 'valid', 'val'), test: part('test') }
  if (!paths.train || !paths.test) return { train: await imageFolder(folder, options) }
  const drawn = async (path: string) => (await imageFolder(path, options)).draw(0)
  return {
    train: await imageFolder(paths.train, options),
    ...(paths.validation && { validation: await drawn(paths.validation) }),
    test: await drawn(paths.test)
  }
}

/** 'power:FOLDER' names a benchmark set by the folder that holds its published file. */
export function benchmarkIn(name: string): { name: BenchmarkName; folder: string } | undefined {
  const [, set, folder] = /^([a-z0-9]+):(.+)$/.exec(name) ?? []
  if (!(benchmarkNames as readonly string[]).includes(set ?? '')) return undefined
  return { name: set as BenchmarkName, folder: folder! }
}

async function openBenchmark({ name, folder }: { name: BenchmarkName; folder: string }): Promise<Benchmark> {
  const data = await benchmark(name, folder)
  if (data.remark) note(data.remark)
  return data
}

/** Rows of a toy density or of a picture, without end, or all of a file. */
export async function openData(
  name: string,
  seed: number,
  table: FileOptions = {},
  context?: readonly string[],
  reading: ImagesRead = {}
): Promise<Dataset> {
  return conditioned(await openRows(name, seed, table, reading), context)
}

async function openRows(
  name: string,
  seed: number,
  table: FileOptions,
  reading: ImagesRead
): Promise<Dataset> {
  if (isToy(name)) return toy(name, { seed })
  const set = benchmarkIn(name)
  if (set) return (await openBenchmark(set)).test
  const images = imageSetIn(name)
  if (images) {
    const { train, test } = await openImageSet(images, seed, reading)
    return test ?? train.draw(0)
  }
  if (name !== '-' && !existsSync(name)) {
    throw new WrongCall(
      `--data ${name} is neither a file nor a toy density (${toyNames.join(', ')})${suggestion(name)}`
    )
  }
  if (isPicture(name)) return fromImage(name, { seed })
  const rows = await fromFile(name, table)
  noteDropped(name, rows)
  return rows
}

function isPicture(name: string): boolean {
  return pictures.includes(extname(name).toLowerCase())
}

export function isTable(name: string): boolean {
  const isNamed = isToy(name) || benchmarkIn(name) || imageSetIn(name)
  return !isNamed && !isPicture(name) && (name === '-' || existsSync(name))
}

/** No row goes without a word. */
function noteDropped(name: string, { dropped, rows }: { dropped: number; rows: number }): void {
  if (dropped > 0)
    note(
      `${dropped} of ${rows + dropped} rows of ${name} are left out: they lack cells, or have some that cannot be used`
    )
}

/** Rows to test a trained flow on: fresh ones of a toy density or a picture, all of a file. */
export function openTestData(
  name: string,
  table: FileOptions = {},
  context?: readonly string[],
  reading?: ImagesRead
): Promise<Dataset> {
  return openData(name, TEST_SEED, table, context, reading)
}

/**
 * Splits what `--data`, `--validation` and `--test` name. A share of a file is cut off its rows in an order that `seed`
 * decides; toy densities and pictures give fresh rows to each.
 */
export async function openSource(name: string, choice: SourceChoice, group?: Group): Promise<Source> {
  const { seed, validation, test, context } = choice
  const set = benchmarkIn(name)
  const looked = isTable(name) ? await inspectTable(name, trainingTable(choice, seed, context)) : undefined
  if (looked) refuseProblems(looked.inspection)
  if (choice.stream) return openStream(name, choice, looked, group)
  if (set) {
    const { train, validation, test } = await openBenchmark(set)
    return { name: set.name, train, seen: train, validation, test }
  }
  const images = imageSetIn(name)
  if (images) return openImages(images, choice)
  const rows = looked
    ? await readTable(
        looked.path,
        inspected(trainingTable(choice, seed, context), looked.inspection),
        looked.profile
      )
    : await openRows(name, seed, {}, {})
  if (looked && rows instanceof TableDataset) noteDropped(name, rows)
  const data = conditioned(rows, context)
  const table = rows instanceof TableDataset ? withContext(rows.schema, context) : undefined
  if (data instanceof LawDataset) {
    return {
      name,
      train: data,
      seen: data,
      validation: data.withSeed(VALIDATION_SEED),
      test: data.withSeed(TEST_SEED)
    }
  }
  const shares = [share(validation), share(test)]
  const cut = shares.reduce<number>((sum, one) => sum + (one ?? 0), 0)
  if (cut >= 1) throw new WrongCall('--validation and --test together take all rows; give smaller shares')
  const parts =
    cut > 0 ? data.split([1 - cut, ...shares.filter((one) => one !== undefined)], { seed }) : [data]
  const [train, ...rest] = parts as [Dataset, ...Dataset[]]
  const taken = async (text: string, one: number | undefined) =>
    one === undefined ? openData(text, seed, trainedTable(choice, table, seed), context) : rest.shift()!
  return {
    name,
    train,
    seen: train,
    validation: await taken(validation, shares[0]),
    test: await taken(test, shares[1]),
    ...(table && { table }),
    ...(looked && { inspection: looked.inspection }),
    ...(rows instanceof TableDataset && { dropped: rows.dropped })
  }
}

/**
 * The parts of a set of images. Where it defines none to validate on, or to test on, shares of those to train on are cut off, in an
 * order that the seed decides.
 */
async function openImages(named: NamedImages, choice: SourceChoice): Promise<Source> {
  const { seed, validation, test, context } = choice
  const reading = trainedImages(choice)
  const parts = await openImageSet(named, seed, reading)
  const { flip: _, ...images } = reading
  const cut = {
    ...(!parts.validation && { validation: imageShare('--validation', validation) }),
    ...(!parts.test && { test: imageShare('--test', test) })
  }
  const left = 1 - Object.values(cut).reduce((sum, one) => sum + one, 0)
  if (left <= 0) throw new WrongCall('--validation and --test together take all images; give smaller shares')
  const [train, ...held] = parts.train.split([left, ...Object.values(cut)], { seed })
  const given = (data: ImageDataset) => conditioned(data, context)
  return {
    name: named.name === 'images' ? basename(named.folder) : named.name,
    train: given(train!),
    seen: given(train!),
    validation: given(parts.validation ?? held.shift()!.draw(0)),
    test: given(parts.test ?? held.shift()!.draw(0)),
    images
  }
}

function imageShare(option: string, text: string): number {
  const found = share(text)
  if (found === undefined) throw new WrongCall(`${option} takes a share of the images to train on, as 0.1`)
  return found
}

/** Does the same for a table that is larger than memory: a pass over it finds types and samples, and training streams it. */
async function openStream(
  name: string,
  choice: SourceChoice,
  looked: Awaited<ReturnType<typeof inspectTable>> | undefined,
  group: Group | undefined
): Promise<Source> {
  const { seed, context } = choice
  if (isToy(name) || benchmarkIn(name) || imageSetIn(name) || isPicture(name))
    throw new WrongCall(`--stream reads a table from a file, and ${name} is none; leave it out`)
  const shares = { validation: share(choice.validation), test: share(choice.test) }
  const options = trainingTable(choice, seed, context)
  const parts = await splitTable(
    looked?.path ?? name,
    {
      ...(looked ? inspected(options, looked.inspection) : options),
      ...(choice.shard && group && { shard: { rank: group.rank, size: group.size } }),
      validation: shares.validation ?? 0,
      test: shares.test ?? 0
    },
    looked?.profile
  )
  if (looked) noteDropped(name, { dropped: parts.dropped, rows: looked.inspection.rows - parts.dropped })
  const { schema: table } = parts
  const other = (text: string) => openData(text, seed, trainedTable(choice, table, seed), context)
  return {
    name,
    train: parts.train,
    seen: parts.seen,
    validation: parts.validation ?? (await other(choice.validation)),
    test: parts.test ?? (await other(choice.test)),
    table,
    ...(looked && { inspection: looked.inspection }),
    dropped: parts.dropped
  }
}

/** '0.1' is a share of the rows; anything else names data of its own. */
function share(text: string): number | undefined {
  const value = Number(text)
  if (Number.isNaN(value)) return undefined
  if (!(value > 0 && value < 1)) throw new WrongCall(`a share of the rows lies between 0 and 1, not ${text}`)
  return value
}

/** The set, the toy density or the file beside it that a slip of the keyboard may have meant. */
export function suggestion(name: string): string {
  const [, said = '', folder] = /^([A-Za-z0-9_-]+):(.+)$/.exec(name) ?? []
  const set = nearest(said, [...imageSetNames, ...Object.keys(shortNames), ...benchmarkNames])
  if (set !== undefined) return `; did you mean '${set}:${folder}'?`
  const near = nearest(name, toyNames) ?? nearest(basename(name), filesIn(dirname(name)))
  return near === undefined
    ? ''
    : `; did you mean '${toyNames.includes(near as never) ? near : join(dirname(name), near)}'?`
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).slice(0, 10_000)
  } catch {
    return []
  }
}
