import { mkdirSync, writeFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Binding } from '../lib/native/interface'
import { loadAddon } from '../lib/native/load'
import { ablation } from './ablation'
import { autoencoders } from './autoencoders'
import { certify } from './certify'
import type { Context } from './context'
import { control } from './control'
import { convolutions } from './convolutions'
import { crossings } from './crossings'
import { evaluationControl } from './evaluation-control'
import { engineTimes, evaluations } from './evaluations'
import { loading } from './loading'
import { describeMachine, type Machine } from './machine'
import { memory } from './memory'
import { scaling } from './scaling'
import { solves } from './solves'
import { markdown, type Section } from './table'
import { intoReadme, toys } from './toys'

const USAGE = `npm run bench -- [options]
npm run bench -- ablation [options]   # experiments with the method; ablation --help lists them

  --python PATH   a Python with the peers: torch, torchdiffeq, jax, diffrax (those that it has are run)
  --only NAME     one section: evaluations, convolutions, autoencoders, solves, control, evaluation-control, crossings, memory, loading,
                  certify, scaling (needs openmpi-bin and mpich) or toys; may be repeated. Without it, all but the last two.
  --density NAME  toys: only this density; may be repeated
  --seed N        toys: only this seed of 0, 1, 2, or another; may be repeated
  --trace NAME    toys: trained with this trace: exact (the default), gaussian or rademacher; may be repeated
  --threads N     toys: threads of a run (default: all cores); calls side by side with one --out add to the same results
  --device NAME   the engine that is measured (default: cpu); with cuda:0 the peers of solves use the card too
  --quick         short measurements, to see that everything runs
  --out FOLDER    where results go (default: bench/results)`

const SECTIONS = [
  'evaluations',
  'convolutions',
  'autoencoders',
  'solves',
  'control',
  'evaluation-control',
  'crossings',
  'memory',
  'loading',
  'certify',
  'scaling',
  'toys'
] as const

/** Of the package at `root`, or the file that FFJORD_ADDON names: this program's own copy of lib lies in build/bench. */
function loadBinding(root: string): Binding {
  return loadAddon(process.env.FFJORD_ADDON ? undefined : root) as Binding
}

async function main(): Promise<void> {
  const root = dirname(require.resolve('ffjord/package.json'))
  if (process.argv[2] === 'ablation') return ablation(root, loadBinding(root), process.argv.slice(3))
  const { values } = parseArgs({
    options: {
      python: { type: 'string' },
      only: { type: 'string', multiple: true },
      density: { type: 'string', multiple: true },
      seed: { type: 'string', multiple: true },
      trace: { type: 'string', multiple: true },
      threads: { type: 'string' },
      device: { type: 'string', default: 'cpu' },
      quick: { type: 'boolean', default: false },
      out: { type: 'string' },
      help: { type: 'boolean', default: false }
    }
  })
  if (values.help) return console.log(USAGE)
  const wanted = values.only ?? SECTIONS.filter((name) => name !== 'toys' && name !== 'scaling')
  const unknown = wanted.find((name) => !SECTIONS.some((known) => known === name))
  if (unknown) throw new Error(`there is no section ${unknown}\n\n${USAGE}`)

  const binding = loadBinding(root)
  const { python, quick, device } = values
  const machine = describeMachine(binding, quick)
  const context: Context = { root, binding, machine, quick, device, ...(python && { python }) }
  const out = values.out ?? join(root, 'bench/results')
  mkdirSync(out, { recursive: true })
  console.log(describe(machine))

  const write = (name: string, sections: Section[]) => writeResults(out, name, machine, sections)

  if (wanted.includes('toys')) {
    const only = {
      densities: values.density,
      seeds: values.seed,
      traces: values.trace,
      threads: values.threads
    }
    await toys(context, only, out, (sections) => {
      write('toys', sections)
      if (!values.out && !quick) intoReadme(root, sections[0]!)
    })
  }
  const engine = ['evaluations', 'autoencoders', 'crossings'].some((name) => wanted.includes(name))
    ? engineTimes(context)
    : []
  const sections: Record<string, () => Promise<Section[]>> = {
    evaluations: async () => [await evaluations(context, engine)],
    convolutions: () => convolutions(context),
    autoencoders: async () => [await autoencoders(context, engine)],
    solves: () => solves(context, (sections) => write('solves', sections)),
    control: async () => [await control(context)],
    'evaluation-control': async () => [await evaluationControl(context)],
    crossings: async () => [await crossings(context, engine)],
    memory: async () => [await memory(context)],
    loading: async () => [await loading(context)],
    certify: async () => [await certify(context)],
    scaling: async () => [await scaling(context)]
  }
  for (const [name, measure] of Object.entries(sections)) {
    if (!wanted.includes(name)) continue
    const measured = await measure()
    for (const section of measured) console.log(markdown(section))
    write(name, measured)
  }
}

function describe(machine: Machine): string {
  const { processor, cores, instructionSet, fmaPeak, loadAverage, node, date } = machine
  return [
    `Machine: ${processor}, ${cores} cores, ${instructionSet}; FMA peak of one core ${fmaPeak.toFixed(1)} GFLOP/s (float32).`,
    `Node ${node}, ${date}, load average at the start ${loadAverage.join(', ')}.`,
    ''
  ].join('\n')
}

/** One file a section, of the kernels' instruction set where FFJORD_CPU chose it. */
function writeResults(out: string, section: string, machine: Machine, sections: Section[]): void {
  const chosen = process.env.FFJORD_CPU
  const name = chosen ? `${section}-${chosen}` : section
  const call = `npm run bench -- ${process.argv.slice(2).join(' ')}`.replace(/ -- $/, '')
  const command = chosen ? `FFJORD_CPU=${chosen} ${call}` : call
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
