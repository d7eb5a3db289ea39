#!/usr/bin/env node
import { Command } from 'commander'
import { unwritable } from '../file/file-errors'
import { VERSION } from '../native/version'
import { addBench } from './bench'
import { defaultsAtHand } from './defaults'
import { addDemo } from './demo'
import { addEval } from './eval'
import { verdict } from './exit'
import { addInfo } from './info'
import { addInspect } from './inspect'
import { addLogprob } from './logprob'
import { addPlot } from './plot'
import { addSample } from './sample'
import { addTrain } from './train'
import { addVae } from './vae'

/** The command `ffjord`. Results go to stdout, progress and errors to stderr. */
async function main(): Promise<void> {
  process.stdout.on('error', ignoreReaderGone)
  // Nobody is left to be told what cannot be said there.
  process.stderr.on('error', () => undefined)
  const program = new Command('ffjord')
    .description('FFJORD continuous normalizing flows: train, evaluate and sample')
    .version(VERSION)
    .showHelpAfterError('(add --help for the options)')
    .exitOverride()
  const defaults = await defaultsAtHand(process.argv.slice(2))
  for (const add of [
    addDemo,
    addInspect,
    (to: Command) => addTrain(to, defaults),
    addEval,
    addSample,
    addLogprob,
    addPlot,
    addInfo,
    addBench,
    addVae
  ])
    add(program)
  try {
    await program.parseAsync()
  } catch (error) {
    const { code, message } = verdict(error)
    if (message) process.stderr.write(`ffjord: ${message}\n`)
    process.exitCode = code
  }
}

/**
 * A reader that has closed standard output or error (`| head`) is no failure of this program; that they cannot be written
 * is one.
 */
function ignoreReaderGone(error: NodeJS.ErrnoException): void {
  if (error.code === 'EPIPE') return
  const { code, message } = verdict(unwritable('standard output', error))
  if (message) process.stderr.write(`ffjord: ${message}\n`)
  process.exit(code)
}

void main()
