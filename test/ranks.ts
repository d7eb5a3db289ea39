// Ranks that a launcher starts, and what they note of their jobs (distributed/rank.js).
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const program = join(__dirname, 'distributed', 'rank.js')

interface Found {
  losses: number[]
  validations: number[]
  /** Of steps that are taken together. */
  nfe: number[]
  warnings: string[]
  error?: { code: string; message: string }
  stopped?: string
  iterations?: number
  weights: string
  unchanged?: boolean
  /** How the group summed last. */
  transport?: string
  library?: string
  second?: Found
  early?: unknown
}

export interface Rank {
  rank: number
  size: number
  localRank: number
  localSize: number
  threads: number
  transport: string
  /** Whether two calls of join at once give one group. */
  same: boolean
  pid: number
  jobs: Record<string, Found>
}

export interface Launcher {
  name: string
  start: readonly string[]
  library: string
  other: string
}

export const launchers: Launcher[] = [
  {
    name: 'mpirun.openmpi',
    start: ['mpirun.openmpi', '--allow-run-as-root', '--oversubscribe'],
    library: 'libmpi.so.40',
    other: 'libmpich.so.12'
  },
  { name: 'mpirun.mpich', start: ['mpirun.mpich'], library: 'libmpich.so.12', other: 'libmpi.so.40' }
]

/** Whether a launcher is not here, which is said. */
export function missing({ name }: Launcher): boolean {
  const gone = spawnSync(name, ['--version']).error !== undefined
  if (gone) console.warn(`skipped: ranks of ${name}, as it is not here (Debian: openmpi-bin, mpich)`)
  return gone
}

let scratch: string
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), 'ffjord-ranks-'))
})
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

/** For what a suite writes. */
export const folder = (): string => scratch

let runs = 0

export interface Ended {
  code: number | null
  output: string
  ranks: Rank[]
  out: string
}

/** Starts ranks that do the jobs; `meanwhile` may meddle with them. */
export async function start(
  launcher: Launcher | undefined,
  count: number,
  jobs: readonly string[],
  environment: Record<string, string> = {},
  meanwhile?: (out: string) => Promise<void>
): Promise<Ended> {
  const out = join(scratch, `run-${runs++}`)
  const before = launcher ? [...launcher.start, '-n', String(count)] : []
  const [file, ...rest] = [...before, process.execPath, program, out, ...jobs] as [string, ...string[]]
  const child = spawn(file, rest, { env: { ...process.env, ...environment }, timeout: 240_000 })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output += chunk))
  const ended = new Promise<number | null>((resolve) => child.on('close', (code) => resolve(code)))
  await meanwhile?.(out)
  const code = await ended
  const ranks = Array.from({ length: count }, (_, rank) => readRank(out, rank)).flatMap((one) => one ?? [])
  return { code, output, ranks, out }
}

function readRank(out: string, rank: number): Rank | undefined {
  const file = `${out}.${rank}.json`
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : undefined
}

/** Waits until a rank has started, and has trained for a while. */
export async function underWay(out: string, rank: number): Promise<Rank> {
  for (let tries = 0; tries < 600; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const found = readRank(out, rank)
    if (found && existsSync(`${out}.safetensors`)) return found
  }
  throw new Error('the ranks do not start')
}
