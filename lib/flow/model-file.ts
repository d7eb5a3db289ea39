import { tableWidth } from '../data/schema'
import { openSafetensors } from '../file/read-safetensors'
import { type StoredTensor, writeSafetensors } from '../file/safetensors'
import { sizeOf } from '../native/batch'
import { type ErrorCode, translatedSync } from '../native/errors'
import type { NativeArray, NativeBlock, NativeBuffer } from '../native/interface'
import type { FlowCore } from './core'
import { impossible, impossibleNorm, notFinite } from './impossible'
import { checkMetadata, type ModelMetadata } from './model-metadata'
import { type Kept, keptState, ModelFile, stateBuffers } from './model-tensors'
import { normalizeDescription } from './normalize'
import { Optimizer } from './optimizer'
import type { Block, ComputeOptions, Conditioning, FlowDescription, FlowOptions } from './options'
import type { TrainingState } from './training-state'
import { cut, layoutOf } from './weights'

/**
 * Models as safetensors under the reference implementation's state-dict names. Metadata: `format`, `shape`, `blocks`,
 * `context` of a conditional flow, `trace`, and under `ffjord` what only this package reads.
 */

/** What a model file may leave open, or should be overridden. */
export type LoadOptions = Partial<FlowDescription> &
  ComputeOptions &
  Pick<FlowOptions, 'device' | 'threads' | 'seed' | 'memory'>

export async function writeModel(path: string, core: FlowCore, weightsOnly: boolean): Promise<void> {
  const { native, description, options, traces, seed, calls, draws, optimizer, training, table, provenance } =
    core
  const tensors = new Map<string, StoredTensor>()
  const add = (prefix: string, buffer: NativeBuffer, values: NativeArray) => {
    for (const [name, tensor] of Object.entries(cut(values, layoutOf(native, buffer))))
      tensors.set(prefix + name, tensor)
  }
  add('', 'parameters', native.read('parameters'))
  add('', 'statistics', native.read('statistics'))
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
    ...(provenance && { provenance })
  }
  if (!weightsOnly) {
    tensors.set('random.seed', { shape: [1], data: BigInt64Array.of(BigInt(seed)) })
    tensors.set('random.call', { shape: [1], data: BigInt64Array.of(BigInt(calls)) })
    tensors.set('random.draw', { shape: [1], data: BigInt64Array.of(BigInt(draws)) })
    if (optimizer) {
      extra.optimizer = optimizer.state
      for (const [buffer, prefix] of stateBuffers)
        if (buffer !== 'average' || optimizer.state.options.averageDecay > 0)
          add(prefix, buffer, native.read(buffer))
    }
    if (training) {
      const { best, ...rest } = training
      extra.training = {
        ...rest,
        ...(best && { best: { validation: best.validation, iteration: best.iteration } })
      }
      if (best) {
        add('best.', 'parameters', best.parameters)
        add('best.', 'statistics', best.statistics)
      }
    }
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
  const extra = checkMetadata(file.path, file.parse('ffjord'))
  const shape = given.shape ?? (file.parse('shape') as number[] | undefined)
  const blocks = given.blocks ?? (file.parse('blocks') as Block[] | undefined)
  const context = given.context ?? (file.parse('context') as Conditioning | undefined)
  if (!shape || !blocks)
    throw file.error(
      'INVALID_FILE',
      'it holds no description of the flow',
      'give { shape, blocks } to load it'
    )
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
    check: ({ native }) => file.check(native, kept(extra)),
    restore: (core) => restore(file, extra, core),
    close: () => file.close()
  }
}

function storedTrace(law: string | undefined): ComputeOptions {
  if (law === 'exact') return { trace: 'exact' }
  return law === 'gaussian' || law === 'rademacher' ? { trace: { noise: law } } : {}
}

function kept(extra: ModelMetadata | undefined): Kept[] {
  return [
    { buffer: 'parameters', prefix: '' },
    { buffer: 'statistics', prefix: '' },
    ...keptState(extra?.optimizer),
    ...(extra?.training?.best ? keptBest : [])
  ]
}

const keptBest: Kept[] = [
  { buffer: 'parameters', prefix: 'best.' },
  { buffer: 'statistics', prefix: 'best.' }
]

async function restore(file: ModelFile, extra: ModelMetadata | undefined, core: FlowCore): Promise<void> {
  const { native } = core
  const parameters = await file.fill(native, { buffer: 'parameters', prefix: '' })
  const statistics = await file.fill(native, { buffer: 'statistics', prefix: '' })
  file.refuse(impossible(native, { parameters, statistics }))
  const state: { buffer: NativeBuffer; values: NativeArray }[] = []
  for (const one of keptState(extra?.optimizer)) {
    const values = await file.fill(native, one)
    const layout = layoutOf(native, one.buffer).map((tensor) => ({
      ...tensor,
      name: one.prefix + tensor.name
    }))
    file.refuse(notFinite(layout, values))
    if (one.buffer === 'secondMoment' && values.some((value) => value < 0))
      file.refuse(`a tensor '${one.prefix}…' holds a negative second moment`)
    state.push({ buffer: one.buffer, values })
  }
  const calls = await file.integer('random.call', 2 ** 32 - 1)
  const draws = await file.integer('random.draw', 2 ** 32 - 1)
  const training = extra?.training
  let best: TrainingState['best']
  if (training?.best) {
    const [weights, buffers] = keptBest
    best = {
      ...training.best,
      parameters: await file.fill(native, weights!),
      statistics: await file.fill(native, buffers!)
    }
    file.refuse(impossible(native, best))
  }
  checkWidth(file, extra, core)

  translatedSync(() => {
    native.write('parameters', parameters)
    if (statistics.length > 0) {
      native.write('statistics', statistics)
      file.refuse(impossibleNorm(native, native.read('statistics')))
    }
    for (const { buffer, values } of state) native.write(buffer, values)
  })
  if (extra?.table) core.table = extra.table
  core.provenance = extra?.provenance ?? {
    // A file of before it was kept has this much.
    ...(training && { iterations: training.iteration }),
    ...(training?.validation !== undefined && { validation: training.validation })
  }
  core.calls = calls
  core.draws = draws
  if (extra?.optimizer) core.optimizer = new Optimizer(native, extra.optimizer)
  if (training) {
    const { best: _, ...rest } = training
    core.training = { ...rest, ...(best && { best }) }
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
