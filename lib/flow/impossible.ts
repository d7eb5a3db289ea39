import { firstNotFinite } from '../native/batch'
import type { NativeArray, NativeFlow, NativeTensor } from '../native/interface'

/** Weights and statistics that no flow can have: with them a density would be NaN or infinite everywhere. */

/** What float32 holds to full precision. A model that is fine on one device is fine on all. */
export const smallestNormal = 2 ** -126
export const largestFloat = (2 - 2 ** -23) * 2 ** 127

/** ε of batch norm, as the core has it. */
const batchNormEpsilon = 1e-4

/** Buffers of a flow, flat, in its precision. */
export interface Values {
  parameters: NativeArray
  statistics: NativeArray
}

/** Why `values` cannot be a flow's, with the tensor's name; undefined where they can. */
export function impossible(
  { parameters: layout, buffers }: Pick<NativeFlow, 'parameters' | 'buffers'>,
  { parameters, statistics }: Values
): string | undefined {
  return (
    notFinite(layout, parameters) ??
    notFinite(buffers, statistics) ??
    impossibleEndTime(layout, parameters) ??
    impossibleBatchNorm(layout, parameters, buffers, statistics)
  )
}

/** The first tensor that holds NaN or infinity, or a number that this precision cannot hold. */
export function notFinite(layout: readonly NativeTensor[], values: NativeArray): string | undefined {
  const bad = firstNotFinite(values)
  const tensor = layout.find(({ offset, size }) => bad >= offset && bad < offset + size)
  return tensor && `'${tensor.name}' holds NaN, infinity, or a number beyond this precision`
}

function impossibleEndTime(layout: readonly NativeTensor[], parameters: NativeArray): string | undefined {
  for (const { name, role, offset } of layout) {
    const end = role === 'end_time' ? parameters[offset]! ** 2 : 1
    if (!(end >= smallestNormal && end <= largestFloat))
      return `'${name}' is ${parameters[offset]}, whose square cannot be an end time`
  }
  return undefined
}

function impossibleBatchNorm(
  layout: readonly NativeTensor[],
  parameters: NativeArray,
  buffers: readonly NativeTensor[],
  statistics: NativeArray
): string | undefined {
  const byName = new Map([...layout, ...buffers].map((tensor) => [tensor.name, tensor]))
  for (const { name, offset, size } of buffers) {
    if (name.endsWith('.step') && !(statistics[offset]! >= 0 && Number.isInteger(statistics[offset])))
      return `'${name}' is ${statistics[offset]}, and counts steps`
    if (!name.endsWith('.running_var')) continue
    const block = name.slice(0, -'.running_var'.length)
    const logScale = byName.get(`${block}.weight`)!
    for (let i = 0; i < size; i++) {
      const variance = statistics[offset + i]!
      if (variance < 0) return `'${name}' holds the variance ${variance}, which is negative`
      const exponent = parameters[logScale.offset + i]!
      const slope = Math.exp(exponent - Math.log(variance + batchNormEpsilon) / 2)
      if (!(slope >= smallestNormal && slope <= largestFloat))
        return `'${logScale.name}' holds the log-scale ${exponent}, which makes a slope of ${slope} over the variance ${variance}`
    }
  }
  return undefined
}

/**
 * Why spectral normalisation cannot divide by the σ of these weights; asked after they were written, as the statistics
 * hold W/σ then.
 */
export function impossibleNorm(
  { buffers }: Pick<NativeFlow, 'buffers'>,
  statistics: NativeArray
): string | undefined {
  const bad = notFinite(buffers, statistics)
  return bad && `σ of a spectral norm is 0 or beyond this precision, so that ${bad}`
}
