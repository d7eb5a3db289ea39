import type { NativeFlow } from '../lib/native/interface'
import { byTheClock, measure, type Timing } from './clock'
import type { Context } from './context'
import { onOneCore } from './machine'
import { type Job, type PeerResults, type PeerRow, runPeers, type Truth } from './peers'
import {
  adam,
  describe,
  drawRows,
  givenNoise,
  type Problem,
  readGradient,
  settings,
  tabularProblem,
  toyProblem,
  writeWeights
} from './problem'
import { against, type Section, time, times } from './table'

const TOLERANCE = 1e-5
/** Tolerances tried in turn, tighter and tighter, until our error of log p is not above the peer's. */
const LADDER = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7].flatMap((decade) =>
  [1, 0.7, 0.5, 0.3, 0.2, 0.15].map((share) => share * decade)
)

/** Ratios asked for: peer, then task, then batch. */
const TARGETS: Record<string, Record<string, Record<number, number>>> = {
  PyTorch: { solve: { 128: 17, 1024: 7 }, train: { 128: 20, 1024: 12 } },
  'jax.experimental.ode': { solve: { 128: 2.5, 1024: 2.5 }, train: { 128: 2.5, 1024: 2.5 } },
  diffrax: { train: { 512: 3 } }
}

/** One of our measurements at one tolerance. */
interface Own extends Timing {
  tolerance: number
  evaluations: number
  backwardEvaluations?: number
  logProbRms: number
  gradientRelative?: number
}

type Task = 'solve' | 'train'

const onCard = (context: Context) => context.device.startsWith('cuda')

/**
 * A dopri5 solve and a training iteration against the peers: of the toy net on one core each; on a card also of a wide one.
 * `written` gets the sections whenever there is one more.
 */
export async function solves(context: Context, written: (sections: Section[]) => void): Promise<Section[]> {
  // On a card each peer compiles for each shape.
  const few = context.quick || onCard(context)
  const layers = few ? (['concat'] as const) : (['concat', 'concatsquash'] as const)
  const toy = onCard(context)
    ? { evaluate: [], solve: [2000], train: [2000] }
    : { evaluate: [128, 1024], solve: [128, 1024], train: [128, 512, 1024] }
  const sections: Section[] = []
  const problems: [Problem, Batches][] = layers.map((layer) => [toyProblem(layer), toy])
  if (onCard(context)) problems.push([tabularProblem(), { evaluate: [], solve: [1000], train: [1000] }])
  for (const [problem, batches] of problems) {
    sections.push(await solvesOf(context, problem, batches))
    written(sections)
  }
  return sections
}

type Batches = Pick<Job, 'evaluate' | 'solve' | 'train'>

async function solvesOf(context: Context, problem: Problem, batches: Batches): Promise<Section> {
  const job: Job = {
    ...batches,
    tolerance: TOLERANCE,
    secondsPerRow: context.quick ? 1 : 4,
    device: onCard(context) ? 'cuda' : 'cpu'
  }
  const peers = context.python
    ? runPeers(context.python, `${context.root}/bench/peers`, problem, job)
    : undefined
  const own = new OwnTimes(context, problem, peers)
  const rows: string[][] = []
  const data: unknown[] = []
  for (const task of ['solve', 'train'] as const) {
    for (const batch of job[task]) {
      const first = await own.at(task, batch, TOLERANCE)
      rows.push(ownCells(task, batch, first))
      data.push({ task, batch, own: first })
      for (const peer of peers?.rows.filter((row) => row.task === task && row.batch === batch) ?? []) {
        const tolerance = await own.toleranceFor(batch, peer.log_prob_rms!)
        const equal = await own.at(task, batch, tolerance)
        rows.push(peerCells(task, batch, peer, first, equal))
        const ratios = { sameTolerance: peer.best / first.best, equalError: peer.best / equal.best }
        data.push({ task, batch, peer, own: equal, ratios })
      }
    }
  }
  return {
    name: `solves ${problem.layer}`,
    title: `Solves and training of ${problem.dims.join('-')} ${problem.layer} ${problem.activation}, ${onCard(context) ? context.device : 'one core'}`,
    columns: [
      'task',
      'B',
      'who',
      'best',
      'median',
      'NFE',
      'rms error of log p',
      'gradient error',
      'ratio at 1e-5',
      'ours at equal error',
      'ratio',
      'target'
    ],
    rows,
    notes: [
      `dopri5 over t: 0 → ${problem.endTime} at rtol = atol = ${TOLERANCE.toExponential()} in float32, one Gaussian probe, the same weights, rows and noise ` +
        `for all; times are ${onCard(context) ? 'by the clock' : 'CPU seconds of one core'}. Errors are distances from a float64 solve at 1e-10. Gradient error: ` +
        'relative, of all weights together.',
      'train: −mean log p, its gradient and a step of Adam, which moves nothing (learning rate 0), so that every iteration is the same.',
      'Ratios: the peer’s time over ours. At equal error: at the loosest of our tolerances whose error of log p is not above the ' +
        'peer’s. The same tolerance buys different errors: our control takes smaller steps than the integral controllers do.',
      ...evaluationNotes(peers),
      ...missing(peers)
    ],
    data
  }
}

