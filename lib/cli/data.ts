import { existsSync } from 'node:fs'
import { extname } from 'node:path'
import { type Dataset, fromFile, fromImage, LawDataset, type ToyName, toy, toyNames } from '../index'
import { conditioned } from './context'
import { WrongCall } from './exit'

/** Seeds of rows of a toy density or a picture that no training run draws. */
const VALIDATION_SEED = 1_000_003
const TEST_SEED = 2_000_003

/** Rows to train on, and rows of the same law that training does not see. */
export interface Source {
  name: string
  train: Dataset
  validation: Dataset
  test: Dataset
}

export function isToy(name: string): name is ToyName {
  return (toyNames as readonly string[]).includes(name)
}

/** What `--data` takes, for the help. */
export const DATA = 'a toy density, a .png picture, or a table: .csv, .tsv, .parquet, .npy, .npz, .h5, .arrow'

const pictures = ['.png', '.jpg', '.jpeg', '.gif', '.webp']

/** Rows of a toy density or of a picture, without end, or all of a file. */
export async function openData(name: string, seed: number, context?: readonly string[]): Promise<Dataset> {
  return conditioned(await openRows(name, seed), context)
}

async function openRows(name: string, seed: number): Promise<Dataset> {
  if (isToy(name)) return toy(name, { seed })
  if (!existsSync(name)) {
    throw new WrongCall(`--data ${name} is neither a file nor a toy density (${toyNames.join(', ')})`)
  }
  return pictures.includes(extname(name).toLowerCase()) ? fromImage(name, { seed }) : fromFile(name)
}

/** Rows to test a trained flow on: fresh ones of a toy density or a picture, all of a file. */
export function openTestData(name: string, context?: readonly string[]): Promise<Dataset> {
  return openData(name, TEST_SEED, context)
}

/**
 * Splits what `--data`, `--validation` and `--test` name. A share of a file is cut off its rows in an order that `seed`
 * decides; toy densities and pictures give fresh rows to each.
 */
export async function openSource(
  name: string,
  {
    seed,
    validation,
    test,
    context
  }: { seed: number; validation: string; test: string; context?: readonly string[] }
): Promise<Source> {
  const data = await openData(name, seed, context)
  if (data instanceof LawDataset) {
    return {
      name,
      train: data,
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
    one === undefined ? openData(text, seed, context) : rest.shift()!
  return {
    name,
    train,
    validation: await taken(validation, shares[0]),
    test: await taken(test, shares[1])
  }
}

/** '0.1' is a share of the rows; anything else names data of its own. */
function share(text: string): number | undefined {
  const value = Number(text)
  if (Number.isNaN(value)) return undefined
  if (!(value > 0 && value < 1)) throw new WrongCall(`a share of the rows lies between 0 and 1, not ${text}`)
  return value
}

/** Mean and standard deviation of every column. */
export async function moments(data: Dataset): Promise<{ mean: number[]; scale: number[] }> {
  const { data: values, rows } = await data.take(Math.min(data.rows, 100_000))
  const width = values.length / rows
  const mean = new Array<number>(width).fill(0)
  const square = new Array<number>(width).fill(0)
  for (let i = 0; i < values.length; i++) mean[i % width]! += values[i]! / rows
  for (let i = 0; i < values.length; i++) square[i % width]! += (values[i]! - mean[i % width]!) ** 2 / rows
  return { mean, scale: square.map((value) => Math.sqrt(value) || 1) }
}
