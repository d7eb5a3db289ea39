import { checkState } from '../data/dataset-options'
import { choice, integer, isObject, number } from '../native/check'
import { FfjordError } from '../native/errors'
import type { OptimizerState } from './optimizer'
import { checkProvenance, type Provenance } from './provenance'
import type { FitState, ScheduleState } from './training-state'

/** What the metadata of a model file hold of training, whatever was trained; tensors stand beside them. */
export interface StateMetadata<S extends FitState> {
  provenance?: Provenance
  optimizer?: OptimizerState
  /** The file has the best weights, unless it says that they were not kept. */
  training?: Omit<S, 'best'> & { best?: { validation: number; iteration: number; kept?: boolean } }
}

/** What `read` makes of metadata that this package wrote. @throws FfjordError INVALID_FILE on anything else */
export function checkMetadata<M>(
  path: string,
  value: unknown,
  read: (value: Record<string, unknown>, options: Record<string, unknown>) => M
): M | undefined {
  if (value === undefined) return undefined
  try {
    if (!isObject(value) || value.version !== 1 || !isObject(value.options))
      throw new Error('unknown version')
    return read(value, value.options)
  } catch (cause) {
    const { message } = cause as Error
    throw new FfjordError(
      'INVALID_FILE',
      `${path}: its metadata 'ffjord' is malformed (${message}); write the file again with this version`,
      { cause }
    )
  }
}

/** `own` checks what the state of such a model has besides. */
export function checkStateMetadata<S extends FitState>(
  { provenance, optimizer, training }: Record<string, unknown>,
  own: (training: Record<string, unknown>) => Omit<S, keyof FitState>
): StateMetadata<S> {
  return {
    ...(provenance !== undefined && { provenance: storedProvenance(provenance) }),
    ...(optimizer !== undefined && { optimizer: optimizerState(optimizer) }),
    ...(training !== undefined && { training: trainingState(training, own) })
  }
}

/** A later version may keep more of it. */
function storedProvenance(value: unknown): Provenance {
  if (!isObject(value)) throw new Error('no provenance')
  const { data, images, rows, iterations, validation, test, date, version } = value
  return checkProvenance({ data, images, rows, iterations, validation, test, date, version })
}

function optimizerState(value: unknown): OptimizerState {
  if (!isObject(value) || !isObject(value.options)) throw new Error('no optimizer options')
  const { options } = value
  const positive = (key: string) => number(options[key], key, { least: 0 })
  const fraction = (key: string) => number(options[key], key, { least: 0, most: 1 - Number.EPSILON })
  return {
    step: integer(value.step, 'step'),
    options: {
      type: choice(options.type, 'type', ['adam', 'adamw', 'adamax', 'sgd']),
      learningRate: positive('learningRate'),
      beta1: fraction('beta1'),
      beta2: fraction('beta2'),
      epsilon: positive('epsilon'),
      momentum: fraction('momentum'),
      weightDecay: positive('weightDecay'),
      clipNorm: positive('clipNorm'),
      averageDecay: fraction('averageDecay')
    }
  }
}

function scheduleState(value: unknown): ScheduleState {
  if (!isObject(value)) throw new Error('no schedule')
  return {
    factor: number(value.factor, 'factor', { least: 0 }),
    // JSON has no infinity: nothing was validated yet
    best: value.best === null ? Infinity : number(value.best, 'best'),
    since: integer(value.since, 'since')
  }
}

function trainingState<S extends FitState>(
  value: unknown,
  own: (training: Record<string, unknown>) => Omit<S, keyof FitState>
): NonNullable<StateMetadata<S>['training']> {
  if (!isObject(value)) throw new Error('no training state')
  const { best } = value
  const common = {
    iteration: integer(value.iteration, 'iteration'),
    skipped: integer(value.skipped, 'skipped'),
    seconds: number(value.seconds, 'seconds', { least: 0 }),
    data: checkState(value.data),
    schedule: scheduleState(value.schedule),
    ...(value.validation !== undefined && { validation: number(value.validation, 'validation') }),
    ...(isObject(best) && {
      best: {
        validation: number(best.validation, 'best.validation'),
        iteration: integer(best.iteration, 'best.iteration'),
        kept: best.kept !== false
      }
    })
  }
  return { ...common, ...own(value) } as NonNullable<StateMetadata<S>['training']>
}
