import { firstNotFinite, isReal, type RealArray } from './batch'
import { integer } from './check'
import type { FlowCore } from './core'
import { FfjordError } from './errors'
import type { LoadOptions } from './flow'
import { checkMetadata, type ModelMetadata } from './model-metadata'
import type { NativeArray, NativeBlock, NativeBuffer, NativeTensor } from './native'
import { Optimizer } from './optimizer'
import type { Block, ComputeOptions, Conditioning, FlowOptions } from './options'
import { readSafetensors, type SafetensorsFile, type StoredTensor, writeSafetensors } from './safetensors'
import { cut, layoutOf } from './weights'

/**
 * Models as safetensors under the reference implementation's state-dict names. Metadata: `format`, `shape`, `blocks`,
 * `context` of a conditional flow, `trace`, and under `ffjord` what only this package reads.
 */

/** Buffers of the flow that a file keeps beside the weights, and the prefix of their names. */
const stateBuffers: readonly [NativeBuffer, string][] = [
  ['firstMoment', 'optimizer.exp_avg.'],
  ['secondMoment', 'optimizer.exp_avg_sq.'],
  ['average', 'ema.']
]
const statePrefixes = ['optimizer.', 'ema.', 'random.', 'best.']

export async function writeModel(path: string, core: FlowCore, weightsOnly: boolean): Promise<void> {
  const { native, description, options, traces, seed, calls, optimizer, training, table } = core
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

  const extra: ModelMetadata = { version: 1, options, traces, ...(table && { table }) }
  if (!weightsOnly) {
    tensors.set('random.seed', { shape: [1], data: BigInt64Array.of(BigInt(seed)) })
    tensors.set('random.call', { shape: [1], data: BigInt64Array.of(BigInt(calls)) })
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
  const { residual, strides, spectralNorm, ...net } = block.net
  return {
    type: 'cnf',
    time: block.time,
    ...(block.trainTime && { trainTime: true }),
    net: {
      ...net,
      ...(strides.length > 0 && { strides }),
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

export interface StoredModel {
  options: FlowOptions
  /** Puts the file's weights and state into a flow made from `options`. */
  restore(core: FlowCore): void
}

export async function readModel(path: string, given: LoadOptions): Promise<StoredModel> {
  const file = await readSafetensors(path)
  const extra = checkMetadata(path, parse<unknown>(path, file, 'ffjord'))
  const shape = given.shape ?? parse<number[]>(path, file, 'shape')
  const blocks = given.blocks ?? parse<Block[]>(path, file, 'blocks')
  if (!shape || !blocks)
    throw new FfjordError(
      'INVALID_FILE',
      `${path} holds no description of the flow; give { shape, blocks } to load it`
    )
  const context = given.context ?? parse<Conditioning>(path, file, 'context')
  const stored = extra?.options ?? storedTrace(file.metadata.trace)
  const seed = given.seed ?? Number(file.tensors.get('random.seed')?.data[0] ?? 0)
  const defined = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
  const options: FlowOptions = {
    ...stored,
    ...defined,
    shape,
    blocks,
    ...(context !== undefined && { context }),
    seed: integer(seed, 'random.seed')
  }
  return { options, restore: (core) => restore(path, file, extra, core) }
}

function storedTrace(law: string | undefined): ComputeOptions {
  if (law === 'exact') return { trace: 'exact' }
  return law === 'gaussian' || law === 'rademacher' ? { trace: { noise: law } } : {}
}

function parse<T>(path: string, file: SafetensorsFile, key: string): T | undefined {
  const text = file.metadata[key]
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as T
  } catch (cause) {
    throw new FfjordError('INVALID_FILE', `${path}: its metadata '${key}' is not JSON; write it again`, {
      cause
    })
  }
}

function restore(
  path: string,
  file: SafetensorsFile,
  extra: ModelMetadata | undefined,
  core: FlowCore
): void {
  const { native } = core
  const used = new Set<string>()
  const fill = (buffer: NativeBuffer, prefix: string): NativeArray => {
    const values = native.read(buffer)
    for (const tensor of layoutOf(native, buffer)) {
      const name = find(file, prefix, tensor)
      if (name === undefined) {
        if (tensor.name.endsWith('.step')) continue
        throw wrongModel(path, `it has no tensor '${prefix}${tensor.name}'`)
      }
      used.add(name)
      values.set(numbers(path, name, file.tensors.get(name)!, tensor), tensor.offset)
    }
    return values
  }
  const parameters = fill('parameters', '')
  const statistics = fill('statistics', '')
  for (const name of file.tensors.keys()) {
    const ours = statePrefixes.some((prefix) => name.startsWith(prefix))
    if (!used.has(name) && !ours && !name.endsWith('._num_evals') && !name.endsWith('.beta'))
      throw wrongModel(path, `its tensor '${name}' has no place in this flow`)
  }
  const moments = extra?.optimizer
    ? stateBuffers
        .filter(([buffer]) => buffer !== 'average' || extra.optimizer!.options.averageDecay > 0)
        .map(([buffer, prefix]) => ({ buffer, values: fill(buffer, prefix) }))
    : []
  const best = extra?.training?.best && {
    ...extra.training.best,
    parameters: fill('parameters', 'best.'),
    statistics: fill('statistics', 'best.')
  }

  native.write('parameters', parameters)
  if (statistics.length > 0) native.write('statistics', statistics)
  for (const { buffer, values } of moments) native.write(buffer, values)
  if (extra?.table) core.table = extra.table
  core.calls = Number(file.tensors.get('random.call')?.data[0] ?? 0)
  if (extra?.optimizer) core.optimizer = new Optimizer(native, extra.optimizer)
  if (extra?.training) {
    const { best: _, ...rest } = extra.training
    core.training = { ...rest, ...(best && { best }) }
  }
}

/** The tensor's name in the file. PyTorch stores a β that layers share once. */
function find(file: SafetensorsFile, prefix: string, { name, role }: NativeTensor): string | undefined {
  if (file.tensors.has(prefix + name)) return prefix + name
  if (role !== 'beta' || prefix !== '') return undefined
  return [...file.tensors.keys()].find((one) => one.endsWith('.beta'))
}

function numbers(path: string, name: string, stored: StoredTensor, tensor: NativeTensor): RealArray {
  const { data, shape } = stored
  const scalar = data.length === 1 && tensor.size === 1
  const same = shape.length === tensor.shape.length && shape.every((length, i) => length === tensor.shape[i])
  if (!same && !scalar)
    throw wrongModel(path, `its tensor '${name}' has shape [${shape}], and this flow [${tensor.shape}]`)
  if (!isReal(data))
    throw new FfjordError('INVALID_FILE', `${path}: '${name}' holds integers; store weights as F32 or F64`)
  if (firstNotFinite(data) >= 0)
    throw new FfjordError(
      'INVALID_FILE',
      `${path}: '${name}' holds NaN or infinity; use an earlier checkpoint`
    )
  return data
}

function wrongModel(path: string, reason: string): FfjordError {
  return new FfjordError(
    'WRONG_MODEL',
    `${path} is of another model: ${reason}; give the description it was made with`
  )
}
