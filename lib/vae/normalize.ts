import { activations, layers } from '../flow/normalize'
import type { Activation, Layer } from '../flow/options'
import { checkShape } from '../native/batch'
import {
  boolean,
  choice,
  fail,
  integer,
  isArray,
  isObject,
  list,
  number,
  object,
  show
} from '../native/check'
import type { NativeLayer, NativePosterior, NativeVaeDescription } from '../native/interface'
import type { Posterior, VaeDescription } from './options'
import { publishedNets } from './published'

/** Options of an autoencoder, checked, with defaults filled in. */

/** Options that say what a model is; the others say how it computes. */
export const descriptionKeys = [
  'shape',
  'likelihood',
  'latent',
  'encoder',
  'decoder',
  'head',
  'posterior',
  'variance'
] as const
export const vaeKeys = [
  ...descriptionKeys,
  'trace',
  'solver',
  'gradient',
  'device',
  'seed',
  'threads',
  'memory'
] as const

const largest = 2 ** 31 - 1

export function normalizeVae(options: VaeDescription): NativeVaeDescription {
  const shape = checkShape(options.shape)
  const likelihood = choice(options.likelihood, 'likelihood', ['bernoulli', 'categorical'])
  const latent = integer(options.latent ?? 64, 'latent', 1, 2 ** 16)
  const parts = ['encoder', 'decoder', 'head'] as const
  const missing = parts.filter((part) => options[part] === undefined)
  if (missing.length > 0 && missing.length < parts.length)
    fail(
      'CONTRADICTORY_OPTIONS',
      `${missing.join(' and ')} are left out, and the other nets are given; give all three, or none for those of the paper`
    )
  const nets = missing.length > 0 ? publishedNets(shape, likelihood) : options
  const variance = options.variance ?? (likelihood === 'categorical' ? { least: 0.01, most: 7 } : undefined)
  return {
    shape,
    likelihood,
    latent,
    encoder: normalizeLayers(nets.encoder, 'encoder'),
    decoder: normalizeLayers(nets.decoder, 'decoder'),
    head: normalizeLayers(nets.head, 'head'),
    posterior: normalizePosterior(options.posterior ?? { type: 'none' }, latent),
    ...(variance && { variance: normalizeVariance(variance) })
  }
}

function normalizeVariance(value: unknown): { least: number; most: number } {
  const given = object(value, 'variance', ['least', 'most'])
  const least = number(given.least, 'variance.least', { least: 0 })
  return { least, most: number(given.most, 'variance.most', { least, open: true }) }
}

function normalizeLayers(value: unknown, name: string): NativeLayer[] {
  const given = list(value, name, "a list of layers like { type: 'dense', units: 256 }")
  if (given.length === 0) fail('INVALID_OPTION', `${name} is empty; give at least one layer`)
  return given.map((layer, i) => normalizeLayer(layer, `${name}[${i}]`))
}

function normalizeLayer(value: unknown, name: string): NativeLayer {
  if (!isObject(value)) fail('INVALID_OPTION', `${name} is ${show(value)}; give an object with a type`)
  const type = choice(value.type, `${name}.type`, ['dense', 'convolution', 'reshape'])
  const trained = (given: Record<string, unknown>) => ({
    gated: boolean(given.gated ?? false, `${name}.gated`),
    activation: choice(given.activation ?? 'identity', `${name}.activation`, activations)
  })
  if (type === 'reshape') {
    const { shape } = object(value, name, ['type', 'shape'])
    return { type, shape: sizes(shape, `${name}.shape`) }
  }
  if (type === 'dense') {
    const given = object(value, name, ['type', 'units', 'gated', 'activation'])
    return { type, units: integer(given.units, `${name}.units`, 1, 2 ** 28), ...trained(given) }
  }
  const given = object(value, name, [
    'type',
    'channels',
    'kernel',
    'stride',
    'padding',
    'outputPadding',
    'transposed',
    'gated',
    'activation'
  ])
  const { kernel } = given
  const count = (key: string, standard: number | undefined, least: number) =>
    integer(given[key] ?? standard, `${name}.${key}`, least, 2 ** 16)
  return {
    type,
    channels: count('channels', undefined, 1),
    kernel: isArray(kernel)
      ? sizes(kernel, `${name}.kernel`)
      : [count('kernel', undefined, 1), count('kernel', undefined, 1)],
    stride: count('stride', 1, 1),
    padding: count('padding', 0, 0),
    outputPadding: count('outputPadding', 0, 0),
    transposed: boolean(given.transposed ?? false, `${name}.transposed`),
    ...trained(given)
  }
}

