import type { ArrayOf, Batch, RealArray, Tensor } from '../native/batch'
import { boolean, fail } from '../native/check'
import type { NativeLogProb } from '../native/interface'
import { type EvaluationOptions, evaluationKeys } from './call-options'
import { compute, computeSync } from './compute'
import type { FlowCore } from './core'
import { evaluationCall } from './prepare'

/** log p of given rows, how far it may be off, and its gradient. */

/** log p(x) of every row (B), and how far it may be from the true one, part by part; −Infinity has no errors. */
export interface CertifiedLogProb<A extends RealArray = Float32Array> {
  logProb: A
  /** Standard error over the probes of an estimated trace, at least eight on one trajectory; 0 for an exact trace. */
  probeError: A
  /**
   * |log p − log p at a hundredth of the tolerance| (or in twice the steps), same noise; and rounding: of the terms of log p,
   * and of half a unit in the last place of each number, in the type that it was given in and in that of the engine.
   */
  solverError: A
  /** max |x − inverse(forward(x))| over the numbers of a row, in their units. */
  roundTripError: A
}

export function logProb<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: EvaluationOptions & { certify?: false }
): Promise<ArrayOf<B>>
export function logProb<B extends Batch>(
  core: FlowCore,
  x: B,
  options: Omit<EvaluationOptions, 'noise'> & { certify: true }
): Promise<CertifiedLogProb<ArrayOf<B>>>
export function logProb<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: EvaluationOptions & { certify?: boolean }
): Promise<ArrayOf<B> | CertifiedLogProb<ArrayOf<B>>>
export async function logProb<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: EvaluationOptions & { certify?: boolean }
): Promise<ArrayOf<B> | CertifiedLogProb<ArrayOf<B>>> {
  let certify = false
  const { result } = await compute(core, {
    name: 'logProb',
    known: [...evaluationKeys, 'certify'],
    options,
    prepare: (checked) => {
      certify = boolean(checked.certify ?? false, 'certify')
      if (certify && checked.noise !== undefined)
        fail('CONTRADICTORY_OPTIONS', 'certify draws its own probes; leave noise out, or give a seed')
      return evaluationCall(core, x, 'x', checked)
    },
    run: (native, call): Promise<NativeLogProb<ArrayOf<B>> & Partial<CertifiedLogProb<ArrayOf<B>>>> =>
      certify ? native.certify(call) : native.logProb(call)
  })
  const { statistics: _, ...found } = result
  return certify ? (found as CertifiedLogProb<ArrayOf<B>>) : found.logProb
}

export function logProbSync<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: Omit<EvaluationOptions, 'signal'>
): ArrayOf<B> {
  const { result } = computeSync(core, {
    name: 'logProbSync',
    known: evaluationKeys.filter((key) => key !== 'signal'),
    options,
    prepare: (checked) => evaluationCall(core, x, 'x', checked),
    run: (native, call) => native.logProbSync(call)
  })
  return result.logProb
}

export async function score<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: EvaluationOptions
): Promise<Tensor<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: 'score',
    known: evaluationKeys,
    options,
    prepare: (checked) => evaluationCall(core, x, 'x', checked),
    run: (native, call) => native.score(call)
  })
  const lost = result.score.findIndex(Number.isNaN)
  if (lost >= 0)
    fail(
      'SOLVE_FAILED',
      `the score of row ${Math.floor((lost * call.batch) / result.score.length)} is more than the engine's numbers hold; ` +
        "lower rtol and atol, or use device 'reference' (float64)"
    )
  return { data: result.score, shape: [call.batch, ...core.description.shape] }
}
