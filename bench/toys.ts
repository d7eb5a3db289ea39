import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Flow, type LawDataset, type ToyName, toy, toyNames } from 'ffjord'

import type { Context } from './context'
import { recipe, testRows, traces } from './recipe'
import { against, type Section, time } from './table'

const GAP_GOAL = 0.05
const GAP_TARGET = 0.02
const SECONDS_TARGET = 60

/** One density, trained once. */
interface ToyRun {
  density: ToyName
  trained: string
  /** What the engine says it used for the divergence in training. */
  trace: string
  nll: number
  standardError: number
  entropy: number
  /** Test NLL less the entropy. */
  gap: number
  /** Mean of log p − log p(model) over the test rows: the same divergence, free of the rows' own scatter. */
  pairedGap: number
  pairedError: number
  nfe: number
  testNfe: number
  testTrace: string
  /** Wall time of training, and what it took of all cores together. */
  seconds: number
  cpuSeconds: number
  iterations: number
}

/**
 * Trains the densities with every trace, or `only` some of either, and measures how far the test NLL stays above the entropy. `done` is called after
 * every run with a table of all runs so far, those of earlier calls included.
 */
export async function toys(
  context: Context,
  only: { densities?: string[] | undefined; traces?: string[] | undefined },
  out: string,
  done: (section: Section) => void
): Promise<void> {
  const names = toyNames.filter((name) => only.densities?.includes(name) ?? hasEntropy(name))
  const runs = context.quick ? [] : savedRuns(out)
  for (const trained of Object.keys(traces).filter((name) => only.traces?.includes(name) ?? true)) {
    for (const density of context.quick ? names.slice(0, 1) : names) {
      const run = await train(context, density, trained)
      const earlier = runs.findIndex((known) => known.density === density && known.trained === trained)
      runs.splice(earlier < 0 ? runs.length : earlier, earlier < 0 ? 0 : 1, run)
      console.log(`${density}, ${trained}: gap ${run.gap.toFixed(4)} nats in ${run.seconds.toFixed(1)} s`)
      done(
        table([...runs].sort((one, other) => toyNames.indexOf(one.density) - toyNames.indexOf(other.density)))
      )
    }
  }
}

/** What earlier calls found. */
function savedRuns(out: string): ToyRun[] {
  const file = join(out, 'toys.json')
  if (!existsSync(file)) return []
  const { sections } = JSON.parse(readFileSync(file, 'utf8')) as { sections: Section[] }
  return sections.flatMap((section) => section.data as ToyRun[])
}

/** `line` and `cos` are curves with a little noise; they have no place in the paper's list. */
function hasEntropy(name: ToyName): boolean {
  return name !== 'line' && name !== 'cos'
}

async function train({ quick, device }: Context, density: ToyName, trained: string): Promise<ToyRun> {
  const { trace, iterations: planned } = traces[trained]!
  const flow = await Flow.create({ ...recipe.flow, trace, device: device as 'cpu' })
  try {
    const data = toy(density, { seed: 1 })
    const startedCpu = process.cpuUsage()
    const fit = flow.fit(data, { ...recipe.fit, iterations: quick ? 50 : planned })
    let nfe = 0
    for await (const progress of fit) nfe = progress.nfe
    const { seconds, iterations } = await fit
    const used = process.cpuUsage(startedCpu)
    const test = await judge(flow, toy(density, { seed: 2 }), quick ? 10_000 : testRows)
    return {
      density,
      trained,
      trace: flow.traces.join(', '),
      entropy: data.entropy,
      ...test,
      nfe,
      seconds,
      cpuSeconds: (used.user + used.system) / 1e6,
      iterations
    }
  } finally {
    flow.dispose()
  }
}

/** Test NLL with the exact trace, and its distance from the exact density on the same rows. */
async function judge(flow: Flow, data: LawDataset, rows: number) {
  const nll = new Mean()
  const divergence = new Mean()
  let testNfe = 0
  let testTrace = ''
  const size = 10_000
  for (let done = 0; done < rows; done += size) {
    const { data: x } = data.sample(size)
    const logProb = await flow.logProb(x, { trace: 'exact' })
    const exact = data.logDensity(x)
    logProb.forEach((value, i) => {
      nll.add(-value)
      divergence.add(exact[i]! - value)
    })
    const { nfe, traces: used } = flow.statistics!
    testNfe += (nfe * size) / rows
    testTrace = used.join(', ')
  }
  return {
    nll: nll.value,
    standardError: nll.standardError,
    gap: nll.value - data.entropy,
    pairedGap: divergence.value,
    pairedError: divergence.standardError,
    testNfe,
    testTrace
  }
}

class Mean {
  value = 0
  private count = 0
  private squares = 0

  /** Welford's update of mean and squared distances. */
  add(sample: number): void {
    this.count++
    const distance = sample - this.value
    this.value += distance / this.count
    this.squares += distance * (sample - this.value)
  }

  get standardError(): number {
    return Math.sqrt(this.squares / (this.count - 1) / this.count)
  }
}

function table(runs: ToyRun[]): Section {
  const { flow, fit } = recipe
  const { net, time: endTime } = flow.blocks[0]!
  return {
    name: 'toys',
    title: 'The eight toy densities',
    columns: [
      'density',
      'trained with',
      'trace used',
      'test NLL',
      'entropy',
      'gap, nats',
      'paired',
      'NFE training',
      'NFE test',
      'seconds',
      'CPU seconds',
      `gap ≤ ${GAP_GOAL}`,
      `gap ≤ ${GAP_TARGET} in ${SECONDS_TARGET} s`
    ],
    rows: runs.map((run) => [
      run.density,
      run.trained,
      run.trace,
      `${run.nll.toFixed(4)} ± ${run.standardError.toFixed(4)}`,
      run.entropy.toFixed(4),
      run.gap.toFixed(4),
      `${run.pairedGap.toFixed(4)} ± ${run.pairedError.toFixed(4)}`,
      run.nfe.toFixed(0),
      run.testNfe.toFixed(0),
      run.seconds.toFixed(1),
      run.cpuSeconds.toFixed(1),
      against(run.gap, GAP_GOAL, 'at most'),
      run.seconds <= SECONDS_TARGET ? against(run.gap, GAP_TARGET, 'at most') : 'missed'
    ]),
    notes: [
      `One recipe: ${net.hidden.join('-')} ${net.layer} ${net.activation}, end time ${endTime}, trained; ` +
        `${traces.exact!.iterations} iterations (${traces.gaussian!.iterations} with one probe) of Adam on ${fit.batch} fresh rows, learning rate ${fit.optimizer.lr}, ` +
        `warm-up over ${fit.schedule.warmup}, then a cosine to 0; dopri5 at ${flow.solver.rtol.toExponential()} (test ${flow.solver.evaluation.rtol.toExponential()}).`,
      `Test: ${testRows.toLocaleString('en')} rows that training never saw, exact trace. Gap: test NLL less the entropy; ` +
        'paired: mean of log p − log p(model) over the same rows.',
      'Seconds: wall time of training; CPU seconds: of all threads together, about twice the wall time on two idle cores.',
      `Longest: ${time(Math.max(...runs.map((run) => run.seconds)))}.`
    ],
    data: runs
  }
}
