import type { Command } from 'commander'
import { toyNames } from '../index'
import { interruptible } from './interrupt'
import { addDevice, type DeviceChoice, oneOf, positiveInteger } from './options'
import { runTraining, type TrainChoice } from './train'

interface Choice extends DeviceChoice {
  data: string
  iterations: number
  out: string
}

/** A small flow with an exact trace in closed form, which reaches a good density in about a minute on two cores. */
const recipe: Omit<TrainChoice, 'device' | 'data' | 'iterations' | 'out'> = {
  hidden: [64, 64],
  layer: 'concat',
  activation: 'tanh',
  blocks: 1,
  time: 0.5,
  trainTime: true,
  trace: 'exact',
  solver: 'dopri5',
  rtol: 1e-4,
  atol: 1e-4,
  evalRtol: 1e-5,
  evalAtol: 1e-5,
  gradient: 'checkpoint',
  batch: 256,
  seed: 0,
  optimizer: 'adam',
  lr: 1e-2,
  schedule: 'cosine',
  warmup: 50,
  validation: '0.1',
  validateEvery: 200,
  validationRows: 2000,
  test: '0.1',
  testRows: 20_000,
  report: true,
  overwrite: true
}

/** `ffjord demo`: the whole way from a toy density to a report. */
export function addDemo(program: Command): void {
  const command = program
    .command('demo')
    .description('train on the pinwheel density with live progress, and write a report')
    .addOption(oneOf('--data <name>', 'toy density', toyNames).default('pinwheel'))
    .option('--iterations <n>', 'steps of the optimizer', positiveInteger, 2000)
    .option('--out <folder>', 'for the results', 'ffjord-demo')
  addDevice(command).action((choice: Choice) =>
    interruptible((signal) => runTraining({ ...recipe, ...choice }, signal))
  )
}
