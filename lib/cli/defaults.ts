import { existsSync } from 'node:fs'
import { inspectFile } from '../index'
import { isTable } from './data'
import { described, tableRecipe } from './recipes'
import { trainingTable } from './table-options'

/** Share of a table's rows that training sees, where nothing else is said. */
const TRAINED = 0.8

/**
 * The defaults of `train` for the table that `--data` names beside `--help`; undefined where neither is there, or the table
 * cannot be read, which training would tell.
 */
export async function defaultsAtHand(words: readonly string[]): Promise<string | undefined> {
  if (!words.includes('train') || !(words.includes('--help') || words.includes('-h'))) return undefined
  const place = words.indexOf('--data')
  const data = place >= 0 ? words[place + 1] : words.find((word) => word.startsWith('--data='))?.slice(7)
  if (data === undefined || !existsSync(data) || !isTable(data)) return undefined
  try {
    const { rows, width, incomplete, lookedAt } = await inspectFile(data, trainingTable({}, 0))
    const trained = Math.round(TRAINED * rows * (1 - incomplete / Math.max(1, lookedAt)))
    return described(
      `${data}, ${width} numbers a row and ${trained} rows to train on`,
      tableRecipe(width, trained)
    )
  } catch {
    return undefined
  }
}
