import { parseJson } from '../file/json'
import type { OpenSafetensors } from '../file/read-safetensors'
import { sizeOf } from '../native/batch'
import { show } from '../native/check'
import { type ErrorCode, FfjordError, isFfjordError } from '../native/errors'
import type { NativeArray, NativeBuffer, NativeTensor, NativeTensors } from '../native/interface'
import type { OptimizerState } from './optimizer'
import { layoutOf } from './weights'

/** Buffers of the model that a file keeps beside the weights, and the prefix of their names. */
export const stateBuffers: readonly [NativeBuffer, string][] = [
  ['firstMoment', 'optimizer.exp_avg.'],
  ['secondMoment', 'optimizer.exp_avg_sq.'],
  ['average', 'ema.']
]
const statePrefixes = ['optimizer.', 'ema.', 'random.', 'best.']

/** A buffer that a file keeps, and the prefix of its tensors' names. */
export interface Kept {
  buffer: NativeBuffer
  prefix: string
}

export function keptState(optimizer: OptimizerState | undefined): Kept[] {
  if (!optimizer) return []
  return stateBuffers
    .filter(([buffer]) => buffer !== 'average' || optimizer.options.averageDecay > 0)
    .map(([buffer, prefix]) => ({ buffer, prefix }))
}

/** A tensor of a model, and its name in the file. */
interface Place {
  tensor: NativeTensor
  name: string
}

/** An open model file, flow or autoencoder: its metadata and its tensors. */
export class ModelFile {
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

  /** Refuses a file whose tensors are not those of the model, by name and shape; those that `ignores` names need no place. */
  check(
    native: NativeTensors,
    kept: readonly Kept[],
    ignores: (name: string) => boolean = () => false
  ): void {
    const used = new Set<string>()
    for (const { buffer, prefix } of kept)
      for (const { name } of this.places(native, buffer, prefix)) used.add(name)
    for (const name of this.#file.entries.keys()) {
      const ours = statePrefixes.some((prefix) => name.startsWith(prefix))
      const counted = name.endsWith('._num_evals') || name.endsWith('.beta')
      if (!used.has(name) && !ours && !counted && !ignores(name))
        throw this.wrong(`its tensor ${show(name)} has no place in this model`)
    }
  }

  places(native: NativeTensors, buffer: NativeBuffer, prefix: string): Place[] {
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
      throw this.wrong(`its tensor '${name}' has shape ${show(shape)}, and this model ${show(tensor.shape)}`)
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

  /** A buffer of the model with the file's tensors in it. */
  async fill(native: NativeTensors, { buffer, prefix }: Kept): Promise<NativeArray> {
    const values = native.read(buffer)
    for (const { tensor, name } of this.places(native, buffer, prefix))
      values.set((await this.#file.read(name)).data as NativeArray, tensor.offset)
    return values
  }

  /** Refuses weights that a model cannot have, under the names of the file. */
  refuse(reason: string | undefined): void {
    if (reason !== undefined) throw this.error('INVALID_FILE', reason, 'use an earlier checkpoint')
  }
}
