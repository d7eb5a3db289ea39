import type { StoredTensor } from '../file/safetensors'
import { translatedSync } from '../native/errors'
import type { NativeArray, NativeBuffer, NativeTensors } from '../native/interface'
import type { ModelCore } from './core'
import { impossible, impossibleNorm, notFinite } from './impossible'
import { type Kept, keptState, type ModelFile } from './model-tensors'
import { Optimizer } from './optimizer'
import type { StateMetadata } from './state-metadata'
import type { FitState } from './training-state'
import { cut, layoutOf } from './weights'

/** Weights, optimizer, averages, random and training state in a model file, whatever the model is. */

type Tensors = Map<string, StoredTensor>

const weights: Kept[] = [
  { buffer: 'parameters', prefix: '' },
  { buffer: 'statistics', prefix: '' }
]
const best: Kept[] = weights.map(({ buffer }) => ({ buffer, prefix: 'best.' }))

function add(tensors: Tensors, native: NativeTensors, { buffer, prefix }: Kept, values: NativeArray): void {
  for (const [name, tensor] of Object.entries(cut(values, layoutOf(native, buffer))))
    tensors.set(prefix + name, tensor)
}

export function storeWeights({ native }: ModelCore, tensors: Tensors): void {
  for (const one of weights) add(tensors, native, one, native.read(one.buffer))
}

/** Adds what training needs to go on; gives what of it stands in the metadata. */
export function storeState<S extends FitState>(core: ModelCore<S>, tensors: Tensors): StateMetadata<S> {
  const { native, seed, calls, draws, optimizer, training } = core
  for (const [name, value] of Object.entries({ seed, call: calls, draw: draws }))
    tensors.set(`random.${name}`, { shape: [1], data: BigInt64Array.of(BigInt(value)) })
  for (const one of keptState(optimizer?.state)) add(tensors, native, one, native.read(one.buffer))
  const metadata: StateMetadata<S> = optimizer ? { optimizer: optimizer.state } : {}
  if (!training) return metadata
  const { best: found, ...rest } = training
  const kept = found !== undefined && found.parameters.length > 0
  if (kept) {
    add(tensors, native, best[0]!, found.parameters)
    add(tensors, native, best[1]!, found.statistics)
  }
  metadata.training = {
    ...rest,
    ...(found && {
      best: { validation: found.validation, iteration: found.iteration, ...(!kept && { kept }) }
    })
  }
  return metadata
}

/** What a file with this metadata holds. */
export function keptIn(extra: StateMetadata<FitState> | undefined): Kept[] {
  return [...weights, ...keptState(extra?.optimizer), ...(isKept(extra) ? best : [])]
}

function isKept(extra: StateMetadata<FitState> | undefined): boolean {
  const found = extra?.training?.best
  return found !== undefined && found.kept !== false
}

/** Puts what the file holds into the model. */
export async function restoreState<S extends FitState>(
  file: ModelFile,
  extra: StateMetadata<S> | undefined,
  core: ModelCore<S>
): Promise<void> {
  const { native } = core
  const fill = async ([parameters, statistics]: readonly Kept[]) => {
    const filled = {
      parameters: await file.fill(native, parameters!),
      statistics: await file.fill(native, statistics!)
    }
    file.refuse(impossible(native, filled))
    return filled
  }
  const { parameters, statistics } = await fill(weights)
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
  const none = { parameters: new Float32Array(), statistics: new Float32Array() }
  const bestWeights = isKept(extra) ? await fill(best) : none

  translatedSync(() => {
    native.write('parameters', parameters)
    if (statistics.length > 0) {
      native.write('statistics', statistics)
      file.refuse(impossibleNorm(native, native.read('statistics')))
    }
    for (const { buffer, values } of state) native.write(buffer, values)
  })
  core.calls = calls
  core.draws = draws
  if (extra?.provenance) core.provenance = extra.provenance
  if (extra?.optimizer) core.optimizer = new Optimizer(native, extra.optimizer)
  if (!extra?.training) return
  const { best: found, ...rest } = extra.training
  core.training = {
    ...rest,
    ...(found && { best: { validation: found.validation, iteration: found.iteration, ...bestWeights } })
  } as S
}
