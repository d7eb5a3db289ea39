import { checkState } from '../data/dataset-options'
import { openSafetensors } from '../file/read-safetensors'
import { type StoredTensor, writeSafetensors } from '../file/safetensors'
import { notFinite } from '../flow/impossible'
import { checkOptimizerState, checkScheduleState } from '../flow/model-metadata'
import { type Kept, keptState, ModelFile, stateBuffers } from '../flow/model-tensors'
import { normalizeSettings } from '../flow/normalize-settings'
import { Optimizer, type OptimizerState } from '../flow/optimizer'
import { checkProvenance, type Provenance } from '../flow/provenance'
import { cut, layoutOf } from '../flow/weights'
import { integer, isObject, number, object } from '../native/check'
import { FfjordError, translatedSync } from '../native/errors'
import type { NativeArray, NativeBuffer } from '../native/interface'
import type { VaeCore } from './core'
import { normalizeVae, spellVae } from './normalize'
import type { VaeDescription, VaeOptions } from './options'
import type { VaeTrainingState } from './training-state'

/**
 * Autoencoders as safetensors under the published program's state-dict names. Metadata: `format`, `vae`, the description, and under `ffjord`
 * what only this package reads.
 */

/** What a model file may leave open, or should be overridden. */
export type VaeLoadOptions = Partial<VaeOptions>

interface VaeMetadata {
  version: 1
  options: VaeCore['options']
  provenance?: Provenance
  optimizer?: OptimizerState
  training?: Omit<VaeTrainingState, 'best'> & {
    best?: { validation: number; iteration: number; kept: boolean }
  }
}

const best: Kept = { buffer: 'parameters', prefix: 'best.' }

export async function writeVae(path: string, core: VaeCore, weightsOnly: boolean): Promise<void> {
  const { native, description, options, seed, calls, draws, optimizer, training, provenance } = core
  const tensors = new Map<string, StoredTensor>()
  const add = (prefix: string, buffer: NativeBuffer, values: NativeArray) => {
    for (const [name, tensor] of Object.entries(cut(values, layoutOf(native, buffer))))
      tensors.set(prefix + name, tensor)
  }
  add('', 'parameters', native.read('parameters'))
  const extra: VaeMetadata = { version: 1, options, ...(provenance && { provenance }) }
  if (!weightsOnly) {
    const count = (name: string, value: number) =>
      tensors.set(`random.${name}`, { shape: [1], data: BigInt64Array.of(BigInt(value)) })
    count('seed', seed)
    count('call', calls)
    count('draw', draws)
    if (optimizer) {
      extra.optimizer = optimizer.state
      for (const [buffer, prefix] of stateBuffers)
        if (buffer !== 'average' || optimizer.state.options.averageDecay > 0)
          add(prefix, buffer, native.read(buffer))
    }
    if (training) {
      const { best: found, ...rest } = training
      const kept = found !== undefined && found.parameters.length > 0
      extra.training = {
        ...rest,
        ...(found && { best: { validation: found.validation, iteration: found.iteration, kept } })
      }
      if (kept) add(best.prefix, best.buffer, found.parameters)
    }
  }
  const metadata = {
    format: 'pt',
    vae: JSON.stringify(spellVae(description)),
    ffjord: JSON.stringify(extra)
  }
  await writeSafetensors(path, { metadata, tensors })
}

/** A model file that is open: what it is, before any of its weights are read. */
export interface StoredVae {
  options: VaeOptions
  /** Compares a model's layout with the tensors of the file. */
  check(core: VaeCore): void
  /** Puts the file's weights and state into the model. */
  restore(core: VaeCore): Promise<void>
  close(): Promise<void>
}

const descriptionKeys = [
  'shape',
  'likelihood',
  'latent',
  'encoder',
  'decoder',
  'head',
  'posterior',
  'variance'
] as const

export async function openVae(path: string, given: VaeLoadOptions): Promise<StoredVae> {
  const opened = await openSafetensors(path)
  const file = new ModelFile(path, opened)
  try {
    const stored = storedDescription(file)
    if (!stored && (given.shape === undefined || given.likelihood === undefined))
      throw file.error(
        'INVALID_FILE',
        'it holds no description of an autoencoder',
        'give { shape, likelihood, … } to load it, or Flow.load for a flow'
      )
    const extra = checkVaeMetadata(file, file.parse('ffjord'))
    const options = {
      ...extra?.options,
      seed: await file.integer('random.seed', Number.MAX_SAFE_INTEGER),
      ...stored,
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    } as VaeOptions
    return {
      options,
      check: ({ native }) => file.check(native, kept(extra), isConstant),
      restore: (core) => restore(file, extra, core),
      close: () => file.close()
    }
  } catch (error) {
    await file.close()
    throw error
  }
}

