import type { FitOptions, FlowOptions, Trace } from 'ffjord'

/**
 * How all eight toy densities are trained: one recipe, the data apart. Three hidden layers of 64 as in FFJORD's published
 * program, without gates; two layers do not separate the rings.
 */
export const recipe = {
  flow: {
    shape: [2],
    blocks: [
      {
        type: 'cnf',
        time: 0.5,
        trainTime: true,
        net: { hidden: [64, 64, 64], layer: 'concat', activation: 'tanh' }
      }
    ],
    solver: { method: 'dopri5', rtol: 1e-3, atol: 1e-3, evaluation: { rtol: 1e-6, atol: 1e-6 } },
    gradient: 'checkpoint',
    seed: 0
  } satisfies FlowOptions,
  fit: {
    iterations: 2000,
    batch: 1024,
    optimizer: { type: 'adam', lr: 1e-2 },
    schedule: { type: 'cosine', warmup: 100 }
  } satisfies FitOptions
}

/**
 * The paper trains with one Hutchinson probe, which makes the loss noisy: such runs are twice as long.
 */
export const traces: Record<string, { trace: Trace; iterations: number }> = {
  exact: { trace: 'exact', iterations: recipe.fit.iterations },
  gaussian: { trace: { noise: 'gaussian', probes: 1 }, iterations: 2 * recipe.fit.iterations },
  rademacher: { trace: { noise: 'rademacher', probes: 1 }, iterations: 2 * recipe.fit.iterations }
}

/** Fresh rows that a trained flow is judged by. */
export const testRows = 100_000
