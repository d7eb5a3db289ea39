import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const { build } = require('./emulator/suite.js') as { build: string }

// The C++ checks of the kernels and of the emulator itself: among them the mutants, kernels with a fault that must be
// caught.
test('the checks of test/cuda and test/emulator pass', () => {
  const options = ['--test-dir', build, '--label-regex', 'cuda', '--output-on-failure']
  const { status, stdout, stderr } = spawnSync('ctest', options, {
    cwd: join(__dirname, '..'),
    encoding: 'utf8'
  })
  if (status !== 0) throw new Error(stdout + stderr)
  expect(stdout).toMatch(/mutants_check \.+ +Passed/)
})