function storedDescription(file: ModelFile): VaeDescription | undefined {
  const stored = file.parse('vae')
  if (stored === undefined) return undefined
  const description = object(stored, 'vae', descriptionKeys) as unknown as VaeDescription
  file.blame(['INVALID_OPTION', 'UNKNOWN_OPTION', 'INVALID_SHAPE', 'CONTRADICTORY_OPTIONS'], () =>
    normalizeVae(description)
  )
  return description
}

/** Constants that the published program keeps among its weights, and the end times of its flows, which the description has. */
function isConstant(name: string): boolean {
  const constants = ['triu_mask', 'diag_idx', '_eye', 'flip_idx', 'integration_times', 'sqrt_end_time']
  return constants.some((one) => name === one || name.endsWith(`.${one}`))
}

function kept(extra: VaeMetadata | undefined): Kept[] {
  return [
    { buffer: 'parameters', prefix: '' },
    ...keptState(extra?.optimizer),
    ...(extra?.training?.best?.kept ? [best] : [])
  ]
}

async function restore(file: ModelFile, extra: VaeMetadata | undefined, core: VaeCore): Promise<void> {
  const { native } = core
  const values: { buffer: NativeBuffer; prefix: string; values: NativeArray }[] = []
  for (const one of kept(extra)) {
    const filled = await file.fill(native, one)
    const layout = layoutOf(native, one.buffer).map((tensor) => ({
      ...tensor,
      name: one.prefix + tensor.name
    }))
    file.refuse(notFinite(layout, filled))
    if (one.buffer === 'secondMoment' && filled.some((value) => value < 0))
      file.refuse(`a tensor '${one.prefix}…' holds a negative second moment`)
    values.push({ ...one, values: filled })
  }
  const calls = await file.integer('random.call', 2 ** 32 - 1)
  const draws = await file.integer('random.draw', 2 ** 32 - 1)
  translatedSync(() => {
    for (const one of values) if (one.prefix !== best.prefix) native.write(one.buffer, one.values)
  })
  core.calls = calls
  core.draws = draws
  if (extra?.provenance) core.provenance = extra.provenance
  if (extra?.optimizer) core.optimizer = new Optimizer(native, extra.optimizer)
  if (!extra?.training) return
  const { best: found, ...rest } = extra.training
  const parameters = values.find(({ prefix }) => prefix === best.prefix)?.values ?? new Float32Array()
  core.training = {
    ...rest,
    ...(found && {
      best: {
        validation: found.validation,
        iteration: found.iteration,
        parameters,
        statistics: new Float32Array()
      }
    })
  }
}

/** The metadata as this package wrote it. @throws FfjordError INVALID_FILE on anything else */
function checkVaeMetadata(file: ModelFile, value: unknown): VaeMetadata | undefined {
  if (value === undefined) return undefined
  try {
    if (!isObject(value) || value.version !== 1 || !isObject(value.options))
      throw new Error('unknown version')
    const options = object(value.options, 'options', ['trace', 'solver', 'gradient'])
    normalizeSettings(options)
    const metadata: VaeMetadata = { version: 1, options }
    if (value.provenance !== undefined) metadata.provenance = checkProvenance(value.provenance)
    if (value.optimizer !== undefined) metadata.optimizer = checkOptimizerState(value.optimizer)
    if (value.training !== undefined) metadata.training = checkTraining(value.training)
    return metadata
  } catch (cause) {
    const { message } = cause as Error
    throw new FfjordError(
      'INVALID_FILE',
      `${file.path}: its metadata 'ffjord' is malformed (${message}); write the file again with this version`,
      { cause }
    )
  }
}

function checkTraining(value: unknown): NonNullable<VaeMetadata['training']> {
  if (!isObject(value)) throw new Error('no training state')
  const { best: found } = value
  return {
    iteration: integer(value.iteration, 'iteration'),
    skipped: integer(value.skipped, 'skipped'),
    seconds: number(value.seconds, 'seconds', { least: 0 }),
    data: checkState(value.data),
    schedule: checkScheduleState(value.schedule),
    since: integer(value.since, 'since'),
    ...(value.validation !== undefined && { validation: number(value.validation, 'validation') }),
    ...(isObject(found) && {
      best: {
        validation: number(found.validation, 'best.validation'),
        iteration: integer(found.iteration, 'best.iteration'),
        kept: found.kept === true
      }
    })
  }
}
