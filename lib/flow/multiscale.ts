import { boolean, fail, integer, list, object } from '../native/check'
import type { Block, LogitBlock, Net, ZeroMeanBlock } from './options'

export interface MultiscaleOptions extends Omit<Net, 'strides' | 'parallel'> {
  /** [channels, height, width] of an image. */
  shape: readonly number[]
  /** One convolution a layer. Default: 3×3 each. */
  strides?: Net['strides']
  /** CNF blocks at each place. Default: 2. */
  blocks?: number
  /** End time of each block. Default: 1. */
  time?: number
  /** Trains the end times. Default: true. */
  trainTime?: boolean
  /** What takes images to the line. Default: a logit of α = 1e-6. */
  input?: LogitBlock | ZeroMeanBlock
  /** Squeezes the image before everything (Finlay et al. 2020). Default: false. */
  squeezeFirst?: boolean
}

const keys = [
  'shape',
  'hidden',
  'layer',
  'activation',
  'residual',
  'strides',
  'zeroLast',
  'spectralNorm',
  'blocks',
  'time',
  'trainTime',
  'input',
  'squeezeFirst'
] as const

/** Halvings of an image while its sides are at least 4. */
function scalesOf(height: number, width: number): number {
  let scales = 0
  for (; height >= 4 && width >= 4; height = Math.floor(height / 2), width = Math.floor(width / 2)) scales++
  return scales
}

/**
 * The blocks of the multiscale flow of images (Grathwohl et al. 2019, after Dinh et al. 2017): at each scale CNF blocks, a squeeze, CNF blocks,
 * and half of the channels goes to the base; at the last scale CNF blocks alone. There is a scale for every halving of an image whose
 * sides are at least 4: three of 28 × 28, four of 32 × 32. Throws INVALID_OPTION where a side that must be halved is odd.
 */
export function multiscale(options: MultiscaleOptions): Block[] {
  const given = object(options, 'multiscale', keys) as unknown as MultiscaleOptions
  const { blocks, time = 1, trainTime, input, squeezeFirst, shape: wanted, strides, ...rest } = given
  const shape = list(wanted, 'shape', '[channels, height, width]')
  if (shape.length !== 3) fail('INVALID_OPTION', 'shape of a multiscale flow is [channels, height, width]')
  const [, ...sides] = shape.map((size, i) => integer(size, `shape[${i}]`, 1))
  let [height, width] = sides as [number, number]
  const widths = list(rest.hidden, 'hidden', 'channels of the hidden layers')
  const net: Net = { ...rest, strides: strides ?? [...widths.map(() => 1 as const), 1] }
  const count = integer(blocks ?? 2, 'blocks', 1, 1024)
  const dynamics = (): Block[] =>
    Array.from({ length: count }, () => ({
      type: 'cnf',
      time,
      trainTime: boolean(trainTime ?? true, 'trainTime'),
      net
    }))
  const halve = (): Block => {
    if (height % 2 || width % 2)
      fail(
        'INVALID_OPTION',
        `a multiscale flow halves images while their sides are at least 4, and these come to ${height} × ${width}; resize or pad them`
      )
    height /= 2
    width /= 2
    return { type: 'squeeze' }
  }
  const flow: Block[] = [input ?? { type: 'logit', alpha: 1e-6 }]
  if (boolean(squeezeFirst ?? false, 'squeezeFirst')) flow.push(halve())
  const scales = scalesOf(height, width)
  if (scales === 0)
    fail('INVALID_OPTION', `images of ${height} × ${width} have no scale; sides are at least 4`)
  for (let scale = 1; scale < scales; scale++)
    flow.push(...dynamics(), halve(), ...dynamics(), { type: 'split' })
  flow.push(...dynamics())
  return flow
}
