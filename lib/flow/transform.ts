import type { ArrayOf, Batch, Tensor } from '../native/batch'
import { type EvaluationOptions, evaluationKeys } from './call-options'
import { compute, computeSync } from './compute'
import type { FlowCore } from './core'
import { evaluationCall } from './prepare'

/** Rows on the other side of a flow, and the Δlogp that they gathered on the way. */
export interface Transformed<A extends Float32Array | Float64Array> {
  rows: Tensor<A>
  deltaLogp: A
}

type Direction = 'forward' | 'reverse'

function transformCall<B extends Batch>(
  core: FlowCore,
  direction: Direction,
  batch: B,
  options: EvaluationOptions
) {
  const call = evaluationCall(core, batch, direction === 'forward' ? 'x' : 'z', options)
  return { ...call, direction, training: false, keepTape: false }
}

/** Data → base ('forward'), or base → data. */
export async function transform<B extends Batch>(
  core: FlowCore,
  direction: Direction,
  batch: B,
  options?: EvaluationOptions
): Promise<Transformed<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: direction === 'forward' ? 'forward' : 'inverse',
    known: evaluationKeys,
    options,
    prepare: (checked) => transformCall(core, direction, batch, checked),
    run: (native, call) => native.solve(call)
  })
  const rows = { data: result.z, shape: [call.batch, ...core.description.shape] }
  return { rows, deltaLogp: result.deltaLogp }
}

export function forwardSync<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: Omit<EvaluationOptions, 'signal'>
): Transformed<ArrayOf<B>> {
  const { call, result } = computeSync(core, {
    name: 'forwardSync',
    known: evaluationKeys.filter((key) => key !== 'signal'),
    options,
    prepare: (checked) => transformCall(core, 'forward', x, checked),
    run: (native, call) => native.solveSync(call)
  })
  const rows = { data: result.z, shape: [call.batch, ...core.description.shape] }
  return { rows, deltaLogp: result.deltaLogp }
}
