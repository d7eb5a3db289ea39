import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import type { Context } from './context'
import { besidePyTorch, type ConvolutionNet, isSame, PEER_BATCH } from './convolution-peers'
import { onOneCore } from './machine'
import { against, percent, type Section, time, times } from './table'

/** A line that native/convolution_times.cc prints. */
interface ConvolutionTime extends ConvolutionNet {
  method: 'fastest' | 'direct'
  task: 'evaluate' | 'gradient'
  rows: number
  flops: number
  best: number
  median: number
}

/** Shares of one core's FMA peak asked of 64 channels at 28 × 28, direct convolutions' FLOPs counted. */
const SHARES: Record<
  string,
  Partial<Record<`${ConvolutionTime['task']} ${ConvolutionTime['method']}`, number>>
> = {
  avx512: { 'evaluate direct': 0.65, 'evaluate fastest': 1.15, 'gradient fastest': 0.95 },
  avx2: { 'evaluate direct': 0.85, 'evaluate fastest': 1.5, 'gradient fastest': 1.2 }
}

const HIDDEN = 64
/** Asked of (f, div) and of training iterations, against PyTorch’s eager mode. */
const PEER_TARGET = 3

/** What two more hidden layers take: the difference of a net of five and one of three. */
function between(deep: ConvolutionTime, all: ConvolutionTime[]): ConvolutionTime[] {
  const { side, method, task } = deep
  const shallow = all.find(
    (one) => one.side === side && one.method === method && one.task === task && one.depth < deep.depth
  )
  if (!shallow) return []
  const less = (key: 'flops' | 'best' | 'median') => deep[key] - shallow[key]
  return [
    { ...deep, channels: HIDDEN, depth: 2, flops: less('flops'), best: less('best'), median: less('median') }
  ]
}

/** Evaluations of convolutional nets on one core, with and without gradients, as a share of what the core could do. */
export async function convolutions(context: Context): Promise<Section[]> {
  const { root, quick, machine } = context
  const build = join(root, 'build-cmake/bench')
  const silent = { stdio: ['ignore', 'ignore', 'inherit'] as ('ignore' | 'inherit')[] }
  execFileSync(
    'cmake',
    ['-S', join(root, 'bench/native'), '-B', build, '-DCMAKE_BUILD_TYPE=Release', '-DFFJORD_CUDA=OFF'],
    silent
  )
  execFileSync('cmake', ['--build', build, '--target', 'convolution_times', '-j2'], silent)
  const program = join(build, 'convolution_times')
  const printed = onOneCore(() => execFileSync(program, [quick ? '3' : '40'], { encoding: 'utf8' }))
  const lines = printed
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
  const { peak } = lines.pop() as { peak: number }
  const measured = lines as ConvolutionTime[]

  const counted = [...measured.flatMap((one) => between(one, measured)), ...measured]
  const rows = counted.map((one) => {
    const share = one.flops / one.best / 1e9 / peak
    const target =
      one.channels === HIDDEN ? SHARES[machine.instructionSet]?.[`${one.task} ${one.method}`] : undefined
    const direct = counted.find(
      (other) =>
        other.method === 'direct' &&
        other.task === one.task &&
        other.side === one.side &&
        other.channels === one.channels &&
        other.depth === one.depth
    )!
    const hidden = Array.from({ length: one.depth }, () => HIDDEN)
    return [
      one.channels === HIDDEN
        ? `${HIDDEN} → ${HIDDEN}, two layers`
        : [one.channels, ...hidden, one.channels].join('-'),
      `${one.side} × ${one.side}`,
      one.task === 'evaluate' ? '(f, div)' : '(f, div, gradients)',
      one.method === 'direct' ? 'direct' : 'as chosen',
      time(one.best / one.rows),
      time(one.median / one.rows),
      (one.flops / one.best / 1e9).toFixed(1),
      percent(share),
      target ? `≥ ${percent(target)}: ${against(share, target, 'at least')}` : '',
      one.method === 'direct' ? '' : times(direct.best / one.best)
    ]
  })
  const alone: Section = {
    name: 'convolutions',
    title: 'Convolutional nets',
    columns: [
      'net',
      'image',
      'what',
      'convolutions',
      'a row, best',
      'median',
      'GFLOP/s',
      'of peak',
      'target',
      'against direct'
    ],
    rows,
    notes: [
      `Peak: ${peak.toFixed(1)} GFLOP/s of fused multiply-adds on one core, measured between the nets, which take turns.`,
      'FLOPs counted are those of direct convolutions: 4Σ a row for (f, divergence) and 12Σ with gradients, Σ the ' +
        'multiply-adds of a row, whatever an engine saves. 3 × 3 layers, softplus, t as a channel, one probe; CPU time ' +
        'of one thread, activations, noise and sums of the divergence included.',
      'Two layers 64 → 64, with their activations: the difference of a net of five hidden layers and one of three.',
      'As chosen: Winograd’s F(2 × 2, 3 × 3) between layers of 64 channels, direct where a side has few.',
      'Measured at the engine interface by bench/native/convolution_times.cc.'
    ],
    data: measured
  }
  return context.python ? [alone, await besidePeer(context, measured)] : [alone]
}

const TASKS = { evaluate: '(f, div)', gradient: '(f, div, gradients)', train: 'training iteration' }

/** What PyTorch takes for the same, a row of its batch. */
async function besidePeer(context: Context, measured: ConvolutionTime[]): Promise<Section> {
  const nets = measured.filter(({ method, task }) => method === 'fastest' && task === 'evaluate')
  const { peers, own } = await besidePyTorch(context, nets, HIDDEN)
  const rows = peers.map((peer) => {
    const ours =
      peer.task === 'train'
        ? own.find((one) => isSame(one, peer))!.best / PEER_BATCH
        : measured
            .filter((one) => one.method === 'fastest' && one.task === peer.task && isSame(one, peer))
            .map(({ best, rows }) => best / rows)[0]!
    const theirs = peer.best / PEER_BATCH
    const hidden = Array.from({ length: peer.depth }, () => HIDDEN)
    return [
      [peer.channels, ...hidden, peer.channels].join('-'),
      `${peer.side} × ${peer.side}`,
      TASKS[peer.task],
      time(ours),
      time(theirs),
      times(theirs / ours),
      `≥ ${PEER_TARGET} ×: ${against(theirs / ours, PEER_TARGET, 'at least')}`
    ]
  })
  const difference = Math.max(...own.map((one) => one.difference))
  return {
    name: 'convolutions beside PyTorch',
    title: `Convolutional nets beside ${peers[0]!.peer} in eager mode, one core`,
    columns: ['net', 'image', 'what', 'a row, ours', 'PyTorch', 'ratio', 'target'],
    rows,
    notes: [
      `PyTorch: B = ${PEER_BATCH}, Hutchinson’s estimate by VJP. CPU seconds of one core, the best of many.`,
      'Training iteration: −mean log p through one CNF by the classical Runge-Kutta method in two steps, its gradient by ' +
        'backpropagation through the steps, and a step of Adam that moves nothing. The same weights, rows and noise: log p of a row ' +
        `differs by ${difference.toExponential(1)} of the largest at most.`
    ],
    data: { peers: peers.map(({ log_prob: _, ...peer }) => peer), own }
  }
}
