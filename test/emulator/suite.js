// The addon whose CUDA engine runs on the emulator, and which of its kernels ran.
const { spawnSync } = require('node:child_process')
const { existsSync, readdirSync, readFileSync, rmSync } = require('node:fs')
const { availableParallelism } = require('node:os')
const { join, resolve } = require('node:path')

const root = resolve(__dirname, '../..')
const build = join(root, 'build-cmake/emulated-addon')
const emulatedAddon = join(build, 'ffjord.node')
const kernelsThatRan = join(build, 'kernels-that-ran.txt')

function cmake(...options) {
  const { status, stdout, stderr, error } = spawnSync('cmake', options, { cwd: root, encoding: 'utf8' })
  if (status !== 0) throw new Error(`cmake ${options.join(' ')}:\n${error ?? stdout + stderr}`)
}

/** Compiles what changed of `targets`. Little is optimized but the emulated engine, as cases are small. */
function buildEmulated(...targets) {
  const ccache = spawnSync('ccache', ['--version']).status === 0
  cmake(
    ...[
      '-S',
      '.',
      '-B',
      build,
      '-DFFJORD_EMULATED_CUDA=ON',
      '-DFFJORD_TESTS=ON',
      '-DCMAKE_CXX_FLAGS_RELEASE=-O1 -DNDEBUG'
    ],
    ...(ccache ? ['-DCMAKE_CXX_COMPILER_LAUNCHER=ccache'] : [])
  )
  cmake('--build', build, '--target', ...targets, '--parallel', String(availableParallelism()))
}

function forgetKernels() {
  rmSync(kernelsThatRan, { force: true })
}

/** All kernels by their source, and those that ran since the addon was built. */
function kernelCoverage() {
  const folder = join(root, 'native/cuda')
  const sources = readdirSync(folder, { recursive: true }).filter(
    (name) => /\.(cu|h)$/.test(name) && name !== 'device/intrinsics.h' // which has one for cards alone
  )
  const names = sources.flatMap((name) => {
    const text = readFileSync(join(folder, name), 'utf8').replace(
      /__launch_bounds__\s*\([^()]*(\([^()]*\)[^()]*)*\)/g,
      ''
    )
    return [...text.matchAll(/__global__\s+void\s+(\w+)\s*\(/g)].map((match) => match[1])
  })
  const ran = new Set(existsSync(kernelsThatRan) ? readFileSync(kernelsThatRan, 'utf8').split('\n') : [])
  return { all: [...new Set(names)].sort(), ran }
}

module.exports = { build, buildEmulated, emulatedAddon, forgetKernels, kernelCoverage, kernelsThatRan }
