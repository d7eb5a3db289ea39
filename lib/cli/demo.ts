import type { Command } from 'commander'
import { toyNames } from '../index'
import { interruptible } from './interrupt'
import { addDevice, type DeviceChoice, oneOf, positiveInteger } from './options'
import { note } from './progress'
import { demoRecipe } from './recipes'
import { RunDirectory } from './run-directory'
import { runTraining } from './train'

interface Choice extends DeviceChoice {
  data: string
  iterations?: number
  out?: string
  overwrite?: boolean
}

const FOLDER = 'ffjord-demo'

const rest = { seed: 0, validation: '0.1', test: '0.1', testRows: 20_000, report: true }

/** `ffjord demo`: the whole way from a toy density to a report. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('train on the pinwheel density with live progress, and write a report')
    .addOption(oneOf('--data <name>', 'toy density', toyNames).default('pinwheel'))
    .option('--iterations <n>', `steps of the optimizer (default: ${demoRecipe.iterations})`, positiveInteger)
    .option('--out <folder>', `for the results (default: ${FOLDER}, or ${FOLDER}-2 … where that is taken)`)
    .option('--overwrite', 'start anew in a folder that holds a run')
  addDevice(command).action((choice: Choice) =>
    interruptible((signal) =>
      runTraining({ ...rest, ...choice, out: choice.out ?? freeFolder(choice.overwrite) }, signal, {
        recipe: demoRecipe
      })
    )
  )
}

/** The first of ffjord-demo, ffjord-demo-2 … that holds no run. */
export function freeFolder(overwrite = false): string {
  let folder = FOLDER
  for (let number = 2; !overwrite && new RunDirectory(folder).holdsRun; number++)
    folder = `${FOLDER}-${number}`
  if (folder !== FOLDER) note(`${FOLDER} holds a run, which stays (--overwrite replaces it)`)
  return folder
}
