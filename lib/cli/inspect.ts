import type { Command } from 'commander'
import { inspectFile } from '../index'
import { contextNames } from './context'
import { imageSetIn } from './data'
import { addPictures, type ImageChoice } from './image-options'
import { inspectImages } from './inspect-images'
import { inspectionLines } from './inspection'
import { addTable, type TableChoice, trainingTable } from './table-options'

interface Choice extends TableChoice, ImageChoice {
  data: string
  context?: readonly string[]
  json?: boolean
}

/** `ffjord inspect`: what the columns of a table hold, and what training would do with each. */
export function addInspect(program: Command): void {
  const command = program
    .command('inspect')
    .description(
      'what the columns of a table hold, and what train would do with each of them; of images their size, levels and classes'
    )
    .requiredOption(
      '--data <file>',
      'a table: .csv, .tsv, .parquet, .npy, .npz, .h5, .arrow; - for CSV on stdin; or images as mnist:FOLDER or images:FOLDER'
    )
    .option('--context <names>', 'columns that the others are conditioned on', contextNames)
    .option('--json', 'print one JSON object')
  addPictures(addTable(command)).action(async (choice: Choice) => {
    if (imageSetIn(choice.data)) return inspectImages(choice.data, choice)
    const found = await inspectFile(choice.data, tableBefore(choice))
    if (choice.json) console.log(JSON.stringify(found))
    else console.log(inspectionLines(found, choice, Infinity).join('\n'))
  })
}

/** Options of the reader before the table is known. */
export function tableBefore(choice: TableChoice & { context?: readonly string[] }) {
  return trainingTable(choice, 0, choice.context)
}
