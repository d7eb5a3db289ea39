import type { NativeVae } from '../lib/native/interface'
import { normalizeVae } from '../lib/vae/normalize'
import type { Posterior } from '../lib/vae/options'
import { measure } from './clock'
import type { Context } from './context'
import type { EngineTime } from './evaluations'
import { onOneCore } from './machine'
import { adam, settings } from './problem'
import { against, type Section, time, times } from './table'

const BATCH = 100
const LATENT = 64
/** The encoder's outputs, of which the linear maps of a posterior make its numbers. */
const CONDITION = 256
/** Multiply-adds of the published encoder and decoder on an image of 28 × 28. */
const NETS = 128.7e6
/** Of the time that a gradient's products take at the rate of dense nets' gradients. */
const TARGET = 1.5

/** Fields of the paper's posteriors of one block: no flow, and those of Caltech 101 silhouettes and of the width of Omniglot's. */
const posteriors: { hidden: number[]; activation: 'tanh' | 'softplus'; rank: number }[] = [
  { hidden: [], activation: 'tanh', rank: 0 },
  { hidden: [2048], activation: 'tanh', rank: 20 },
  { hidden: [512, 512], activation: 'softplus', rank: 20 }
]

/** A gradient of −ELBO and a training iteration of autoencoders, and what their products would take as fast as a dense net's. */
export async function autoencoders(context: Context, engine: EngineTime[]): Promise<Section> {
  const dense = engine.find(
    (one) => one.net === '43-860-860-43' && one.task === 'gradient' && one.threads === 1
  )!
  const rate = dense.flops / dense.best
  const rows: string[][] = []
  const data: unknown[] = []
  for (const field of posteriors) {
    const { gradient, iteration, forward, backward } = await onOneCore(() => measureOne(context, field))
    const widths = [LATENT, ...field.hidden, LATENT]
    const pairs = field.rank === 0 ? [] : widths.slice(1).map((out, l) => [widths[l]!, out] as const)
    const terms = pairs.reduce((sum, [from, out]) => sum + field.rank * (from + out), 0)
    const weights = pairs.reduce((sum, [from, out]) => sum + from * out, 0)
    const numbers = terms + pairs.reduce((sum, [, out]) => sum + out, 0)
    const counted = {
      nets: 6 * NETS * BATCH,
      maps: 6 * CONDITION * numbers * BATCH,
      field: 4 * (weights + terms) * (forward + 3 * backward) * BATCH
    }
    const products = (counted.nets + counted.maps + counted.field) / rate
    const ratio = gradient.best / products
    rows.push([
      field.rank === 0 ? 'none' : `cnf_rank ${widths.join('-')}, rank ${field.rank}`,
      `${forward} + ${backward}`,
      [counted.nets, counted.maps, counted.field].map((flops) => (flops / 1e9).toFixed(1)).join(' + '),
      time(products),
      time(gradient.best),
      time(gradient.median),
      times(ratio),
      `≤ ${TARGET} ×: ${against(ratio, TARGET, 'at most')}`,
      time(iteration.best),
      time(iteration.median)
    ])
    data.push({ field, forward, backward, counted, rate, gradient, iteration })
  }
  return {
    name: 'autoencoders',
    title: `Autoencoders on images of 28 × 28, B = ${BATCH}, one core`,
    columns: [
      'posterior',
      'NFE',
      'GFLOP: nets + maps + field',
      'at the dense rate',
      'gradient, best',
      'median',
      'ratio',
      'target',
      'iteration, best',
      'median'
    ],
    rows,
    notes: [
      `Dense rate: ${(rate / 1e9).toFixed(1)} GFLOP/s, of (f, div, gradients) of 43-860-860-43 at B = 1000 in the same run.`,
      'Counted: 3 products of the encoder and decoder, directly; 3 of the linear maps that make an image’s numbers; 4 FLOPs an entry of ' +
        'W, U and V and evaluation forward, 12 backward, whose steps are computed again. First weights, blocks of one value for images.',
      'iteration: a gradient and a step of Adamax.'
    ],
    data
  }
}

async function measureOne({ binding, quick }: Context, field: (typeof posteriors)[number]) {
  const posterior: Posterior = field.rank === 0 ? { type: 'none' } : { type: 'cnf_rank', ...field }
  const vae: NativeVae = new binding.Vae(
    normalizeVae({ shape: [1, 28, 28], likelihood: 'bernoulli', posterior }),
    'cpu',
    null,
    1
  )
  await vae.make(0)
  const images = Float32Array.from({ length: BATCH * 784 }, (_, i) => {
    const [row, y, x] = [Math.floor(i / 784), Math.floor((i % 784) / 28), i % 28]
    return (row * 7 + (y >> 3) * 5 + (x >> 3) * 3) % 4 < 2 ? 1 : 0
  })
  const noise = { seed: 7, call: 1, rowOffset: 0, given: [] }
  const call = { batch: BATCH, images, binarize: false, noise, settings: settings(1e-5), beta: 1 }
  try {
    const { forward, backward } = await vae.loss(call)
    const seconds = quick ? 1 : 10
    const gradient = await measure(() => vae.loss(call), seconds)
    const iteration = await measure(async () => {
      await vae.loss(call)
      await vae.step({ ...adam, type: 'adamax' })
    }, seconds)
    return { gradient, iteration, forward: forward.evaluations, backward: backward.evaluations }
  } finally {
    vae.dispose()
  }
}
