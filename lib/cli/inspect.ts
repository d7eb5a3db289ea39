import type { Command } from 'commander'
import { inspectFile } from '../index'
import { contextNames } from './context'
import { inspectionLines } from './inspection'
import { addTable, type TableChoice, trainingTable } from './table-options'

interface Choice extends TableChoice {
  data: string
  context?: readonly string[]
  json?: boolean
}

/** `ffjord inspect`: what the columns of a table hold, and what training would do with each. */
export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description('what the columns of a table hold, and what train would do with each of them')
    .requiredOption(
      '--data <file>',
      'a table: .csv, .tsv, .parquet, .npy, .npz, .h5, .arrow; - for CSV on stdin'
    )
    .option('--context <names>', 'columns that the others are conditioned on', contextNames)
    .option('--json', 'print one JSON object')
  addTable(command).action(async (choice: Choice) => {
    const found = await inspectFile(choice.data, tableBefore(choice))
    if (choice.json) console.log(JSON.stringify(found))
    else console.log(inspectionLines(found, choice, Infinity).join('\n'))
  })
}

/** Options of the reader before the table is known. */
export function tableBefore(choice: TableChoice & { context?: readonly string[] }) {
  return trainingTable(choice, 0, choice.context)
}
