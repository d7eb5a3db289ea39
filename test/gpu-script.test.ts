/** scripts/gpu.sh where the card, the build and the tools are stand-ins: its report is whole whatever a step does. */
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const root = join(__dirname, '..')
const script = join(root, 'scripts/gpu.sh')
const onLinux = process.platform === 'linux' ? describe : describe.skip
let folder: string

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'gpu-script-'))
  mkdirSync(join(folder, 'bin'))
  mkdirSync(join(folder, 'build'))
  for (const name of ['nvidia-smi', 'ncu', 'compute-sanitizer']) program(`bin/${name}`, 'exit 1')
  program('bin/nvidia-smi', 'echo "card, 90"')
  program(
    'bin/ncu',
    'echo "==PROF== Connected"; echo \'"Kernel Name","Grid Size","Block Size","Metric Unit","Metric Value"\'',
    'for us in 12.5 "1,007.5"; do echo "\\"multiply\\",\\"(16, 1, 1)\\",\\"(256, 1, 1)\\",\\"us\\",\\"$us\\""; done'
  )
  program(
    'bin/compute-sanitizer',
    'while [[ $1 == --* || $1 == *check || $1 == no || $1 == 9 ]] && [[ $1 != /* ]]; do shift; done',
    'exec "$@"'
  )
  for (const name of checks) program(`build/${name}`, 'exit 0')
  for (const name of ['gpu_peaks', 'gpu_wgmma', 'gpu_times', 'product_check'])
    program(`build/${name}`, `echo "| ${name} | $* |"`)
  writeFileSync(
    join(folder, 'build/built'),
    spawnSync('bash', [script, '--run', 'sources'], environment()).stdout
  )
})
afterEach(() => rmSync(folder, { recursive: true }))

const checks = spawnSync('sh', ['-c', 'for file in test/cuda/*.cu; do basename $file .cu; done'], {
  cwd: root,
  encoding: 'utf8'
})
  .stdout.trim()
  .split('\n')

function program(name: string, ...lines: string[]) {
  writeFileSync(join(folder, name), ['#!/usr/bin/env bash', ...lines, ''].join('\n'))
  chmodSync(join(folder, name), 0o755)
}

const environment = (seconds = 60) => ({
  encoding: 'utf8' as const,
  env: {
    ...process.env,
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    FFJORD_GPU_BUILD: join(folder, 'build'),
    FFJORD_GPU_SECONDS: String(seconds),
    OUT: join(folder, 'out'),
    NODE: '/nowhere/node'
  }
})

function run(what: string, seconds?: number) {
  const { status, stderr } = spawnSync('bash', [script, what], environment(seconds))
  return { status, stderr, report: readFileSync(join(folder, 'out/gpu.md'), 'utf8') }
}

onLinux('scripts/gpu.sh', () => {
  test('probe runs by itself, and puts tables under their steps', () => {
    const { status, report } = run('probe')
    expect(report).toMatch(/- ok: peaks \(\d+ s\)\n\n\| gpu_peaks \| 0\.3 \|/)
    expect(report).toContain('| gpu_wgmma | 0.3 |')
    expect(report).toContain('| | product_check |  | |')
    expect(report).toContain('| multiply | (16, 1, 1) | (256, 1, 1) | 2 | 12.5 | 1020 |')
    expect(report).not.toContain('C++ checks')
    expect(status).toBe(0)
  })

  test('a check that fails is named with what it said, and later steps run', () => {
    program(`build/${checks[0]}`, 'echo it went wrong', 'exit 3')
    const { status, report } = run('test')
    expect(report).toMatch(
      new RegExp(`failed\\*\\*: C\\+\\+ checks .*\\n\`\`\`\\n${checks[0]}: status 3\\nit went wrong`)
    )
    expect(report).toMatch(/- ok: racecheck|\*\*failed\*\*: racecheck/)
    expect(status).toBe(1)
  })

  test('what takes too long is cut off, with what it had printed; then no step begins', () => {
    program('build/gpu_times', 'echo "| first row |"', 'sleep 60')
    const { status, report } = run('bench', 7)
    expect(report).toMatch(/\*\*out of time\*\*: times .*\n\n\| first row \|/)
    expect(report).toContain('- skipped: solves beside the peers: needs Node')
    expect(status).toBe(1)
    const late = run('probe', 3)
    expect(late.report).toContain('- skipped: peaks: no time is left')
  })
})
