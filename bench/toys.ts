import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { toyNames } from 'ffjord'
import { toyRecipe } from '../lib/cli/recipes'
import type { Context } from './context'
import { against, markdown, type Section, time } from './table'

const GAP_GOAL = 0.05
const CPU_GOAL = 330
const SEEDS = ['0', '1', '2']

/**
 * Traces of training, as options of the command line. One Hutchinson probe, the paper's choice, makes the loss noisy:
 * such runs are twice as long.
 */
const traces: Record<string, string[]> = {
  exact: [],
  gaussian: hutchinson('gaussian'),
  rademacher: hutchinson('rademacher')
}

function hutchinson(noise: string): string[] {
  return ['--trace', 'hutchinson', '--noise', noise, '--iterations', String(2 * toyRecipe.iterations)]
}

/** One density, trained once. */
interface ToyRun {
  density: string
  seed: number
  trained: string
  iterations: number
  nll: number
  standardError: number
  entropy: number
  /** Mean of log p − log p(model) over the test rows: KL(p ‖ model), free of the rows' own scatter. */
  gap: number
  gapError: number
  /** Forward evaluations a row: median of the last hundred iterations, and of the test. */
  nfe: number
  testNfe: number
  /** Warnings of evaluations that outgrew their budget. */
  warnings: number
  /** Wall time of training; and what the whole command took of all cores together, report and figures included. */
  seconds: number
  cpuSeconds: number
}

/**
 * Runs `ffjord train --data NAME --seed SEED` with its defaults on every density, or on `only` some of them. `done` is
 * called after every run with tables of all runs so far, those of earlier calls included.
 */
export async function toys(
  context: Context,
  only: {
    densities?: string[] | undefined
    seeds?: string[] | undefined
    traces?: string[] | undefined
    threads?: string | undefined
  },
  out: string,
  done: (sections: Section[]) => void
): Promise<void> {
  const all = (only.traces ?? ['exact']).flatMap((trained) =>
    (only.seeds ?? SEEDS).flatMap((seed) =>
      (only.densities ?? toyNames.filter(hasEntropy)).map((density) => ({ density, seed, trained }))
    )
  )
  for (const planned of context.quick ? all.slice(0, 1) : all) {
    const run = await train(context, planned, only.threads)
    const runs = context.quick ? [] : savedRuns(out) // other calls may have added to them meanwhile
    const same = (known: ToyRun) =>
      known.density === run.density && known.seed === run.seed && known.trained === run.trained
    const earlier = runs.findIndex(same)
    runs.splice(earlier < 0 ? runs.length : earlier, earlier < 0 ? 0 : 1, run)
    const { density, seed, trained, gap, cpuSeconds } = run
    console.log(`${density}, seed ${seed}, ${trained}: ${gap.toFixed(4)} nats in ${time(cpuSeconds)} of CPU`)
    const place = ({ density, seed }: ToyRun) => 100 * toyNames.indexOf(density as 'moons') + seed
    const sorted = [...runs].sort((one, other) => place(one) - place(other))
    done([summary(sorted), everyRun(sorted)])
  }
}

/** What earlier calls found. */
function savedRuns(out: string): ToyRun[] {
  const file = join(out, 'toys.json')
  if (!existsSync(file)) return []
  const { sections } = JSON.parse(readFileSync(file, 'utf8')) as { sections: Section[] }
  return sections.find(({ name }) => name === 'toys')!.data as ToyRun[]
}

/** The table of README.md is the first section. */
export function intoReadme(root: string, section: Section): void {
  const file = join(root, 'README.md')
  const text = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    text.replace(
      /(<!-- toys: [^\n]*\n).*?(<!-- \/toys -->)/s,
      (_, begin, end) => begin + readmeTable(section) + end
    )
  )
}

