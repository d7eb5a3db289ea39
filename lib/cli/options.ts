import { type Command, InvalidArgumentError, Option } from 'commander'

import { MOST_DRAWS, SPREAD } from '../evaluation/cell-density'
import type { Stride } from '../flow/options'
import { adaptiveMethods, fixedStepMethods } from '../native/methods'

/** Parsers and options that several commands share. */

export function wholeNumber(text: string): number {
  const value = Number(text)
  if (!Number.isSafeInteger(value) || value < 0)
    throw new InvalidArgumentError('Give a whole number, 0 or more.')
  return value
}

export function positiveInteger(text: string): number {
  const value = wholeNumber(text)
  if (value === 0) throw new InvalidArgumentError('Give a whole number of at least 1.')
  return value
}

export function nonNegative(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('Give a number, 0 or more.')
  }
  return value
}

export function positive(text: string): number {
  const value = Number(text)
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
    throw new InvalidArgumentError('Give a number above 0.')
  return value
}

/** '64,64,64' or, as the reference implementation writes it, '64-64-64'. */
export function widths(text: string): number[] {
  return text.split(/[,-]/).map((part) => positiveInteger(part))
}

/** '1,1,2,-2': convolutions by the numbers of the published code. */
export function strides(text: string): Stride[] {
  return text.split(',').map((part) => {
    const stride = ([1, 0, 2, -2] as const).find((known) => String(known) === part.trim())
    if (stride === undefined) throw new InvalidArgumentError('Give 1, 0, 2 or -2 a layer, with commas.')
    return stride
  })
}

/** An option that takes one of `choices`. */
export function oneOf(flags: string, description: string, choices: readonly string[]): Option {
  return new Option(flags, description).choices(choices)
}

/** Where it computes; every command that builds a flow takes these. */
export interface DeviceChoice {
  device: string
  threads?: number
}

export function addDevice(command: Command): Command {
  return command
    .option(
      '--device <name>',
      'auto, cpu, reference (float64), cuda, cuda:0 …; `ffjord info` lists them',
      'auto'
    )
    .option('--threads <n>', 'threads of the cpu engine (default: all cores)', positiveInteger)
}

/** Solver and trace at evaluation; what is not given is as in the model file. */
export interface EvaluationChoice {
  solver?: string
  rtol?: number
  atol?: number
  steps?: number
  trace?: 'auto' | 'exact' | 'hutchinson'
  noise?: 'gaussian' | 'rademacher'
  probes?: number
}

/** How well the density of dequantised rows is known. */
export interface DrawsChoice {
  draws?: number
}

export function addDraws(command: Command): Command {
  return command.option(
    '--draws <n>',
    `most draws of a row with dequantised values; a row gets as many as bring its spread below ${SPREAD} nats (default: ${MOST_DRAWS})`,
    positiveInteger
  )
}

export function drawsOption({ draws }: DrawsChoice): { draws?: number } {
  return draws === undefined ? {} : { draws }
}

export const SOLVERS = [...adaptiveMethods, ...fixedStepMethods] as const

export function addEvaluation(command: Command): Command {
  return command
    .addOption(oneOf('--solver <method>', 'solver (default: as trained)', SOLVERS))
    .option('--rtol <x>', 'relative tolerance (default: as trained)', nonNegative)
    .option('--atol <x>', 'absolute tolerance (default: as trained)', nonNegative)
    .option('--steps <n>', 'steps of a fixed-step solver', positiveInteger)
    .addOption(oneOf('--trace <kind>', 'divergence (default: as trained)', ['auto', 'exact', 'hutchinson']))
    .addOption(oneOf('--noise <law>', 'of the Hutchinson estimate', ['rademacher', 'gaussian']))
    .option('--probes <n>', 'of the Hutchinson estimate', positiveInteger)
}
