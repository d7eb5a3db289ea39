import {
  type FitOptions,
  Flow,
  type FlowOptions,
  type LawDataset,
  type Layer,
  type ToyName,
  toy
} from 'ffjord'

import { type AblationContext, mean } from './part'

/** How flows are trained here: quickly, for comparisons; lib/cli/recipes.ts has what `train` does. */
export const recipe = {
  flow: {
    shape: [2],
    blocks: [
      {
        type: 'cnf',
        time: 0.5,
        trainTime: true,
        net: { hidden: [64, 64], layer: 'concat', activation: 'tanh' }
      }
    ],
    solver: { method: 'dopri5', rtol: 1e-3, atol: 1e-3, evaluation: { rtol: 1e-6, atol: 1e-6 } },
    trace: 'exact'
  } satisfies FlowOptions,
  fit: {
    batch: 256,
    optimizer: { type: 'adam', lr: 2e-2 },
    schedule: { type: 'cosine', warmup: 100 }
  } satisfies Omit<FitOptions, 'iterations'>
}

/** The recipe with another layer, seed or length. */
export interface Variation {
  layer?: Layer
  seed?: number
  iterations: number
}

export function flowOptions({ layer = 'concat', seed = 0 }: Omit<Variation, 'iterations'> = {}): FlowOptions {
  const block = recipe.flow.blocks[0]!
  return { ...recipe.flow, blocks: [{ ...block, net: { ...block.net, layer } }], seed }
}

/** A flow trained on a toy density; what it took in CPU seconds of all threads together. */
export async function train(
  { device }: AblationContext,
  density: ToyName,
  variation: Variation
): Promise<{ flow: Flow; nfe: number; cpuSeconds: number }> {
  const { seed = 0, iterations } = variation
  const flow = await Flow.create({ ...flowOptions(variation), device })
  const started = process.cpuUsage()
  const fit = flow.fit(toy(density, { seed: seed + 1 }), { ...recipe.fit, iterations, seed })
  let nfe = 0
  for await (const progress of fit) nfe = progress.nfe
  const { user, system } = process.cpuUsage(started)
  return { flow, nfe, cpuSeconds: (user + system) / 1e6 }
}

/** A flow with the weights of `flow`, computed otherwise. */
export async function recomputed(flow: Flow, changed: Partial<FlowOptions>): Promise<Flow> {
  const { seed } = flow
  const again = await Flow.create({ ...flow.description, ...flow.options, seed, ...changed })
  again.setParameters(flow.parameters())
  return again
}

/** Rows that no training draws. */
export const freshRows = (density: ToyName): LawDataset => toy(density, { seed: 1_000_007 })

/** Mean of log p − log p(model) over fresh rows, and its standard error, nats. */
export async function klGap(
  density: ToyName,
  rows: number,
  logProb: (x: Float32Array) => ArrayLike<number> | Promise<ArrayLike<number>>
): Promise<{ value: number; standardError: number }> {
  const data = freshRows(density)
  const ratios: number[] = []
  while (ratios.length < rows) {
    const { data: x } = data.sample(Math.min(5000, rows - ratios.length))
    const model = await logProb(x)
    data.logDensity(x).forEach((truth, i) => {
      ratios.push(truth - model[i]!)
    })
  }
  const value = mean(ratios)
  const variance = mean(ratios.map((ratio) => (ratio - value) ** 2))
  return { value, standardError: Math.sqrt(variance / rows) }
}
