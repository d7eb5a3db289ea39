import { boolean, choice, fail, integer, isObject, list, number, object, show } from '../native/check'
import type { NativeBlock, NativeConvolution, NativeDescription } from '../native/interface'
import { normalizeContext } from './context'
import { largestFloat, smallestNormal } from './impossible'
import type { FlowDescription } from './options'

/** Checks what users pass, fills in defaults, and hands the binding complete plain data. */

export const layers = [
  'ignore',
  'concat',
  'concat_v2',
  'concatcoord',
  'squash',
  'concatsquash',
  'blend',
  'hyper'
] as const
export const activations = ['tanh', 'softplus', 'elu', 'relu', 'swish', 'square', 'identity'] as const
export const flowKeys = [
  'shape',
  'blocks',
  'context',
  'trace',
  'solver',
  'gradient',
  'regularize',
  'device',
  'seed',
  'threads',
  'memory'
]

const blockTypes = [
  'cnf',
  'batch_norm',
  'logit',
  'zero_mean',
  'standardize',
  'support',
  'whiten',
  'squeeze',
  'split'
] as const

export function normalizeDescription(value: FlowDescription): NativeDescription {
  const shape = integers(value.shape, 'shape', 1)
  if (shape.length !== 1 && shape.length !== 3)
    fail(
      'INVALID_SHAPE',
      `shape is [${shape}]; give [D] for vectors, or [channels, height, width] for images`
    )
  const given = list(value.blocks, 'blocks', 'a list of at least one block')
  if (given.length === 0) fail('INVALID_OPTION', 'blocks is []; give a list of at least one block')
  const blocks: NativeBlock[] = []
  for (const [i, block] of given.entries())
    blocks.push(
      normalizeBlock(block, `blocks[${i}]`, blocks.every(({ type }) => isFixed(type)) ? float64 : float32)
    )
  if (value.context === undefined) return { shape, blocks }
  return { shape, blocks, context: normalizeContext(value.context) }
}

/** Sizes that a number may have whose inverse is one, too. */
interface Range {
  least: number
  most: number
}
const float32: Range = { least: smallestNormal, most: largestFloat }
const float64: Range = { least: 2 ** -1022, most: Number.MAX_VALUE }

/** Whether a block has no weights. Those that a flow begins with are computed in float64. */
function isFixed(type: NativeBlock['type']): boolean {
  return type !== 'cnf' && type !== 'batch_norm' && type !== 'split'
}

function normalizeBlock(value: unknown, name: string, range: Range): NativeBlock {
  if (!isObject(value)) fail('INVALID_OPTION', `${name} is ${show(value)}; give an object with a type`)
  const type = choice(value.type, `${name}.type`, blockTypes)
  switch (type) {
    case 'cnf': {
      const block = object(value, name, ['type', 'time', 'trainTime', 'net'])
      return {
        type,
        time: number(block.time ?? 0.5, `${name}.time`, float32),
        trainTime: boolean(block.trainTime ?? false, `${name}.trainTime`),
        net: normalizeNet(block.net, `${name}.net`)
      }
    }
    case 'batch_norm': {
      const block = object(value, name, ['type', 'lag'])
      const lag = number(block.lag ?? 0, `${name}.lag`, { least: 0, most: 1 })
      if (lag === 1) fail('INVALID_OPTION', `${name}.lag is 1; give a number in [0, 1)`)
      return { type, lag }
    }
    case 'logit': {
      const block = object(value, name, ['type', 'alpha'])
      const alpha = number(block.alpha ?? 1e-6, `${name}.alpha`, { least: 0, most: 0.5 })
      if (Math.fround(alpha) === 0.5)
        fail('INVALID_OPTION', `${name}.alpha is ${alpha}, which maps all x to 0; give a number in [0, 0.5)`)
      return { type, alpha }
    }
    case 'standardize': {
      const block = object(value, name, ['type', 'mean', 'scale'])
      const scale = list(block.scale, `${name}.scale`, 'an array of numbers').map((one, i) =>
        number(one, `${name}.scale[${i}]`, range)
      )
      return { type, mean: numbers(block.mean, `${name}.mean`, range), scale }
    }
    case 'support': {
      const block = object(value, name, ['type', 'lower', 'upper'])
      const [lower, upper] = [ends(block.lower, `${name}.lower`), ends(block.upper, `${name}.upper`)]
      lower.forEach((from, i) => {
        checkWidth(from, upper[i], `${name}.upper[${i}]`, range)
      })
      return { type, lower, upper }
    }
    case 'whiten': {
      const block = object(value, name, ['type', 'mean', 'matrix'])
      return {
        type,
        mean: numbers(block.mean, `${name}.mean`, range),
        matrix: checkDiagonal(numbers(block.matrix, `${name}.matrix`, range), `${name}.matrix`, range)
      }
    }
    default:
      object(value, name, ['type'])
      return { type }
  }
}