function sizes(value: unknown, name: string): number[] {
  return list(value, name, 'a list of sizes').map((size, i) => integer(size, `${name}[${i}]`, 1, largest))
}

const posteriorTypes = ['none', 'planar', 'iaf', 'sylvester', 'cnf', 'cnf_bias', 'cnf_rank'] as const

export function normalizePosterior(value: unknown, latent: number): NativePosterior {
  if (!isObject(value))
    fail('INVALID_OPTION', `posterior is ${show(value)}; give an object like { type: 'planar' }`)
  if (value.type === 'cnf_hyper' || value.type === 'cnf_lyper')
    fail(
      'UNSUPPORTED',
      `posterior '${value.type}', whose weights are all the encoder's numbers, is not in this package; use 'cnf_rank'`
    )
  const type = choice(value.type, 'posterior.type', posteriorTypes)
  const given = (...keys: string[]) => object(value, 'posterior', ['type', ...keys])
  const flows = (options: Record<string, unknown>) => integer(options.flows ?? 4, 'posterior.flows', 1, 1024)
  switch (type) {
    case 'none':
      given()
      return { type }
    case 'planar':
      return { type, flows: flows(given('flows')) }
    case 'iaf': {
      const options = given('flows', 'width')
      const width = integer(options.width ?? 5 * latent, 'posterior.width', 1, 2 ** 20)
      if (width % latent !== 0)
        fail(
          'INVALID_OPTION',
          `posterior.width is ${width}, and z has ${latent} elements, which have as many units each; give a multiple`
        )
      return { type, flows: flows(options), width }
    }
    case 'sylvester': {
      const basis = choice(value.basis, 'posterior.basis', ['orthogonal', 'householder', 'triangular'])
      const options = given('basis', 'flows', ...(basis === 'triangular' ? [] : ['vectors']))
      const most = basis === 'orthogonal' ? latent : 1024
      const standard = Math.min(8, most)
      const vectors = integer(options.vectors ?? standard, 'posterior.vectors', 1, most)
      return { type, basis, flows: flows(options), vectors }
    }
    default: {
      const options = given(
        'hidden',
        'layer',
        'activation',
        'blocks',
        'time',
        ...(type === 'cnf_rank' ? ['rank'] : [])
      )
      const layer = choice(options.layer ?? 'concat', 'posterior.layer', layers)
      if (type !== 'cnf' && !['concat', 'concat_v2', 'ignore'].includes(layer))
        fail(
          'CONTRADICTORY_OPTIONS',
          `posterior.layer is '${layer}', whose weights move with t; '${type}' takes concat, concat_v2 or ignore`
        )
      return {
        type,
        blocks: integer(options.blocks ?? 1, 'posterior.blocks', 1, 1024),
        time: number(options.time ?? 0.5, 'posterior.time', { least: 0, most: 1e6, open: true }),
        rank: type === 'cnf_rank' ? integer(options.rank ?? 20, 'posterior.rank', 1, 2 ** 12) : 0,
        net: {
          hidden: sizes(options.hidden, 'posterior.hidden'),
          layer,
          activation: choice(options.activation ?? 'softplus', 'posterior.activation', activations),
          residual: false,
          strides: [],
          parallel: 1,
          zeroLast: false,
          spectralNorm: 0
        }
      }
    }
  }
}

/** A description as callers write it, which a file keeps. */
export function spellVae(description: NativeVaeDescription): VaeDescription {
  const { posterior, ...rest } = structuredClone(description)
  return { ...(rest as VaeDescription), posterior: spellPosterior(posterior) }
}

function spellPosterior(posterior: NativePosterior): Posterior {
  switch (posterior.type) {
    case 'none':
    case 'planar':
    case 'iaf':
      return posterior
    case 'sylvester': {
      const { vectors, ...rest } = posterior
      return posterior.basis === 'triangular' ? rest : { ...rest, vectors }
    }
    default: {
      const { type, blocks, time, rank, net } = posterior
      const { hidden, layer, activation } = net
      return {
        type,
        hidden,
        layer: layer as Layer,
        activation: activation as Activation,
        blocks,
        time,
        ...(type === 'cnf_rank' && { rank })
      }
    }
  }
}
