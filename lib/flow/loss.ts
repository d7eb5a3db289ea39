import type { ArrayOf, Batch, RealArray, Tensor } from '../native/batch'
import { boolean } from '../native/check'
import type { RegulariserMeans } from '../native/regularisers'
import { type CallOptions, callKeys } from './call-options'
import { compute } from './compute'
import { contextGradientOf, wantsContextGradient } from './context'
import type { FlowCore } from './core'
import { lossNoise } from './noise'
import { prepare } from './prepare'
import { solverStatistics } from './statistics'

export interface LossOptions extends CallOptions {
  /** ∂ loss / ∂ x too. Default: false. */
  inputGradient?: boolean
  /** ∂ loss / ∂ context too, of a conditional flow. Default: false. */
  contextGradient?: boolean
}

export interface Loss<A extends RealArray = Float32Array> {
  /** −mean log p plus weighted regularisers, nats per sample. */
  loss: number
  negativeLogProb: number
  /** Means over the batch of those that are tracked, without their weights. */
  regularisers: RegulariserMeans
  /** Evaluations of the dynamics, forward and backward. */
  nfe: number
  backwardNfe: number
  /** ∂ loss / ∂ x where it was asked for, in the shape of x. */
  inputGradient?: Tensor<A>
  /** ∂ loss / ∂ context where it was asked for, (B, size). */
  contextGradient?: Tensor<A>
}

/** −mean log p plus regularisers; its gradients replace those on the device. */
export async function loss<B extends Batch>(
  core: FlowCore,
  x: B,
  options?: LossOptions
): Promise<Loss<ArrayOf<B>>> {
  const { call, result } = await compute(core, {
    name: 'loss',
    known: [...callKeys, 'inputGradient', 'contextGradient'],
    options,
    prepare: (checked) => {
      const { rows, float64, context } = prepare(core, x, 'x', { context: checked.context })
      const inputGradient = boolean(checked.inputGradient ?? false, 'inputGradient')
      const contextGradient = wantsContextGradient(core, checked)
      return {
        rows: rows.data,
        batch: rows.count,
        noise: lossNoise(core, checked),
        settings: core.settings.training,
        float64,
        ...context,
        inputGradient,
        contextGradient
      }
    },
    run: (native, call) => native.loss<ArrayOf<B>>(call),
    counts: ({ forward, backward, blockEvaluations }) => ({
      ...solverStatistics(forward),
      blockNfe: blockEvaluations,
      blockStiffness: [],
      traces: [...core.traces],
      backward: solverStatistics(backward)
    })
  })
  const { loss, negativeLogProb, regularisers, forward, backward, inputGradient, contextGradient } = result
  return {
    loss,
    negativeLogProb,
    regularisers,
    nfe: forward.evaluations,
    backwardNfe: backward.evaluations,
    ...(inputGradient && {
      inputGradient: { data: inputGradient, shape: [call.batch, ...core.description.shape] }
    }),
    ...(contextGradient && { contextGradient: contextGradientOf(core, contextGradient) })
  }
}
