import type { Command } from 'commander'
import { toyNames } from '../index'
import { interruptible } from './interrupt'
import { addDevice, type DeviceChoice, oneOf, positiveInteger } from './options'
import { demoRecipe } from './recipes'
import { runTraining } from './train'

interface Choice extends DeviceChoice {
  data: string
  iterations?: number
  out: string
}

const rest = { seed: 0, validation: '0.1', test: '0.1', testRows: 20_000, report: true, overwrite: true }

/** `ffjord demo`: the whole way from a toy density to a report. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('train on the pinwheel density with live progress, and write a report')
    .addOption(oneOf('--data <name>', 'toy density', toyNames).default('pinwheel'))
    .option('--iterations <n>', `steps of the optimizer (default: ${demoRecipe.iterations})`, positiveInteger)
    .option('--out <folder>', 'for the results', 'ffjord-demo')
  addDevice(command).action((choice: Choice) =>
    interruptible((signal) => runTraining({ ...rest, ...choice }, signal, demoRecipe))
  )
}
