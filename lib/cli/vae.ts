import type { Command } from 'commander'
import { addVaeEval } from './vae-eval'
import { addVaeReport } from './vae-report'
import { addVaeSample } from './vae-sample'
import { addVaeTrain } from './vae-train'

/** `ffjord vae`: autoencoders whose posterior is a flow. */
export function addVae(program: Command): void {
  const group = program
    .command('vae')
    .description('variational autoencoders of images, with a flow as their posterior')
  addVaeTrain(group)
  addVaeEval(group)
  addVaeSample(group)
  addVaeReport(group)
}
