/**
 * Integrals along the paths that a solve in training can carry, in the order of the core's table: per row and unit of
 * time, D the size of a sample, f the field, J = ∂f/∂z. They never change the steps of the solver.
 */
const integrands = {
  kinetic: '½‖f‖² / D (RNODE)',
  jacobian: '‖Jε‖² / D with the probes of the trace (RNODE)',
  l1int: '‖f‖₁ / D',
  l2int: '‖f‖₂ / √D',
  dl2int: '‖fᵀJ‖₂ / √D; takes D tangents',
  JFrobint: '‖J‖_F / D; takes D tangents',
  JdiagFrobint: '‖diag J‖₂ / √D; takes D tangents',
  JoffdiagFrobint: '‖J − diag J‖_F² / (D (D − 1)); takes D tangents'
} as const

export type Regulariser = keyof typeof integrands

/** Means over the batch of the regularisers that are tracked, without their weights. */
export type RegulariserMeans = Partial<Record<Regulariser, number>>

export const regularisers = Object.keys(integrands) as Regulariser[]

/** What is integrated, for help texts. */
export function integrand(regulariser: Regulariser): string {
  return integrands[regulariser]
}
