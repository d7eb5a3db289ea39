import { number } from '../native/check'
import { translated } from '../native/errors'
import type { NativeFlow, NativeOptimizer, NativeTensors } from '../native/interface'
import { normalizeOptimizer } from './normalize-settings'
import type { OptimizerOptions } from './options'

/** Plain data, as model files keep it; the moments stay with the weights. */
export interface OptimizerState {
  options: Omit<NativeOptimizer, 'step'>
  /** Steps taken. */
  step: number
}

export interface StepResult {
  /** ‖g‖₂ before clipping, over trainable parameters. */
  gradientNorm: number
}

/** Moves the weights along the flow's gradients. A flow has one at a time: its moments live beside the weights. */
export class Optimizer {
  readonly #native: Pick<NativeFlow, 'step'>
  readonly state: OptimizerState

  /** Use flow.optimizer(). */
  constructor(native: Pick<NativeFlow, 'step'>, state: OptimizerState) {
    this.#native = native
    this.state = state
  }

  get lr(): number {
    return this.state.options.learningRate
  }

  set lr(value: number) {
    this.state.options.learningRate = number(value, 'lr', { least: 0 })
  }

  /** One step; the gradients stay as they are until the next `loss` or `zeroGradients`. */
  async step(): Promise<StepResult> {
    const { options, step } = this.state
    const result = await translated(() => this.#native.step({ ...options, step: step + 1 }))
    this.state.step++
    return { gradientNorm: result.gradientNorm }
  }
}

/** The state of an optimizer that has taken no step. */
export function optimizerState(options: OptimizerOptions): OptimizerState {
  return { options: normalizeOptimizer(options), step: 0 }
}

/** What a new optimizer starts with. */
export function resetMoments(native: NativeTensors, { averageDecay }: OptimizerState['options']): void {
  const parameters = native.read('parameters')
  if (averageDecay > 0) native.write('average', parameters)
  parameters.fill(0)
  for (const buffer of ['firstMoment', 'secondMoment'] as const) native.write(buffer, parameters)
}