/** Our times, each measured once. */
class OwnTimes {
  private readonly known = new Map<string, Own>()
  private readonly truths = new Map<number, Truth>()

  constructor(
    private readonly context: Context,
    private readonly problem: Problem,
    private readonly peers: PeerResults | undefined
  ) {}

  async at(task: Task, batch: number, tolerance: number): Promise<Own> {
    const key = `${task} ${batch} ${tolerance}`
    const known = this.known.get(key)
    if (known) return known
    const truth = await this.truth(batch)
    const own = await onOneCore(() => measureOwn(this.context, this.problem, task, batch, tolerance, truth))
    this.known.set(key, own)
    return own
  }

  /** The loosest tolerance at which our error of log p is not above `error`. */
  async toleranceFor(batch: number, error: number): Promise<number> {
    const truth = await this.truth(batch)
    const { x, noise } = drawRows(this.problem, batch)
    const { binding, device } = this.context
    const flow = new binding.Flow(describe(this.problem), device, 0, 1)
    try {
      writeWeights(flow, this.problem)
      for (const tolerance of LADDER) {
        const call = {
          batch,
          rows: x,
          noise: givenNoise(noise),
          settings: settings(tolerance),
          float64: true
        }
        if (rms(flow.logProbSync(call).logProb, truth.logProb) <= error) return tolerance
      }
      throw new Error(`no tolerance reaches an error of ${error} at B = ${batch}`)
    } finally {
      flow.dispose()
    }
  }

  private async truth(batch: number): Promise<Truth> {
    const known = this.truths.get(batch)
    if (known) return known
    const truth = this.peers
      ? this.peers.truth(batch)
      : await referenceTruth(this.context, this.problem, batch)
    this.truths.set(batch, truth)
    return truth
  }
}

async function measureOwn(
  { binding, device, quick }: Context,
  problem: Problem,
  task: Task,
  batch: number,
  tolerance: number,
  truth: Truth
): Promise<Own> {
  const shown = device.startsWith('cuda') ? byTheClock : (timing: Timing) => timing
  const { x, noise } = drawRows(problem, batch)
  const flow = new binding.Flow(describe(problem), device, 0, 1)
  try {
    writeWeights(flow, problem)
    const call = { batch, rows: x, noise: givenNoise(noise), settings: settings(tolerance) }
    const { logProb, statistics } = flow.logProbSync({ ...call, float64: true })
    const logProbRms = rms(logProb, truth.logProb)
    const seconds = quick ? 0.5 : 3
    if (task === 'solve') {
      const timing = shown(await measure(() => flow.logProbSync(call), seconds))
      return { tolerance, evaluations: statistics.evaluations, logProbRms, ...timing }
    }
    const { forward, backward } = await flow.loss({ ...call, inputGradient: false })
    const gradientRelative = relative(readGradient(flow, problem), truth.gradient)
    const iteration = async () => {
      await flow.loss({ ...call, inputGradient: false })
      await flow.step(adam)
    }
    const timing = shown(await measure(iteration, seconds))
    return {
      tolerance,
      evaluations: forward.evaluations,
      backwardEvaluations: backward.evaluations,
      logProbRms,
      gradientRelative,
      ...timing
    }
  } finally {
    flow.dispose()
  }
}

