import { openSafetensors } from '../file/read-safetensors'
import { type StoredTensor, writeSafetensors } from '../file/safetensors'
import { keptIn, restoreState, storeState, storeWeights } from '../flow/model-state'
import { ModelFile } from '../flow/model-tensors'
import { normalizeSettings } from '../flow/normalize-settings'
import { checkMetadata, checkStateMetadata, type StateMetadata } from '../flow/state-metadata'
import { integer, object } from '../native/check'
import type { VaeCore } from './core'
import { descriptionKeys, normalizeVae, spellVae } from './normalize'
import type { VaeDescription, VaeOptions } from './options'
import type { VaeTrainingState } from './training-state'

/**
 * Autoencoders as safetensors under the published program's state-dict names. Metadata: `format`, `vae`, the description, and under `ffjord`
 * what only this package reads.
 */

/** What a model file may leave open, or should be overridden. */
export type VaeLoadOptions = Partial<VaeOptions>

interface VaeMetadata extends StateMetadata<VaeTrainingState> {
  version: 1
  options: VaeCore['options']
}

export async function writeVae(path: string, core: VaeCore, weightsOnly: boolean): Promise<void> {
  const { description, options, provenance } = core
  const tensors = new Map<string, StoredTensor>()
  storeWeights(core, tensors)
  const extra: VaeMetadata = {
    version: 1,
    options,
    ...(provenance && { provenance }),
    ...(!weightsOnly && storeState(core, tensors))
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

export async function openVae(path: string, given: VaeLoadOptions): Promise<StoredVae> {
  const opened = await openSafetensors(path)
  const file = new ModelFile(path, opened)
  try {
    const stored = storedDescription(file)
    if (!stored && file.parse('blocks') !== undefined)
      throw file.error('WRONG_MODEL', 'it holds a flow', 'read it with Flow.load, or ffjord without vae')
    if (!stored && (given.shape === undefined || given.likelihood === undefined))
      throw file.error(
        'INVALID_FILE',
        'it holds no description of an autoencoder',
        'give { shape, likelihood, … } to load it'
      )
    const extra = checkVaeMetadata(file.path, file.parse('ffjord'))
    const options = {
      ...extra?.options,
      seed: await file.integer('random.seed', Number.MAX_SAFE_INTEGER),
      ...stored,
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
    } as VaeOptions
    return {
      options,
      check: ({ native }) => file.check(native, keptIn(extra), isConstant),
      restore: (core) => restoreState(file, extra, core),
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

function checkVaeMetadata(path: string, value: unknown): VaeMetadata | undefined {
  return checkMetadata(path, value, (given, asked): VaeMetadata => {
    const options = object(asked, 'options', ['trace', 'solver', 'gradient'])
    normalizeSettings(options)
    const state = checkStateMetadata<VaeTrainingState>(given, ({ since }) => ({
      since: integer(since, 'since')
    }))
    return { version: 1, options, ...state }
  })
}
