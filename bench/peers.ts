import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism, platform, tmpdir } from 'node:os'
import { join } from 'node:path'

import { drawRows, type Problem } from './problem'

/** One result of a peer, as peers/*.py print it. */
export interface PeerRow {
  peer: string
  task: 'evaluate' | 'evaluate_gradient' | 'solve' | 'train'
  form?: string
  batch: number
  best: number
  median: number
  wall_best: number
  repeats: number
  evaluations?: number | null
  backward_evaluations?: number
  log_prob_rms?: number
  log_prob_max?: number
  gradient_relative?: number
  compile_seconds?: number
}

/** What the peers are asked to do. */
export interface Job {
  evaluate: number[]
  solve: number[]
  train: number[]
  tolerance: number
  secondsPerRow: number
  /** Where peers compute. */
  device: 'cpu' | 'cuda'
}

/** The tight float64 solve that errors are measured from. */
export interface Truth {
  logProb: Float64Array
  gradient: Float64Array
}

export interface PeerResults {
  rows: PeerRow[]
  /** Why a peer is missing, in its own words. */
  missing: Record<string, string>
  truth: (batch: number) => Truth
}

interface Peer {
  script: string
  /** Said behind the peer's name. */
  variant?: string
  environment?: Record<string, string>
}

const FLOAT32 = { JAX_DEFAULT_MATMUL_PRECISION: 'highest' }
/**
 * JAX multiplies in TF32 on a card unless it is told otherwise, PyTorch in float32. PyTorch is quickest with an evaluation
 * in a CUDA graph. Its compiler, and JAX's command buffers, take too long to begin on a card that is lent for minutes.
 */
const PEERS: Record<Job['device'], Peer[]> = {
  cpu: [{ script: 'torch_peer.py' }, { script: 'jax_peer.py' }, { script: 'diffrax_peer.py' }],
  cuda: [
    {
      script: 'torch_peer.py',
      variant: 'an evaluation in a CUDA graph',
      environment: { FFJORD_PEER_GRAPH: '1' }
    },
    { script: 'torch_peer.py' },
    { script: 'diffrax_peer.py', variant: 'float32', environment: FLOAT32 },
    { script: 'jax_peer.py', variant: 'float32', environment: FLOAT32 },
    { script: 'jax_peer.py', variant: 'TF32' }
  ]
}
/** Milliseconds that a peer may take on a card: what it has printed by then counts. */
const CARD_LIMIT = 20_000

/** Writes the job as raw float32 files and runs every peer on it, one after the other, on one core. */
export function runPeers(python: string, scripts: string, problem: Problem, job: Job): PeerResults {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-bench-'))
  writeJob(folder, problem, job)
  execute(python, join(scripts, 'truth.py'), folder, {})
  const rows: PeerRow[] = []
  const missing: Record<string, string> = {}
  const limit = job.device === 'cuda' ? CARD_LIMIT : undefined
  for (const { script, variant, environment } of PEERS[job.device]) {
    const named = (name: string) => (variant ? `${name}, ${variant}` : name)
    const take = (printed: string[]) => {
      for (const row of printed.map((line) => JSON.parse(line) as PeerRow))
        rows.push({ ...row, peer: named(row.peer) })
    }
    try {
      take(execute(python, join(scripts, script), folder, environment ?? {}, limit))
    } catch (error) {
      const { stdout, stderr, message, code } = error as {
        stdout?: string
        stderr?: string
        message: string
        code?: string
      }
      take(linesOf(stdout ?? ''))
      missing[named(script)] =
        code === 'ETIMEDOUT'
          ? `it took more than ${limit! / 1000} s`
          : (stderr?.trim().split('\n').at(-1) ?? message)
    }
  }
  const read = (name: string) => new Float64Array(new Uint8Array(readFileSync(join(folder, name))).buffer)
  return {
    rows,
    missing,
    truth: (batch) => ({ logProb: read(`log_prob${batch}.f64`), gradient: read(`gradient${batch}.f64`) })
  }
}

function writeJob(folder: string, problem: Problem, job: Job): void {
  const description = {
    layer: problem.layer,
    activation: problem.activation,
    dims: problem.dims,
    end_time: problem.endTime,
    tensors: problem.tensors,
    evaluate: job.evaluate,
    solve: job.solve,
    train: job.train,
    rtol: job.tolerance,
    atol: job.tolerance,
    seconds: job.secondsPerRow,
    threads: 1,
    device: job.device
  }
  writeFileSync(join(folder, 'job.json'), JSON.stringify(description))
  writeFileSync(join(folder, 'weights.f32'), problem.weights)
  for (const batch of new Set([...job.evaluate, ...job.solve, ...job.train])) {
    const { x, noise } = drawRows(problem, batch)
    writeFileSync(join(folder, `x${batch}.f32`), x)
    writeFileSync(join(folder, `noise${batch}.f32`), noise)
  }
}

/** Lines that a script prints. */
export function execute(
  python: string,
  script: string,
  folder: string,
  environment: Record<string, string>,
  timeout?: number
): string[] {
  const lastCore = String(availableParallelism() - 1)
  const command = [python, script, folder]
  const [program, ...rest] = platform() === 'linux' ? ['taskset', '-c', lastCore, ...command] : command
  const printed = execFileSync(program!, rest, {
    encoding: 'utf8',
    env: { ...process.env, OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1', ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26,
    timeout
  })
  return linesOf(printed)
}

/** Whole lines: a process that was ended may have printed part of one. */
function linesOf(printed: string): string[] {
  return printed.split('\n').slice(0, -1).filter(Boolean)
}
