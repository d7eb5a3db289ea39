import { type ToyName, toy } from 'ffjord'

import { densityLevel } from '../../lib/report/colormap'
import { colourPng } from '../../lib/report/image'
import { pixelCentres, quantile } from '../../lib/report/raster'
import { FIGURE_STYLE } from '../../lib/report/style'
import { figure, imagePanel } from '../../lib/report/svg'
import { CouplingFlow } from '../baselines/coupling-flow'
import type { AblationContext, Finding } from './part'
import { klGap, recipe, train } from './toy-flow'

const DENSITIES: ToyName[] = ['pinwheel', '2spirals', 'checkerboard']
const MODELS = ['FFJORD', 'Real NVP', 'Glow'] as const
const DEPTH = 10
const EXTENT = { x: [-4, 4] as [number, number], y: [-4, 4] as [number, number] }
const PIXELS = 120

interface Trained {
  density: ToyName
  model: (typeof MODELS)[number]
  gap: number
  standardError: number
  parameters: number
  cpuSeconds: number
  iterations: number
}

type LogProb = (x: Float32Array) => ArrayLike<number> | Promise<ArrayLike<number>>

/** Discrete coupling flows on the same data as the continuous one. */
export async function baselines(context: AblationContext): Promise<Finding> {
  const { quick } = context
  const iterations = quick ? 20 : 1500
  const found: Trained[] = []
  const panels: string[] = []
  for (const density of quick ? DENSITIES.slice(0, 1) : DENSITIES) {
    panels.push(await picture(density, (x) => toy(density).logDensity(x)))
    for (const model of MODELS) {
      const { logProb, parameters, cpuSeconds, dispose } = await trainModel(
        context,
        model,
        density,
        iterations
      )
      const { value: gap, standardError } = await klGap(density, quick ? 500 : 20_000, logProb)
      found.push({ density, model, gap, standardError, parameters, cpuSeconds, iterations })
      panels.push(await picture(`${model}: ${gap.toFixed(3)} nats`, logProb))
      context.note(`${density}, ${model}: gap ${gap.toFixed(4)} nats`)
      dispose()
    }
  }
  const { net } = recipe.flow.blocks[0]!
  return {
    name: 'baselines',
    title: 'Discrete flows on the same data',
    columns: ['density', 'model', 'KL gap, nats', 'parameters', 'CPU seconds', 'iterations'],
    rows: found.map(({ density, model, gap, standardError, parameters, cpuSeconds, iterations }) => [
      density,
      model,
      `${gap.toFixed(4)} ± ${standardError.toFixed(4)}`,
      String(parameters),
      cpuSeconds.toFixed(1),
      String(iterations)
    ]),
    notes: [
      `All: Adam with warm-up and cosine, ${recipe.fit.batch} fresh rows an iteration. FFJORD: one block, ${net.hidden.join('-')} ${net.layer} ${net.activation}, ` +
        `learning rate ${recipe.fit.optimizer.lr}, exact trace. Real NVP and Glow: ${DEPTH} couplings with ReLU nets of 64-64, learning rate 5e-3; Glow mixes the columns by a learned matrix before each.`,
      'The coupling flows compute in plain TypeScript (float64, one thread), so their seconds are those of that code, not of the method; ' +
        'they go on improving long after this many iterations. ' +
        'Gap: mean of log p − log p(model) over fresh rows. Figure: true density, then the models; colour follows the square root of p on one scale a row.'
    ],
    data: found,
    figure: figure(panels, FIGURE_STYLE)
  }
}

async function trainModel(
  context: AblationContext,
  model: Trained['model'],
  density: ToyName,
  iterations: number
) {
  if (model === 'FFJORD') {
    const { flow, cpuSeconds } = await train(context, density, { iterations })
    const parameters = Object.values(flow.parameters()).reduce((sum, { data }) => sum + data.length, 0)
    const logProb: LogProb = (x) => flow.logProb(x)
    return { logProb, parameters, cpuSeconds, dispose: () => flow.dispose() }
  }
  const flow = new CouplingFlow({ size: 2, depth: DEPTH, mixing: model === 'Glow' })
  const started = process.cpuUsage()
  const { batch, schedule } = recipe.fit
  await flow.fit(toy(density, { seed: 1 }), { iterations, batch, lr: 5e-3, warmup: schedule.warmup })
  const { user, system } = process.cpuUsage(started)
  const logProb: LogProb = (x) => flow.logProb(x)
  return { logProb, parameters: flow.parameters.length, cpuSeconds: (user + system) / 1e6, dispose: () => {} }
}

async function picture(title: string, logProb: LogProb): Promise<string> {
  const density = Float64Array.from(await logProb(Float32Array.from(pixelCentres(EXTENT, PIXELS))), Math.exp)
  const peak = quantile(density, 0.998)
  const levels = Uint8Array.from(density, (value) => densityLevel(value, peak))
  return imagePanel(title, colourPng({ width: PIXELS, height: PIXELS, levels }), EXTENT, 250)
}
