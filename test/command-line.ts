import { Command } from 'commander'
import { addDemo } from '../lib/cli/demo'
import { addEval } from '../lib/cli/eval'
import { addInfo } from '../lib/cli/info'
import { addInspect } from '../lib/cli/inspect'
import { addLogprob } from '../lib/cli/logprob'
import { addSample } from '../lib/cli/sample'
import { addTrain } from '../lib/cli/train'
import { addVae } from '../lib/cli/vae'

/** Runs a command in this process; what it prints on stdout comes back. Errors reject, as the command throws them. */
export async function ffjord(...given: readonly string[]): Promise<string> {
  const program = new Command('ffjord').exitOverride().configureOutput({ writeErr: () => undefined })
  for (const add of [addDemo, addInfo, addInspect, addTrain, addEval, addSample, addLogprob, addVae])
    add(program)
  const lines: string[] = []
  const log = jest.spyOn(console, 'log').mockImplementation((line: string) => {
    lines.push(line)
  })
  try {
    await program.parseAsync([...given], { from: 'user' })
  } finally {
    log.mockRestore()
  }
  return lines.join('\n')
}
