import { firstNotFinite, isReal } from '../native/batch'
import { fail, integer, isArray, isObject, show } from '../native/check'
import type { NativeArray, NativeNoise } from '../native/interface'
import type { NoiseOptions } from './call-options'
import type { FlowCore } from './core'

/** Which noise a call draws. */

/** Noise of a loss. */
export function lossNoise(core: FlowCore, options: NoiseOptions): NativeNoise {
  return noiseOf(options, core.seed, () => core.calls++)
}

/** Noise of other calls that draw by number: they have the upper half of the numbers, so that training goes on as without them. */
export function drawNoise(core: FlowCore, options: NoiseOptions): NativeNoise {
  return noiseOf(options, core.seed, () => 2 ** 31 + (core.draws++ % 2 ** 31))
}

/** Noise that follows from a row's own values and a seed: equal rows get equal noise, in any call, place and company. */
export function noiseOfValues(options: NoiseOptions, seed: number): NativeNoise {
  return { ...noiseOf(options, seed, () => 0), byValues: true }
}

/** Draws are numbered: the flow's seed and its next call, or the first call of a given seed. */
function noiseOf(options: NoiseOptions, seed: number, nextCall: () => number): NativeNoise {
  const rowOffset = integer(options.rowOffset ?? 0, 'rowOffset', 0, 2 ** 32 - 1)
  if (options.noise !== undefined) {
    if (options.seed !== undefined)
      fail(
        'CONTRADICTORY_OPTIONS',
        'seed and noise are both given; give the noise, or the seed to draw it from'
      )
    return { seed, call: 0, rowOffset, given: noiseArrays(options.noise) }
  }
  if (options.seed !== undefined) return { seed: integer(options.seed, 'seed'), call: 0, rowOffset }
  return { seed, call: nextCall(), rowOffset }
}

function noiseArrays(noise: unknown): NativeArray[] {
  if (!isArray(noise)) fail('INVALID_INPUT', `noise is ${show(noise)}; give one array a CNF block`)
  return Array.from(noise, (one: unknown, block) => {
    const data = isObject(one) ? one.data : one
    if (!isReal(data))
      fail(
        'INVALID_INPUT',
        `noise[${block}] is ${show(one)}; give a Float32Array or Float64Array of (probes, batch, D)`
      )
    if (firstNotFinite(data) >= 0)
      fail('NOT_FINITE', `noise[${block}] holds NaN or infinity; give finite numbers`)
    return data
  })
}
