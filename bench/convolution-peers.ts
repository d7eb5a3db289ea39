import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import type { NativeDescription, NativeSettings } from '../lib/native/interface'
import { measure, type Timing } from './clock'
import type { Context } from './context'
import { onOneCore } from './machine'
import { execute } from './peers'
import { adam, givenNoise, Random, settings } from './problem'

/** A net of 3 × 3 convolutions with `depth` hidden layers. */
export interface ConvolutionNet {
  channels: number
  side: number
  depth: number
}

type Task = 'evaluate' | 'gradient' | 'train'

/** A measurement by bench/peers/torch_convolutions.py, of a whole batch. */
export interface ConvolutionPeer extends ConvolutionNet {
  peer: string
  task: Task
  best: number
  median: number
  log_prob?: number[]
}

/** Training iterations of one CNF with the net, ours and the peer's. */
export interface ConvolutionTraining extends ConvolutionNet, Timing {
  /** The largest distance of our log p of a row from the peer's, over the size of the largest one. */
  difference: number
}

export const PEER_BATCH = 32
const STEPS = 2
const END_TIME = 1

/** PyTorch on the same nets on one core, and our training iterations from the same weights, rows and noise. */
export async function besidePyTorch(
  context: Context,
  nets: ConvolutionNet[],
  hidden: number
): Promise<{ peers: ConvolutionPeer[]; own: ConvolutionTraining[] }> {
  const { binding, python, quick, root } = context
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-bench-'))
  const seconds = quick ? 1 : 8
  const cases = nets.map((net, index) => {
    const flow = new binding.Flow(describe(net, hidden), 'cpu', 0, 1)
    const size = PEER_BATCH * net.channels * net.side ** 2
    const random = new Random(7 + index)
    const draw = () => Float32Array.from({ length: size }, () => random.normal())
    const x = draw()
    const noise = draw()
    const tensors = flow.parameters
      .filter(({ role }) => role !== 'end_time')
      .map(({ name, shape, offset, size }) => ({ name, shape, offset, size }))
    writeFileSync(join(folder, `weights${index}.f32`), Float32Array.from(flow.read('parameters')))
    writeFileSync(join(folder, `x${index}.f32`), x)
    writeFileSync(join(folder, `noise${index}.f32`), noise)
    return { net, flow, x, noise, tensors }
  })
  const job = {
    batch: PEER_BATCH,
    steps: STEPS,
    seconds,
    nets: cases.map(({ net, tensors }) => ({ ...net, tensors, end_time: END_TIME }))
  }
  writeFileSync(join(folder, 'job.json'), JSON.stringify(job))
  const printed = execute(python!, join(root, 'bench/peers/torch_convolutions.py'), folder, {})
  const peers = printed.map((line) => JSON.parse(line) as ConvolutionPeer)

  const own: ConvolutionTraining[] = []
  for (const { net, flow, x, noise } of cases) {
    const theirs = peers.find((peer) => peer.task === 'train' && isSame(peer, net))!.log_prob!
    const call = { batch: PEER_BATCH, rows: x, noise: givenNoise(noise), settings: fixedSteps() }
    const { logProb } = flow.logProbSync({ ...call, float64: true })
    const largest = Math.max(...theirs.map(Math.abs))
    const difference = Math.max(...theirs.map((value, i) => Math.abs(value - logProb[i]!))) / largest
    const iteration = async () => {
      await flow.loss({ ...call, inputGradient: false })
      await flow.step(adam)
    }
    own.push({ ...net, difference, ...(await onOneCore(() => measure(iteration, seconds))) })
    flow.dispose()
  }
  return { peers, own }
}

export function isSame(one: ConvolutionNet, other: ConvolutionNet): boolean {
  return one.channels === other.channels && one.side === other.side && one.depth === other.depth
}

function describe({ channels, side, depth }: ConvolutionNet, hidden: number): NativeDescription {
  const net = {
    hidden: Array.from({ length: depth }, () => hidden),
    layer: 'concat' as const,
    activation: 'softplus' as const,
    residual: false,
    strides: Array.from({ length: depth + 1 }, () => 1),
    parallel: 1,
    zeroLast: false,
    spectralNorm: 0
  }
  return {
    shape: [channels, side, side],
    blocks: [{ type: 'cnf', time: END_TIME, trainTime: false, net }]
  }
}

/** The classical Runge-Kutta method, gradients through its steps. */
function fixedSteps(): NativeSettings {
  const usual = settings(1e-5)
  return { ...usual, solver: { ...usual.solver, method: 'rk4', steps: STEPS } }
}
