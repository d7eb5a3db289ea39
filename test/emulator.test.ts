import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const { build } = require('./emulator/suite.js') as { build: string }

function check(options: string[], environment: Record<string, string>): string {
  const { status, stdout, stderr } = spawnSync(
    'ctest',
    [
      ...['--test-dir', build, '--label-regex', 'cuda', '--output-on-failure'],
      ...['--parallel', String(availableParallelism()), ...options]
    ],
    { cwd: join(__dirname, '..'), encoding: 'utf8', env: { ...process.env, ...environment } }
  )
  if (status !== 0) throw new Error(stdout + stderr)
  return stdout
}

// The C++ checks of the kernels and of the emulator itself: among them the mutants, kernels with a fault that must be
// caught.
test('the checks of test/cuda and test/emulator pass', () => {
  expect(check([], {})).toMatch(/mutants_check \.+ +Passed/)
})

test('those of the engine pass where small nets have tiles of many rows', () => {
  expect(
    check(['--tests-regex', '^cuda_(golden|regularisers)'], { FFJORD_CUDA_OPTIONS: 'fused=32' })
  ).toMatch(/cuda_golden \.+ +Passed/)
})

// misuse_check holds that work runs late.
test('they pass in another order of threads, with work that runs at once, layer by layer, and on an older card', () => {
  const environment = {
    FFJORD_EMULATOR_SCHEDULE: 'reversed',
    FFJORD_EMULATOR_STREAMS: 'eager',
    FFJORD_EMULATOR_CAPABILITY: '80',
    FFJORD_CUDA_OPTIONS: 'fused=0'
  }
  expect(check(['--exclude-regex', 'misuse'], environment)).toMatch(/mutants_check \.+ +Passed/)
})
