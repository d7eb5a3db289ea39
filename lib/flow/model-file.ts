import { tableWidth } from '../data/schema'
import { openSafetensors } from '../file/read-safetensors'
import { type StoredTensor, writeSafetensors } from '../file/safetensors'
import { sizeOf } from '../native/batch'
import type { ErrorCode } from '../native/errors'
import type { NativeBlock } from '../native/interface'
import type { FlowCore } from './core'
import { checkFlowMetadata, type ModelMetadata } from './model-metadata'
import { keptIn, restoreState, storeState, storeWeights } from './model-state'
import { ModelFile } from './model-tensors'
import { normalizeDescription } from './normalize'
import type { Block, ComputeOptions, Conditioning, FlowDescription, FlowOptions } from './options'

/**
 * Models as safetensors under the reference implementation's state-dict names. Metadata: `format`, `shape`, `blocks`,
 * `context` of a conditional flow, `trace`, and under `ffjord` what only this package reads.
 */

/** What a model file may leave open, or should be overridden. */
export type LoadOptions = Partial<FlowDescription> &
  ComputeOptions &
  Pick<FlowOptions, 'device' | 'threads' | 'seed' | 'memory'>

export async function writeModel(path: string, core: FlowCore, weightsOnly: boolean): Promise<void> {
  const { description, options, traces, table, provenance } = core
  const tensors = new Map<string, StoredTensor>()
  storeWeights(core, tensors)
  description.blocks.forEach((block, i) => {
    // A scalar buffer of the reference's, which a strict load asks for
    if (block.type === 'cnf')
      tensors.set(`chain.${i}.odefunc._num_evals`, { shape: [], data: Float32Array.of(0) })
  })
  const extra: ModelMetadata = {
    version: 1,
    options,
    traces,
    ...(table && { table }),
    ...(provenance && { provenance }),
    ...(!weightsOnly && storeState(core, tensors))
  }
  const metadata = {
    format: 'pt',
    shape: JSON.stringify(description.shape),
    blocks: JSON.stringify(description.blocks.map(spell)),
    ...(description.context && { context: JSON.stringify(description.context) }),
    trace: traceLaw(traces),
    ffjord: JSON.stringify(extra)
  }
  await writeSafetensors(path, { metadata, tensors })
}

/** A block without what is at its default. */
function spell(block: NativeBlock): unknown {
  if (block.type !== 'cnf') return block
  const { residual, strides, parallel, zeroLast, spectralNorm, ...net } = block.net
  return {
    type: 'cnf',
    time: block.time,
    ...(block.trainTime && { trainTime: true }),
    net: {
      ...net,
      ...(strides.length > 0 && { strides }),
      ...(parallel > 1 && { parallel }),
      ...(zeroLast && { zeroLast }),
      ...(residual && { residual }),
      ...(spectralNorm > 0 && { spectralNorm })
    }
  }
}

function traceLaw(traces: readonly string[]): string {
  const estimate = traces.find((trace) => !trace.startsWith('exact'))
  if (!estimate) return 'exact'
  return estimate.includes('rademacher') ? 'rademacher' : 'gaussian'
}

/** A model file that is open: what it is, before any of its weights are read. */
export interface StoredModel {
  options: FlowOptions
  /** Runs `make`, which makes a flow of `options`; the core's refusals of the file's description name the file. */
  described<T>(make: () => T): T
  /** Compares a flow's layout with the tensors of the file. */
  check(core: FlowCore): void
  /** Puts the file's weights and state into the flow. */
  restore(core: FlowCore): Promise<void>
  close(): Promise<void>
}

export async function openModel(path: string, given: LoadOptions): Promise<StoredModel> {
  const file = await openSafetensors(path)
  try {
    return await describe(new ModelFile(path, file), given)
  } catch (error) {
    await file.close()
    throw error
  }
}

const descriptionKeys = ['shape', 'blocks', 'context'] as const
const computeKeys = ['trace', 'solver', 'gradient', 'regularize'] as const

async function describe(file: ModelFile, given: LoadOptions): Promise<StoredModel> {
  const extra = checkFlowMetadata(file.path, file.parse('ffjord'))
  const shape = given.shape ?? (file.parse('shape') as number[] | undefined)
  const blocks = given.blocks ?? (file.parse('blocks') as Block[] | undefined)
  const context = given.context ?? (file.parse('context') as Conditioning | undefined)
  if (!shape || !blocks) {
    if (file.parse('vae') !== undefined)
      throw file.error('WRONG_MODEL', 'it holds an autoencoder', 'read it with Vae.load, or ffjord vae')
    throw file.error(
      'INVALID_FILE',
      'it holds no description of the flow',
      'give { shape, blocks } to load it'
    )
  }
  const description = { shape, blocks, ...(context !== undefined && { context }) }
  const owns = (keys: readonly (keyof LoadOptions)[]) => keys.every((key) => given[key] === undefined)
  if (owns(descriptionKeys))
    file.blame(['INVALID_OPTION', 'UNKNOWN_OPTION', 'INVALID_SHAPE'], () => normalizeDescription(description))
  const blamed: ErrorCode[] = owns([...descriptionKeys, ...computeKeys]) ? ['INVALID_ARGUMENT'] : []

  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options: FlowOptions = {
    ...(extra?.options ?? storedTrace(file.metadata.trace)),
    seed: await file.integer('random.seed', Number.MAX_SAFE_INTEGER),
    ...defined,
    ...description
  }
  return {
    options,
    described: (make) => file.blame(blamed, make),
    check: ({ native }) => file.check(native, keptIn(extra)),
    restore: (core) => restore(file, extra, core),
    close: () => file.close()
  }
}

function storedTrace(law: string | undefined): ComputeOptions {
  if (law === 'exact') return { trace: 'exact' }
  return law === 'gaussian' || law === 'rademacher' ? { trace: { noise: law } } : {}
}

async function restore(file: ModelFile, extra: ModelMetadata | undefined, core: FlowCore): Promise<void> {
  checkWidth(file, extra, core)
  await restoreState(file, extra, core)
  if (extra?.table) core.table = extra.table
  const training = extra?.training
  core.provenance ??= {
    // A file of before it was kept has this much.
    ...(training && { iterations: training.iteration }),
    ...(training?.validation !== undefined && { validation: training.validation })
  }
}

function checkWidth(file: ModelFile, extra: ModelMetadata | undefined, { description }: FlowCore): void {
  if (!extra?.table) return
  const [width, size] = [tableWidth(extra.table.columns), sizeOf(description.shape)]
  if (width !== size)
    throw file.error(
      'INVALID_FILE',
      `its table has ${width} elements a row, and its samples ${size}`,
      'write the model again with this version'
    )
}