/** What stands for the truth where there is no Python: the float64 engine, solved tightly. */
async function referenceTruth({ binding }: Context, problem: Problem, batch: number): Promise<Truth> {
  const flow: NativeFlow = new binding.Flow(describe(problem), 'reference', 0, 1)
  try {
    writeWeights(flow, problem)
    const { x, noise } = drawRows(problem, batch)
    const call = { batch, rows: x, noise: givenNoise(noise), settings: settings(1e-9), float64: true }
    const { logProb } = await flow.logProb(call)
    await flow.loss({ ...call, inputGradient: false })
    return { logProb: Float64Array.from(logProb), gradient: readGradient(flow, problem) }
  } finally {
    flow.dispose()
  }
}

function rms(values: ArrayLike<number>, truth: Float64Array): number {
  return Math.sqrt(truth.reduce((sum, exact, i) => sum + (values[i]! - exact) ** 2, 0) / truth.length)
}

function relative(values: Float64Array, truth: Float64Array): number {
  return rms(values, truth) / rms(new Float64Array(truth.length), truth)
}

const error = (value: number | undefined) => (value === undefined ? '' : value.toExponential(1))

function evaluationsOf(own: Own): string {
  return [own.evaluations, own.backwardEvaluations].filter(Boolean).join(' + ')
}

function ownCells(task: Task, batch: number, own: Own): string[] {
  return [
    task,
    String(batch),
    'ffjord',
    time(own.best),
    time(own.median),
    evaluationsOf(own),
    error(own.logProbRms),
    error(own.gradientRelative)
  ]
}

function peerCells(task: Task, batch: number, peer: PeerRow, same: Own, equal: Own): string[] {
  const ratio = peer.best / equal.best
  const family = Object.keys(TARGETS).find((name) => peer.peer.startsWith(name))
  const target = family ? TARGETS[family]![task]?.[batch] : undefined
  const compiled = peer.compile_seconds ? ` (compiled in ${peer.compile_seconds.toFixed(1)} s)` : ''
  const errors = [error(equal.logProbRms), error(equal.gradientRelative)].filter(Boolean).join(', ')
  return [
    task,
    String(batch),
    `${peer.peer}${peer.form ? `, ${peer.form}` : ''}${compiled}`,
    time(peer.best),
    time(peer.median),
    [peer.evaluations, peer.backward_evaluations].filter(Boolean).join(' + '),
    error(peer.log_prob_rms),
    error(peer.gradient_relative),
    times(peer.best / same.best),
    `${time(equal.best)} at ${Number(equal.tolerance.toPrecision(2)).toExponential()}, NFE ${evaluationsOf(equal)}, error ${errors}`,
    times(ratio),
    target ? `≥ ${target} ×: ${against(ratio, target, 'at least')}` : ''
  ]
}

function evaluationNotes(peers: PeerResults | undefined): string[] {
  const found = peers?.rows.filter((row) => row.task.startsWith('evaluate')) ?? []
  return found.map(
    (row) =>
      `${row.peer}, one ${row.task === 'evaluate' ? '(f, div)' : '(f, div, gradients)'} at B = ${row.batch}: ${time(row.best)}.`
  )
}

function missing(peers: PeerResults | undefined): string[] {
  if (!peers) return ['No peers: name a Python that has them with --python.']
  return Object.entries(peers.missing).map(([peer, reason]) => `${peer} did not run: ${reason}`)
}
