import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'

import { loadAddon } from '../lib/load'
import type { Binding } from '../lib/native'
import { ablation } from './ablation'
import { certify } from './certify'
import type { Context } from './context'
import { control } from './control'
import { crossings } from './crossings'
import { engineTimes, evaluations } from './evaluations'
import { loading } from './loading'
import { describeMachine, type Machine } from './machine'
import { memory } from './memory'
import { solves } from './solves'
import { markdown, type Section } from './table'
import { toys } from './toys'

const USAGE = `npm run bench -- [options]
npm run bench -- ablation [options]   # experiments with the method; ablation --help lists them

  --python PATH   a Python with the peers: torch, torchdiffeq, jax, diffrax (those that it has are run)
  --only NAME     one section: evaluations, solves, control, crossings, memory, loading, certify or toys; may be
                  repeated. Without it, all of them but toys, which trains for half an hour.
  --density NAME  toys: only this density; may be repeated
  --trace NAME    toys: trained with this trace only: exact, gaussian or rademacher; may be repeated
  --quick         short measurements, to see that everything runs
  --out FOLDER    where results go (default: bench/results)`

const SECTIONS = [
  'evaluations',
  'solves',
  'control',
  'crossings',
  'memory',
  'loading',
  'certify',
  'toys'
] as const

async function main(): Promise<void> {
  const root = dirname(require.resolve('ffjord/package.json'))
  if (process.argv[2] === 'ablation') {
    return ablation(root, loadAddon(root) as Binding, process.argv.slice(3))
  }
  const { values } = parseArgs({
    options: {
      python: { type: 'string' },
      only: { type: 'string', multiple: true },
      density: { type: 'string', multiple: true },
      trace: { type: 'string', multiple: true },
      device: { type: 'string', default: 'cpu' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(USAGE)
  const wanted = values.only ?? SECTIONS.filter((name) => name !== 'toys')
  const unknown = wanted.find((name) => !SECTIONS.some((known) => known === name))
  if (unknown) throw new Error(`there is no section ${unknown}\n\n${USAGE}`)

  const binding = loadAddon(root) as Binding
  const { python, quick, device } = values
  const machine = describeMachine(binding, quick)
  const context: Context = { root, binding, machine, quick, device, ...(python && { python }) }
  const out = values.out ?? join(root, 'bench/results')
  mkdirSync(out, { recursive: true })
  console.log(describe(machine))

  if (wanted.includes('toys')) {
    await toys(context, { densities: values.density, traces: values.trace }, out, (section) =>
      write(out, 'toys', machine, [section])
    )
  }
  const engine = wanted.some((name) => name === 'evaluations' || name === 'crossings')
    ? engineTimes(context)
    : []
  const measured: Section[] = []
  const add = (section: Section) => {
    measured.push(section)
    console.log(markdown(section))
  }
  if (wanted.includes('evaluations')) add(await evaluations(context, engine))
  if (wanted.includes('solves')) for (const section of await solves(context)) add(section)
  if (wanted.includes('control')) add(await control(context))
  if (wanted.includes('crossings')) add(await crossings(context, engine))
  if (wanted.includes('memory')) add(await memory(context))
  if (wanted.includes('loading')) add(await loading(context))
  if (wanted.includes('certify')) add(await certify(context))
  if (measured.length === 0) return
  write(out, values.only ? wanted.join('-') : 'bench', machine, measured)
}

function describe(machine: Machine): string {
  const { processor, cores, instructionSet, fmaPeak, loadAverage, node, date } = machine
  return [
    `Machine: ${processor}, ${cores} cores, ${instructionSet}; FMA peak of one core ${fmaPeak.toFixed(1)} GFLOP/s (float32).`,
    `Node ${node}, ${date}, load average at the start ${loadAverage.join(', ')}.`,
    ''
  ].join('\n')
}

function write(out: string, name: string, machine: Machine, sections: Section[]): void {
  const command = `npm run bench -- ${process.argv.slice(2).join(' ')}`.replace(/ -- $/, '')
  const loadAverageAtEnd = loadavg().map((load) => Number(load.toFixed(2)))
  const json = { command, machine: { ...machine, loadAverageAtEnd }, sections }
  writeFileSync(join(out, `${name}.json`), `${JSON.stringify(json, undefined, 2)}\n`)
  const text = [`Command: \`${command}\`\n`, describe(machine), ...sections.map(markdown)].join('\n')
  writeFileSync(join(out, `${name}.md`), text)
}

main().catch((error: Error) => {
  console.error(error.message)
  process.exitCode = 1
})
