import type { Layer } from 'ffjord'

import { chart } from '../../lib/report/chart'
import { type AblationContext, type Finding, mean } from './part'
import { klGap, train } from './toy-flow'

const DENSITY = 'pinwheel'
const LAYERS: Layer[] = ['ignore', 'concat', 'concat_v2', 'squash', 'concatsquash', 'blend', 'hyper']
const SEEDS = [0, 1, 2]

interface Run {
  layer: Layer
  seed: number
  gap: number
  nfe: number
  cpuSeconds: number
  parameters: number
}

/** How time enters the layers, and what it does for the density after the same training. */
export async function layers(context: AblationContext): Promise<Finding> {
  const { quick } = context
  const iterations = quick ? 20 : 600
  const runs: Run[] = []
  for (const layer of quick ? LAYERS.slice(0, 2) : LAYERS) {
    for (const seed of quick ? [0] : SEEDS) {
      const { flow, nfe, cpuSeconds } = await train(context, DENSITY, { layer, seed, iterations })
      const { value: gap } = await klGap(DENSITY, quick ? 500 : 20_000, (x) => flow.logProb(x))
      const parameters = Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)
      runs.push({ layer, seed, gap, nfe, cpuSeconds, parameters })
      context.note(`${layer}, seed ${seed}: gap ${gap.toFixed(4)} nats`)
      flow.dispose()
    }
  }
  const names = [...new Set(runs.map(({ layer }) => layer))]
  const of = (layer: Layer) => runs.filter((run) => run.layer === layer)
  return {
    name: 'layers',
    title: 'How time enters the layers',
    columns: [
      'layer',
      'KL gap, nats',
      ...new Set(runs.map(({ seed }) => `seed ${seed}`)),
      'NFE',
      'CPU seconds',
      'parameters'
    ],
    rows: names.map((layer) => [
      layer,
      mean(of(layer).map(({ gap }) => gap)).toFixed(4),
      ...of(layer).map(({ gap }) => gap.toFixed(4)),
      mean(of(layer).map(({ nfe }) => nfe)).toFixed(0),
      mean(of(layer).map(({ cpuSeconds }) => cpuSeconds)).toFixed(1),
      String(of(layer)[0]!.parameters)
    ]),
    notes: [
      `${DENSITY}, 2-64-64-2 with tanh, ${iterations} iterations of the recipe in bench/ablation/toy-flow.ts, exact trace. Gap: mean of log p − log p(model) over fresh rows.`,
      'A seed decides weights and data. NFE: forward, at the end of training.'
    ],
    data: runs,
    figure: chart([
      {
        title: 'KL gap, nats: three seeds each',
        width: 520,
        xName: 'KL gap, nats',
        categories: names,
        series: [
          {
            name: 'seeds',
            points: runs.map(({ layer, gap }) => ({ x: gap, y: names.indexOf(layer) })),
            scattered: true
          }
        ]
      }
    ])
  }
}
