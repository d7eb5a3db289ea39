import type { TrainChoice } from './train'

/**
 * What `train` takes for a table where nothing is said: a net that grows with the columns, whose exact trace has a
 * closed form (two ungated hidden layers), after whitening; a cosine that ends at 0, and the weights of the best validation.
 */
export function tableDefaults(width: number, rows: number): Partial<TrainChoice> {
  const hidden = width <= 8 ? 64 : width <= 24 ? 128 : 192
  return {
    hidden: [hidden, hidden],
    layer: 'concat',
    activation: 'tanh',
    blocks: width <= 2 ? 1 : 2,
    scale: 'whiten',
    rtol: 1e-4,
    atol: 1e-4,
    evalRtol: 1e-5,
    evalAtol: 1e-5,
    batch: Math.min(512, Math.max(32, 2 ** Math.round(Math.log2(rows / 8)))),
    iterations: 4000,
    lr: 5e-3,
    clip: 10,
    schedule: 'cosine',
    warmup: 100,
    validateEvery: 100,
    validationRows: 5000,
    keepBest: true
  }
}
