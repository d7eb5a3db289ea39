import { firstNotFinite, isBytes, isReal, sizeOf, type Tensor, type TensorLike } from '../native/batch'
import { binding } from '../native/binding'
import { fail, integer, isArray, isObject, object, show } from '../native/check'
import { translated, translatedSync } from '../native/errors'
import type { NativeArray, NativeFlow, NativeSettings } from '../native/interface'
import type { ContextOptions } from './call-options'
import type { FlowCore } from './core'
import type { Block } from './options'
import { velocity, velocityPullback } from './velocity'

/** Elements of samples that are given, such as a picture around a hole. */
export interface Observation {
  /** Which elements: ones and zeros, or booleans, of one sample for all, or of each. */
  mask: RealMask
  /** Their values, of one sample for all, or of each; what the mask leaves out is not read. */
  values: TensorLike | Float32Array | Float64Array | readonly number[]
  /** Steps from the base to the data, each a velocity and its pullback. Default: 100. */
  steps?: number
}

export type RealMask = TensorLike | Uint8Array | Float32Array | Float64Array | readonly (number | boolean)[]

/** The transforms of single elements that CNF blocks alone follow: the flows that `observe` works with; undefined of others. */
export function frontOf(blocks: readonly Block[]): Block[] | undefined {
  const first = blocks.findIndex(({ type }) => type === 'cnf')
  const fixed = blocks.slice(0, Math.max(0, first))
  const fits =
    first >= 0 &&
    fixed.every(({ type }) => elementwise.includes(type)) &&
    blocks.slice(first).every(({ type }) => type === 'cnf')
  return fits ? fixed : undefined
}

interface Observed {
  /** (B, D) each. */
  mask: Uint8Array
  values: Float64Array
  steps: number
}

/** Blocks that map elements one by one. */
const elementwise: readonly Block['type'][] = ['logit', 'zero_mean', 'standardize', 'support']

/**
 * Samples given some of their elements, without training for it. The path from the base is bent towards the observation by a pullback of the
 * velocity, as if the data at its end were N(x̂, r² I): v − s / (1 − s) · (∂x̂/∂x)ᵀ m ⊙ (y − x̂) / r², with x̂ = x − s v, s = 1 at the base and
 * r² = s² / ((1 − s)² + s²) (Pokle et al. 2023, algorithm 1). That holds for straight paths, which flow matching trains; it is a likely filling-in, and no exact
 * draw from the conditional density. The observed elements come out as they were given.
 */
export async function sampleObserved(
  core: FlowCore,
  base: Tensor,
  given: Observation,
  { context, signal }: ContextOptions & { signal?: AbortSignal }
): Promise<Float64Array> {
  const { shape } = core.description
  const size = sizeOf(shape)
  const count = base.shape[0]!
  const { mask, values, steps } = checkObservation(given, shape, count)
  const { fixed, endTimes } = blocksOf(core)
  const border = await Border.over(shape, fixed, core.settings.evaluation)
  const y = await border.behind(values, mask)
  const x = Float64Array.from(base.data)
  const blocks = endTimes.length
  for (let step = steps; step > 0; step--) {
    const s = step / steps
    const block = Math.min(blocks - 1, Math.ceil(s * blocks) - 1)
    const time = endTimes[block]!
    if (signal?.aborted) fail('CANCELLED', 'the signal ended this call; repeat it for a result')
    const at = { ...(context && { context }), seed: 0, block, t: Math.min(time, (s * blocks - block) * time) }
    const speed = blocks * time // n T: s advances by 1 / n while t does by T
    const { f } = await velocity(core, x, at)
    assertFollowed(f.data, size, steps)
    const miss = f.data.map((value, i) => (mask[i] ? y[i]! - (x[i]! - s * speed * value) : 0))
    const { z } = await velocityPullback(core, x, { ...at, f: miss, parameters: false })
    // Near the base the factor has no bound, where a whole step towards the observation is the most that means anything.
    const weight = s === 1 ? 1 : Math.min(1, ((1 - s) ** 2 + s * s) / (s * (1 - s)) / steps)
    for (let i = 0; i < size * count; i++)
      x[i] = x[i]! - (speed * f.data[i]!) / steps + weight * (miss[i]! - s * speed * z.data[i]!)
  }
  const rows = await border.before(x)
  assertFollowed(rows, size, steps)
  for (let i = 0; i < rows.length; i++) if (mask[i]) rows[i] = values[i]!
  return rows
}

/** Equal steps that are too long for a field take samples out of all bounds. */
function assertFollowed(values: NativeArray, size: number, steps: number): void {
  const bad = firstNotFinite(values)
  if (bad >= 0)
    fail(
      'NOT_FINITE',
      `sample ${Math.floor(bad / size)} with observe came to ${values[bad]} in ${steps} steps; take more steps, or train the flow longer`
    )
}

