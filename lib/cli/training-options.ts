import type { Command } from 'commander'
import type { OptimizerOptions } from '../flow/options'
import type { Objective } from '../training/objective'
import type { Schedule } from '../training/schedule'
import { WrongCall } from './exit'
import { nonNegative, oneOf, positive, positiveInteger, wholeNumber } from './options'

/** The options of `train` that say how the weights are found. */
export interface TrainingChoice {
  iterations: number
  epochs?: number
  objective?: 'ml' | 'fm' | 'fm+ml'
  coupling?: 'independent' | 'optimal'
  matching?: number
  accumulate?: number
  sharedSteps?: boolean
  batch: number
  seed: number
  optimizer: OptimizerOptions['type']
  lr: number
  weightDecay?: number
  momentum?: number
  clip?: number
  average?: number
  schedule: Schedule['type']
  warmup?: number
  decay?: number
  decayEvery?: number
  decayAt?: number[]
  patience?: number
  finalLr?: number
}

const schedules = ['constant', 'step', 'cosine', 'plateau']
const optimizers = ['adam', 'adamw', 'adamax', 'sgd']

export function addTraining(command: Command): Command {
  return command
    .optionsGroup('Training:')
    .option('--iterations <n>', 'steps of the optimizer in all', positiveInteger)
    .option('--epochs <n>', 'passes over the rows, in place of --iterations', positive)
    .addOption(
      oneOf(
        '--objective <kind>',
        'maximum likelihood, flow matching (cheap: no solve), or the latter first',
        ['ml', 'fm', 'fm+ml']
      )
    )
    .addOption(oneOf('--coupling <kind>', 'of flow matching', ['independent', 'optimal']))
    .option('--matching <n>', 'iterations of flow matching in fm+ml (default: four fifths)', positiveInteger)
    .option('--accumulate <n>', 'solve a batch in so many parts, to save memory', positiveInteger)
    .option(
      '--shared-steps',
      'with --control batch, ranks of a group step together by the error of the whole batch'
    )
    .option('--batch <n>', 'rows an iteration', positiveInteger)
    .option('--seed <n>', 'of the weights, the noise and the order of the rows', wholeNumber, 0)
    .addOption(oneOf('--optimizer <type>', 'optimizer', optimizers))
    .option('--lr <x>', 'learning rate', positive)
    .option('--weight-decay <x>', 'on matrices alone', nonNegative)
    .option('--momentum <x>', 'of sgd', nonNegative)
    .option('--clip <norm>', 'scale the gradient down to this norm', positive)
    .option('--average <decay>', 'keep an exponential moving average of the weights, e.g. 0.999', nonNegative)
    .addOption(oneOf('--schedule <type>', 'of the learning rate', schedules))
    .option('--warmup <n>', 'iterations of linear warm-up', wholeNumber)
    .option('--decay <factor>', 'of the step and plateau schedules (default: 0.1)', positive)
    .option('--decay-every <n>', 'iterations between decays of the step schedule', positiveInteger)
    .option('--decay-at <list>', 'iterations at which the step schedule decays', (text) =>
      text.split(',').map(wholeNumber)
    )
    .option(
      '--patience <n>',
      'validations without improvement before a plateau decays (default: 10)',
      positiveInteger
    )
    .option('--final-lr <share>', 'of the learning rate that the cosine ends at (default: 0)', nonNegative)
}

/** What describes training, seed and recipe apart. */
type Described = Omit<TrainingChoice, 'seed'>

export function describeObjective({ objective: type = 'ml', coupling, matching }: Described): Objective {
  if (type === 'ml' && coupling) throw new WrongCall('--coupling goes with --objective fm or fm+ml')
  if (type !== 'fm+ml' && matching) throw new WrongCall('--matching goes with --objective fm+ml')
  const couple = coupling && { coupling }
  if (type === 'ml') return type
  return type === 'fm' ? { type, ...couple } : { type, ...couple, ...(matching && { matching }) }
}

/** How long, as `fit` takes it. */
export function describeLength({
  iterations,
  epochs
}: Described): { iterations: number } | { epochs: number } {
  return epochs === undefined ? { iterations } : { epochs }
}

export function describeOptimizer(choice: Described): OptimizerOptions {
  const { optimizer: type, lr, weightDecay, momentum, clip, average } = choice
  const common = {
    lr,
    ...(weightDecay !== undefined && { weightDecay }),
    ...(clip !== undefined && { clipNorm: clip }),
    ...(average !== undefined && { average })
  }
  if (type === 'sgd') return { type, ...common, ...(momentum !== undefined && { momentum }) }
  if (momentum !== undefined) throw new WrongCall(`--momentum goes with --optimizer sgd, not ${type}`)
  return { type, ...common }
}

export function describeSchedule(choice: Described): Schedule {
  const {
    schedule: type,
    warmup = 0,
    decay: factor = 0.1,
    decayEvery,
    decayAt,
    patience = 10,
    finalLr
  } = choice
  const only = (flag: string, value: unknown, ...types: Schedule['type'][]) => {
    if (value === undefined || types.includes(type)) return
    throw new WrongCall(`${flag} goes with --schedule ${types.join(' or ')}, not ${type}`)
  }
  only('--decay', choice.decay, 'step', 'plateau')
  only('--decay-every', decayEvery, 'step')
  only('--decay-at', decayAt, 'step')
  only('--patience', choice.patience, 'plateau')
  only('--final-lr', finalLr, 'cosine')
  switch (type) {
    case 'constant':
      return { type, warmup }
    case 'cosine':
      return { type, warmup, final: finalLr ?? 0 }
    case 'plateau':
      return { type, warmup, factor, patience }
    case 'step':
      if ((decayEvery === undefined) === (decayAt === undefined)) {
        throw new WrongCall('--schedule step needs either --decay-every or --decay-at')
      }
      return decayAt ? { type, warmup, factor, at: decayAt } : { type, warmup, factor, every: decayEvery! }
  }
}