/** The table without its title and notes, which README.md has in its own words. */
export function readmeTable(section: Section): string {
  return markdown({ ...section, notes: [] })
    .replace(/^## .*\n\n/, '')
    .trimEnd()
    .concat('\n')
}

/** `line` and `cos` are curves with a little noise; they have no place in the paper's list. */
function hasEntropy(name: string): boolean {
  return name !== 'line' && name !== 'cos'
}

async function train(
  { root, quick, device }: Context,
  { density, seed, trained }: { density: string; seed: string; trained: string },
  threads: string | undefined
): Promise<ToyRun> {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-toys-'))
  try {
    const { stdout, stderr } = await ffjord(
      join(root, 'dist/cli/index.js'),
      ...['train', '--data', density, '--seed', seed, '--out', folder, '--json', '--device', device],
      ...(traces[trained] ?? []),
      ...(threads === undefined ? [] : ['--threads', threads]),
      ...(quick ? ['--iterations', '20', '--test-rows', '1000'] : [])
    )
    const result = JSON.parse(stdout) as Record<string, number>
    return {
      density,
      seed: Number(seed),
      trained,
      iterations: result.iterations!,
      nll: result.nll!,
      standardError: result.stderr!,
      entropy: result.entropy!,
      gap: result.klGap!,
      gapError: result.klGapStderr!,
      nfe: lastEvaluations(readFileSync(join(folder, 'metrics.jsonl'), 'utf8')),
      testNfe: result.nfe!,
      warnings: stderr.split('Warning at iteration').length - 1,
      seconds: result.seconds!,
      cpuSeconds: result.cpuSeconds!
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function ffjord(...call: string[]): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, call)
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (text) => {
      stdout += text
    })
    child.stderr.on('data', (text) => {
      stderr += text
    })
    child.on('close', (code) =>
      code === 0
        ? resolve({ stdout, stderr })
        : reject(new Error(`ffjord ${call.slice(1).join(' ')}: ${stderr}`))
    )
  })
}

function lastEvaluations(metrics: string): number {
  const nfe = metrics
    .trim()
    .split('\n')
    .slice(-100)
    .map((line) => (JSON.parse(line) as { nfe: number }).nfe)
    .sort((one, other) => one - other)
  return nfe[nfe.length >> 1]!
}

/** A row a density, over the seeds of the exact trace: the table of README.md. */
function summary(runs: readonly ToyRun[]): Section {
  const exact = runs.filter(({ trained }) => trained === 'exact')
  const seeds = [...new Set(exact.map(({ seed }) => seed))].sort()
  const densities = [...new Set(exact.map(({ density }) => density))]
  const span = (values: number[]) => {
    const [least, most] = [Math.min(...values).toFixed(0), Math.max(...values).toFixed(0)]
    return least === most ? least : `${least}–${most}`
  }
  return {
    name: 'toys-summary',
    title: 'The eight toy densities',
    columns: [
      'density',
      ...seeds.map((seed) => `gap, seed ${seed}`),
      'NFE, training',
      'NFE, test',
      'CPU seconds',
      `gap ≤ ${GAP_GOAL} in ${CPU_GOAL} s`
    ],
    rows: densities.map((density) => {
      const own = exact.filter((run) => run.density === density)
      const reached = own.every(({ cpuSeconds }) => cpuSeconds <= CPU_GOAL)
      return [
        density,
        ...seeds.map((seed) => own.find((run) => run.seed === seed)?.gap.toFixed(3) ?? ''),
        span(own.map(({ nfe }) => nfe)),
        span(own.map(({ testNfe }) => testNfe)),
        span(own.map(({ cpuSeconds }) => cpuSeconds)),
        reached ? against(Math.max(...own.map(({ gap }) => gap)), GAP_GOAL, 'at most') : 'missed'
      ]
    }),
    notes: [
      'Each run is `npx ffjord train --data NAME --seed SEED` with its defaults (`npx ffjord train --help` lists them). Gap: mean of ' +
        'log p − log p(model) over fresh rows, nats.',
      'NFE: evaluations of the dynamics a row, of the last solves of training and of the test. CPU seconds: of the whole command and all ' +
        'its threads, report and figures included; about twice the wall time on two idle cores.'
    ],
    data: null
  }
}

function everyRun(runs: readonly ToyRun[]): Section {
  return {
    name: 'toys',
    title: 'Every run',
    columns: [
      'density',
      'seed',
      'trained with',
      'iterations',
      'test NLL',
      'entropy',
      'gap, nats',
      'NFE training',
      'NFE test',
      'warnings',
      'seconds of training',
      'CPU seconds'
    ],
    rows: runs.map((run) => [
      run.density,
      String(run.seed),
      run.trained,
      String(run.iterations),
      `${run.nll.toFixed(4)} ± ${run.standardError.toFixed(4)}`,
      run.entropy.toFixed(4),
      `${run.gap.toFixed(4)} ± ${run.gapError.toFixed(4)}`,
      run.nfe.toFixed(0),
      run.testNfe.toFixed(0),
      String(run.warnings),
      run.seconds.toFixed(1),
      run.cpuSeconds.toFixed(1)
    ]),
    notes: ['Warnings: of evaluations that outgrew their budget.'],
    data: runs
  }
}