function normalizeNet(value: unknown, name: string) {
  const net = object(value, name, [
    'hidden',
    'layer',
    'activation',
    'residual',
    'strides',
    'parallel',
    'zeroLast',
    'spectralNorm'
  ])
  return {
    hidden: integers(net.hidden, `${name}.hidden`, 1),
    layer: choice(net.layer ?? 'concatsquash', `${name}.layer`, layers),
    activation: choice(net.activation ?? 'tanh', `${name}.activation`, activations),
    residual: boolean(net.residual ?? false, `${name}.residual`),
    strides:
      net.strides === undefined
        ? []
        : list(net.strides, `${name}.strides`, 'one entry a layer').map((stride, l) =>
            normalizeStride(stride, `${name}.strides[${l}]`)
          ),
    parallel: integer(net.parallel ?? 1, `${name}.parallel`, 1, 16),
    zeroLast: boolean(net.zeroLast ?? false, `${name}.zeroLast`),
    spectralNorm: integer(net.spectralNorm ?? 0, `${name}.spectralNorm`, 0, 1000)
  }
}

/** A number of the published code, which the core knows, or a geometry with its defaults. */
function normalizeStride(value: unknown, name: string): number | NativeConvolution {
  if (!isObject(value)) {
    if (typeof value === 'number' && [-2, 0, 1, 2].includes(value)) return value
    fail('INVALID_OPTION', `${name} is ${show(value)}; give 1, 0, 2, -2 or { kernel, stride, padding }`)
  }
  const one = object(value, name, ['kernel', 'stride', 'padding', 'outputPadding', 'transposed'])
  const sides =
    typeof one.kernel === 'number'
      ? [one.kernel, one.kernel]
      : list(one.kernel, `${name}.kernel`, 'a number, or its height and width')
  if (sides.length !== 2)
    fail('INVALID_OPTION', `${name}.kernel is ${show(one.kernel)}; give a number, or its height and width`)
  const [height, width] = sides.map((side) => integer(side, `${name}.kernel`, 1, 1024)) as [number, number]
  return {
    kernel: [height, width],
    stride: integer(one.stride ?? 1, `${name}.stride`, 1, 1024),
    padding: integer(one.padding ?? 0, `${name}.padding`, 0, 1024),
    outputPadding: integer(one.outputPadding ?? 0, `${name}.outputPadding`, 0, 1023),
    transposed: boolean(one.transposed ?? false, `${name}.transposed`)
  }
}

function numbers(value: unknown, name: string, { most }: Range): number[] {
  return list(value, name, 'an array of numbers').map((entry, i) =>
    number(entry, `${name}[${i}]`, { least: -most, most })
  )
}

/** A map into an interval divides by its width. */
function checkWidth(
  lower: number | null,
  upper: number | null | undefined,
  name: string,
  { least, most }: Range
): void {
  if (lower === null || upper === null || upper === undefined) return
  const width = upper - lower
  if (!(width >= least && width <= most))
    fail(
      'INVALID_OPTION',
      `${name} is ${upper}, and lower ${lower}; give ends that rise, no further apart than ${most}`
    )
}

/** A whitening divides by the diagonal. */
function checkDiagonal(matrix: number[], name: string, range: Range): number[] {
  const size = Math.round(Math.sqrt(matrix.length))
  for (let i = 0; i < matrix.length; i += size + 1) number(matrix[i], `${name}[${i}]`, range)
  return matrix
}

/** Ends of intervals; null where there is none. */
function ends(value: unknown, name: string): (number | null)[] {
  return list(value, name, 'an array of numbers, null where there is no end').map((entry, i) =>
    entry === null || entry === Infinity || entry === -Infinity ? null : number(entry, `${name}[${i}]`)
  )
}

function integers(value: unknown, name: string, least: number): number[] {
  return list(value, name, 'an array of integers').map((entry, i) =>
    integer(entry, `${name}[${i}]`, least, 2 ** 31 - 1)
  )
}
