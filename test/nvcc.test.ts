import { spawnSync } from 'node:child_process'
import { join } from 'node:path'

const root = join(__dirname, '..')

function wantsCuda(environment: Record<string, string>) {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['-p', "require('./scripts/nvcc.js').wantsCuda()"],
    { cwd: root, encoding: 'utf8', env: { PATH: '/nowhere', ...environment } }
  )
  return { stdout: stdout.trim(), stderr, status }
}

test('an installation calls nvcc only where it is asked to', () => {
  expect(wantsCuda({})).toMatchObject({ stdout: 'false', status: 0 })
  expect(wantsCuda({ FFJORD_CUDA: '0', PATH: process.env.PATH! })).toMatchObject({
    stdout: 'false',
    status: 0
  })
})

test('where it is asked to, it finds the toolkit or says where it looked', () => {
  const { stdout, stderr, status } = wantsCuda({ FFJORD_CUDA: '1' })
  if (status === 0) expect(stdout).toBe('true')
  else expect(stderr).toContain('neither CUDA_HOME nor the PATH nor /usr/local/cuda holds nvcc')
})