/** The transforms before the first CNF block, and the end times of those that follow. */
function blocksOf(core: FlowCore): { fixed: Block[]; endTimes: number[] } {
  const blocks = core.description.blocks as readonly Block[]
  const first = blocks.findIndex((block) => block.type === 'cnf')
  const fixed = blocks.slice(0, first < 0 ? blocks.length : first)
  const stranger = [
    ...fixed.filter((block) => !elementwise.includes(block.type)),
    ...blocks.slice(fixed.length).filter((block) => block.type !== 'cnf')
  ][0]
  if (stranger || first < 0)
    fail(
      'UNSUPPORTED',
      `observe bends one velocity that leads from the base to the data, of CNF blocks behind ${elementwise.join(', ')}, and this flow has ` +
        `${stranger?.type ?? 'no CNF block'}; train a flow of these, for images with net.parallel (--parallel 3) in place of a multiscale one`
    )
  const values = core.native.read('parameters')
  const endTimes = core.native.parameters
    .filter(({ name }) => name.endsWith('.sqrt_end_time'))
    .map(({ offset }) => values[offset]! ** 2)
  return { fixed, endTimes }
}

/** The transforms at the front of a flow, in float64. */
class Border {
  private constructor(
    readonly native: NativeFlow | undefined,
    readonly size: number,
    readonly settings: NativeSettings
  ) {}

  static async over(shape: number[], fixed: readonly Block[], settings: NativeSettings): Promise<Border> {
    if (fixed.length === 0) return new Border(undefined, sizeOf(shape), settings)
    const description = { shape, blocks: fixed as FlowCore['description']['blocks'] }
    const native = translatedSync(() => new (binding().Flow)(description, 'reference', null, 1))
    await translated(() => native.make(null))
    return new Border(native, sizeOf(shape), settings)
  }

  /** Data → behind the transforms; what is not observed becomes a point that they are defined at. */
  async behind(values: Float64Array, mask: Uint8Array): Promise<NativeArray> {
    if (!this.native) return values
    const inside = await this.before(new Float64Array(values.length))
    return this.#map(
      values.map((value, i) => (mask[i] ? value : inside[i]!)),
      'forward'
    )
  }

  async before(rows: Float64Array): Promise<Float64Array> {
    return this.native ? ((await this.#map(rows, 'reverse')) as Float64Array) : Float64Array.from(rows)
  }

  async #map(rows: Float64Array, direction: 'forward' | 'reverse'): Promise<NativeArray> {
    const call = { rows, batch: rows.length / this.size, direction, settings: this.settings }
    const noise = { seed: 0, call: 0, rowOffset: 0 }
    const { z } = await translated(() =>
      this.native!.solve({ ...call, noise, float64: true, training: false, keepTape: false })
    )
    return z
  }
}

function checkObservation(given: unknown, shape: readonly number[], count: number): Observed {
  const observation = object(given, 'observe', ['mask', 'values', 'steps'])
  const size = sizeOf(shape)
  const ones = numbers(observation.mask, 'observe.mask', shape)
  const values = numbers(observation.values, 'observe.values', shape)
  const each = (rows: number, name: string) => {
    if (rows !== 1 && rows !== count)
      fail('INVALID_SHAPE', `${name} holds ${rows} samples; give one for all, or one for each of ${count}`)
  }
  each(ones.length / size, 'observe.mask')
  each(values.length / size, 'observe.values')
  const mask = Uint8Array.from({ length: count * size }, (_, i) => (ones[i % ones.length] ? 1 : 0))
  const known = Float64Array.from(mask, (one, i) => (one ? values[i % values.length]! : 0))
  const bad = known.findIndex((value) => !Number.isFinite(value))
  if (bad >= 0)
    fail(
      'NOT_FINITE',
      `observe.values holds ${known[bad]} at ${bad % size}, where the mask has a one; mask it out`
    )
  return { mask, values: known, steps: integer(observation.steps ?? 100, 'observe.steps', 2, 100000) }
}

/** Numbers or booleans of whole samples. */
function numbers(given: unknown, name: string, shape: readonly number[]): Float64Array {
  const data = isObject(given) ? given.data : given
  if (!isArray(data) && !isReal(data) && !isBytes(data))
    return fail('INVALID_INPUT', `${name} is ${show(given)}; give a flat array, or { data, shape }`)
  const size = sizeOf(shape)
  if (data.length === 0 || data.length % size !== 0)
    fail('INVALID_SHAPE', `${name} holds ${data.length} numbers; a sample [${shape}] has ${size}`)
  return Float64Array.from(data as ArrayLike<unknown>, (value, i) => {
    if (typeof value === 'number' || typeof value === 'boolean') return Number(value)
    return fail('INVALID_INPUT', `${name}[${i}] is ${show(value)}; give a number`)
  })
}
