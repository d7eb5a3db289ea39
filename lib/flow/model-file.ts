import { tableWidth } from '../data/schema'
import { parseJson } from '../file/json'
import { type OpenSafetensors, openSafetensors } from '../file/read-safetensors'
import { type StoredTensor, writeSafetensors } from '../file/safetensors'
import { sizeOf } from '../native/batch'
import { show } from '../native/check'
import { type ErrorCode, FfjordError, isFfjordError, translatedSync } from '../native/errors'
import type { NativeArray, NativeBlock, NativeBuffer, NativeFlow, NativeTensor } from '../native/interface'
import type { FlowCore } from './core'
import { impossible, impossibleNorm, notFinite } from './impossible'
import { checkMetadata, type ModelMetadata } from './model-metadata'
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

/** Buffers of the flow that a file keeps beside the weights, and the prefix of their names. */
const stateBuffers: readonly [NativeBuffer, string][] = [
  ['firstMoment', 'optimizer.exp_avg.'],
  ['secondMoment', 'optimizer.exp_avg_sq.'],
  ['average', 'ema.']
]
const statePrefixes = ['optimizer.', 'ema.', 'random.', 'best.']

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
  check(native: NativeFlow): void
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
    check: (native) => file.check(native, extra),
    restore: (core) => restore(file, extra, core),
    close: () => file.close()
  }
}

function storedTrace(law: string | undefined): ComputeOptions {
  if (law === 'exact') return { trace: 'exact' }
  return law === 'gaussian' || law === 'rademacher' ? { trace: { noise: law } } : {}
}

/** A tensor of a flow, and its name in the file. */
interface Place {
  tensor: NativeTensor
  name: string
}

class ModelFile {
  readonly metadata: Record<string, string>
  /** PyTorch stores a β that layers share once. */
  readonly #sharedBeta: string | undefined
  readonly #file: OpenSafetensors

  constructor(
    readonly path: string,
    file: OpenSafetensors
  ) {
    this.#file = file
    this.metadata = file.metadata
    this.#sharedBeta = [...file.entries.keys()].find((name) => name.endsWith('.beta'))
  }

  close(): Promise<void> {
    return this.#file.close()
  }

  error(code: ErrorCode, reason: string, remedy: string): FfjordError {
    return new FfjordError(code, `${this.path}: ${reason}; ${remedy}`)
  }

  /** Runs `call`; its errors of these codes become the file's. */
  blame<T>(codes: readonly ErrorCode[], call: () => T): T {
    try {
      return call()
    } catch (cause) {
      if (!isFfjordError(cause) || !codes.includes(cause.code)) throw cause
      throw new FfjordError('INVALID_FILE', `${this.path}: ${cause.message}`, { cause })
    }
  }

  parse(key: string): unknown {
    const text = Object.hasOwn(this.metadata, key) ? this.metadata[key] : undefined
    if (text === undefined) return undefined
    try {
      return parseJson(text)
    } catch (cause) {
      const reason = `its metadata '${key}' is not JSON (${(cause as Error).message})`
      throw new FfjordError('INVALID_FILE', `${this.path}: ${reason}; write it again`, { cause })
    }
  }

  /** A tensor that holds one integer of at most `most`; 0 where there is none. */
  async integer(name: string, most: number): Promise<number> {
    const entry = this.#file.entries.get(name)
    if (!entry) return 0
    const { data } = sizeOf(entry.shape) === 1 ? await this.#file.read(name) : { data: [] }
    const value = Number(data[0])
    if (Number.isSafeInteger(value) && value >= 0 && value <= most) return value
    throw this.error('INVALID_FILE', `'${name}' is no integer from 0 to ${most}`, 'use an earlier checkpoint')
  }

  /** Refuses a file whose tensors are not those of the flow, by name and shape. */
  check(native: NativeFlow, extra: ModelMetadata | undefined): void {
    const used = new Set<string>()
    for (const { buffer, prefix } of kept(extra))
      for (const { name } of this.places(native, buffer, prefix)) used.add(name)
    for (const name of this.#file.entries.keys()) {
      const ours = statePrefixes.some((prefix) => name.startsWith(prefix))
      if (!used.has(name) && !ours && !name.endsWith('._num_evals') && !name.endsWith('.beta'))
        throw this.wrong(`its tensor ${show(name)} has no place in this flow`)
    }
  }

  places(native: NativeFlow, buffer: NativeBuffer, prefix: string): Place[] {
    const places: Place[] = []
    for (const tensor of layoutOf(native, buffer)) {
      const name = this.#find(prefix, tensor)
      if (name !== undefined) places.push({ tensor, name })
      // PyTorch's batch norms of before it counted
      else if (!tensor.name.endsWith('.step')) throw this.wrong(`it has no tensor '${prefix}${tensor.name}'`)
    }
    return places
  }

  #find(prefix: string, tensor: NativeTensor): string | undefined {
    const own = prefix + tensor.name
    const name = this.#file.entries.has(own)
      ? own
      : tensor.role === 'beta' && prefix === ''
        ? this.#sharedBeta
        : undefined
    if (name === undefined) return undefined
    const { shape, dtype } = this.#file.entries.get(name)!
    const scalar = sizeOf(shape) === 1 && tensor.size === 1
    const same =
      shape.length === tensor.shape.length && shape.every((length, i) => length === tensor.shape[i])
    if (!same && !scalar)
      throw this.wrong(`its tensor '${name}' has shape ${show(shape)}, and this flow ${show(tensor.shape)}`)
    if (dtype === 'I64')
      throw this.error('INVALID_FILE', `'${name}' holds integers`, 'store weights as F32 or F64')
    return name
  }

  wrong(reason: string): FfjordError {
    return new FfjordError(
      'WRONG_MODEL',
      `${this.path} is of another model: ${reason}; give the description it was made with`
    )
  }

  /** A buffer of the flow with the file's tensors in it. */
  async fill(native: NativeFlow, { buffer, prefix }: Kept): Promise<NativeArray> {
    const values = native.read(buffer)
    for (const { tensor, name } of this.places(native, buffer, prefix))
      values.set((await this.#file.read(name)).data as NativeArray, tensor.offset)
    return values
  }

  /** Refuses weights that a flow cannot have, under the names of the file. */
  refuse(reason: string | undefined): void {
    if (reason !== undefined) throw this.error('INVALID_FILE', reason, 'use an earlier checkpoint')
  }
}

/** A buffer that a file keeps, and the prefix of its tensors' names. */
interface Kept {
  buffer: NativeBuffer
  prefix: string
}

function kept(extra: ModelMetadata | undefined): Kept[] {
  return [
    { buffer: 'parameters', prefix: '' },
    { buffer: 'statistics', prefix: '' },
    ...keptState(extra),
    ...(extra?.training?.best ? keptBest : [])
  ]
}

function keptState(extra: ModelMetadata | undefined): Kept[] {
  if (!extra?.optimizer) return []
  const { averageDecay } = extra.optimizer.options
  return stateBuffers
    .filter(([buffer]) => buffer !== 'average' || averageDecay > 0)
    .map(([buffer, prefix]) => ({ buffer, prefix }))
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
  for (const one of keptState(extra)) {
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
