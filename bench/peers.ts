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

const PEERS = ['torch_peer.py', 'jax_peer.py', 'diffrax_peer.py']

/** Writes the job as raw float32 files and runs every peer on it, one after the other, on one core. */
export function runPeers(python: string, scripts: string, problem: Problem, job: Job): PeerResults {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-bench-'))
  writeJob(folder, problem, job)
  execute(python, join(scripts, 'truth.py'), folder)
  const rows: PeerRow[] = []
  const missing: Record<string, string> = {}
  for (const peer of PEERS) {
    try {
      const printed = execute(python, join(scripts, peer), folder)
      rows.push(...printed.map((line) => JSON.parse(line) as PeerRow))
    } catch (error) {
      const { stderr, message } = error as { stderr?: string; message: string }
      missing[peer] = stderr?.trim().split('\n').at(-1) ?? message
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
    threads: 1
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
function execute(python: string, script: string, folder: string): string[] {
  const lastCore = String(availableParallelism() - 1)
  const command = [python, script, folder]
  const [program, ...rest] = platform() === 'linux' ? ['taskset', '-c', lastCore, ...command] : command
  const environment = { ...process.env, OMP_NUM_THREADS: '1', MKL_NUM_THREADS: '1' }
  const printed = execFileSync(program!, rest, {
    encoding: 'utf8',
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 2 ** 26
  })
  return printed.split('\n').filter(Boolean)
}
