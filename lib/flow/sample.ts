import { sizeOf, type Tensor } from '../native/batch'
import { binding } from '../native/binding'
import { choice, fail, integer, isObject, number } from '../native/check'
import { translatedSync } from '../native/errors'
import type { NativeNoise, WantsFloat64 } from '../native/interface'
import { callKeys, checkOptions, type EvaluationOptions, evaluationKeys } from './call-options'
import { compute } from './compute'
import { contextCall } from './context'
import { assertUsable, type FlowCore } from './core'
import { drawNoise } from './noise'
import { type Observation, sampleObserved } from './observe'
import { overrideSettings } from './prepare'

export interface SampleOptions<P extends Precision = 'float32'> extends EvaluationOptions {
  /** Scales the base samples. Default: 1. */
  temperature?: number
  /** The precision of the arrays that come back; the flow's last transforms compute in float64 in any case. Default: 'float32'. */
  precision?: P
  /** Elements that every sample has, by the pullback of velocity (`sample` alone). Default: none. */
  observe?: Observation
}

export type Precision = 'float32' | 'float64'
export type Precise<P> = P extends 'float64' ? Float64Array : Float32Array

/** The number under which the core draws base samples. */
const baseBlock = 0xffff

/** `count` samples of the model, and log p of each where `wantsLogProb`. */
export async function sample<P extends Precision>(
  core: FlowCore,
  count: number,
  options: SampleOptions<P> | undefined,
  wantsLogProb: boolean
): Promise<{ x: Tensor<Precise<P>>; logProb?: Precise<P> }> {
  if (isObject(options) && options.observe !== undefined)
    return { x: await observed(core, count, options, wantsLogProb) }
  const { call, result } = await compute(core, {
    name: 'sample',
    known: [...evaluationKeys, 'temperature', 'precision'],
    options,
    prepare: (checked) => {
      const batch = integer(count, 'count', 1, 2 ** 32 - 1)
      const precision = choice(checked.precision ?? 'float32', 'precision', ['float32', 'float64'])
      return {
        batch,
        ...contextCall(core, checked, batch),
        settings: overrideSettings(core.settings.evaluation, checked),
        temperature: number(checked.temperature ?? 1, 'temperature', { least: 0 }),
        float64: (precision === 'float64') as WantsFloat64<Precise<P>>,
        noise: drawNoise(core, checked),
        logProb: wantsLogProb
      }
    },
    run: (native, call) => native.sample<Precise<P>>(call)
  })
  const x = { data: result.rows, shape: [call.batch, ...core.description.shape] }
  return { x, ...(result.logProb && { logProb: result.logProb }) }
}

async function observed<P extends Precision>(
  core: FlowCore,
  count: number,
  options: SampleOptions<P>,
  wantsLogProb: boolean
): Promise<Tensor<Precise<P>>> {
  if (wantsLogProb)
    fail('UNSUPPORTED', 'samples with observe have no log-density of their own; use sample, then logProb')
  const known = [...callKeys, 'precision', 'observe']
  const { observe, precision, context, signal, noise, ...rest } = checkOptions(
    options,
    'sample with observe',
    known
  )
  if (noise)
    fail('CONTRADICTORY_OPTIONS', 'observe computes no divergence, so noise has no use; leave it out')
  const kept = choice(precision ?? 'float32', 'precision', ['float32', 'float64'])
  const base = sampleBase(core, count, rest)
  const rows = await sampleObserved(core, base, observe!, {
    ...(context && { context }),
    ...(signal && { signal })
  })
  return { data: (kept === 'float64' ? rows : Float32Array.from(rows)) as Precise<P>, shape: base.shape }
}

export function sampleBase(
  core: FlowCore,
  count: number,
  options: { seed?: number; rowOffset?: number } | undefined
): Tensor {
  assertUsable(core)
  const { shape } = core.description
  const checked = checkOptions(options, 'sampleBase', ['seed', 'rowOffset'])
  const rows = integer(count, 'count', 1, 2 ** 31 - 1)
  const { data } = baseSamples(rows, sizeOf(shape), drawNoise(core, checked))
  return { data, shape: [rows, ...shape] }
}

/** Base samples (count, D), those that the binding's `sample` starts from under the same noise. */
export function baseSamples(count: number, size: number, { seed, call, rowOffset }: NativeNoise) {
  const key = { seed, call, block: baseBlock, probe: 0 }
  return { data: translatedSync(() => binding().noise('gaussian', key, rowOffset, count, size)), count }
}
