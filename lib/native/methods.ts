/** Runge-Kutta pairs that choose their steps, of orders 5, 5, 3, 8, 2 and 2. */
export const adaptiveMethods = ['dopri5', 'tsit5', 'bosh3', 'dopri8', 'adaptive_heun', 'fehlberg2'] as const

/** Equal steps, of orders 1, 2, 3, 4 and 4; rk4 is the 3/8 rule, as torchdiffeq's. */
export const fixedStepMethods = ['euler', 'midpoint', 'heun3', 'rk4', 'rk4_classic'] as const

export type AdaptiveMethod = (typeof adaptiveMethods)[number]
export type FixedStepMethod = (typeof fixedStepMethods)[number]
export type Method = AdaptiveMethod | FixedStepMethod

export function isFixedStep(method: string | undefined): method is FixedStepMethod {
  return fixedStepMethods.some((name) => name === method)
}
