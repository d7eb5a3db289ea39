import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Device } from 'ffjord'

import type { Binding } from '../../lib/native/interface'
import { describeMachine, type Machine } from '../machine'
import { markdown } from '../table'
import { baselines } from './baselines'
import { bottleneck } from './bottleneck'
import { dimensions } from './dimensions'
import { gradients } from './gradients'
import { layers } from './layers'
import { normalisation } from './normalisation'
import type { AblationContext, Finding } from './part'
import { probes } from './probes'
import { tolerance } from './tolerance'

const PARTS = { tolerance, gradients, layers, probes, bottleneck, dimensions, normalisation, baselines }
type PartName = keyof typeof PARTS

const USAGE = `npx ffjord bench ablation [options]

  --only NAME     one part: ${Object.keys(PARTS).join(', ')}; may be repeated
  --quick         short, to see that everything runs
  --device NAME   the engine (default: cpu)
  --out FOLDER    where tables, figures and numbers go (default: bench/results/ablation)`

/** A part as it is kept: what it found, and how. */
interface Record {
  command: string
  seconds: number
  machine: Machine
  finding: Omit<Finding, 'figure'>
}

/** Runs the parts and writes NAME.json and NAME.svg of each, and README.md with all that the folder holds. */
export async function ablation(root: string, binding: Binding, given: string[]): Promise<void> {
  const { values } = parseArgs({
    args: given,
    options: {
      only: { type: 'string', multiple: true },
      quick: { type: 'boolean', default: false },
      device: { type: 'string', default: 'cpu' },
      out: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(USAGE)
  const names = values.only ?? Object.keys(PARTS)
  const unknown = names.find((name) => !(name in PARTS))
  if (unknown) throw new Error(`there is no part ${unknown}\n\n${USAGE}`)
  const { quick } = values
  const out = values.out ?? join(root, 'bench/results/ablation')
  mkdirSync(out, { recursive: true })
  const command = `npx ffjord bench ablation ${given.join(' ')}`.trim()
  const machine = describeMachine(binding, quick)
  for (const name of names as PartName[]) {
    const started = performance.now()
    const context: AblationContext = {
      quick,
      device: values.device as Device,
      note: (text) => console.error(`  ${name}: ${text}`)
    }
    const { figure, ...finding } = await PARTS[name](context)
    const record: Record = { command, seconds: (performance.now() - started) / 1000, machine, finding }
    writeFileSync(join(out, `${name}.json`), `${JSON.stringify(record, undefined, 2)}\n`)
    writeFileSync(join(out, `${name}.svg`), figure)
    console.log(markdown(finding))
    writeFileSync(join(out, 'README.md'), page(out))
  }
}

/** All parts that the folder holds. */
function page(out: string): string {
  const records = Object.keys(PARTS)
    .map((name) => join(out, `${name}.json`))
    .filter((path) => existsSync(path))
    .map((path) => JSON.parse(readFileSync(path, 'utf8')) as Record)
  const sections = records.map(({ command, seconds, machine, finding }) => {
    const { processor, cores, instructionSet, fmaPeak, loadAverage, date } = machine
    return [
      markdown({ ...finding, title: finding.title, data: undefined }),
      `![${finding.title}](${finding.name}.svg)\n`,
      `\`${command}\`, ${seconds.toFixed(0)} s on ${date.slice(0, 10)}: ${processor}, ${cores} cores, ${instructionSet}, ` +
        `FMA peak of one core ${fmaPeak.toFixed(0)} GFLOP/s, load average at the start ${loadAverage[0]}.\n`
    ].join('\n')
  })
  return ['# Ablation\n', ...sections].join('\n')
}
