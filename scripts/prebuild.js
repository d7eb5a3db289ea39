// Compiles the prebuilt binary of one platform, here for it or across:
//   node scripts/prebuild.js linux-arm64-glibc [--jobs 1] [--compiler 'aarch64-linux-gnu-g++']
// and prints its size. The CUDA engine is part of it as scripts/nvcc.js decides, on the platform that has it.
const { statSync } = require('node:fs')
const { availableParallelism } = require('node:os')
const { join, resolve } = require('node:path')
const { parseArgs } = require('node:util')
const { build } = require('./build-direct.js')

/**
 * Platforms, and the compiler that makes their binary on Linux x64: GNU's, or Zig's clang, which has the libraries of others, and takes AVX-512
 * of 512 bits for absent unless it is told of evex512.
 */
const compilers = {
  'linux-x64-glibc': 'g++',
  'linux-arm64-glibc': 'aarch64-linux-gnu-g++',
  'linux-x64-musl': 'zig c++ -target x86_64-linux-musl -mcpu=x86_64+evex512',
  'linux-arm64-musl': 'zig c++ -target aarch64-linux-musl',
  'darwin-arm64': 'zig c++ -target aarch64-macos.13.0'
}

/** The file of a platform's binary in the package. */
function fileOf(target) {
  const [platform, architecture, libc] = target.split('-')
  return `prebuilds/${platform}-${architecture}/ffjord${libc ? `.${libc}` : ''}.node`
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      compiler: { type: 'string' },
      jobs: { type: 'string', default: String(availableParallelism()) }
    }
  })
  const [target] = positionals
  const compiler = values.compiler ?? compilers[target]
  if (positionals.length !== 1 || !(target in compilers))
    throw new Error(`give one of ${Object.keys(compilers).join(', ')}`)
  if (target !== 'linux-x64-glibc') process.env.FFJORD_CUDA = '0' // its kernels are compiled where they run
  const name = fileOf(target)
  const output = join(resolve(__dirname, '..'), name)
  const failure = await build(compiler, { output, platform: target.split('-')[0], jobs: Number(values.jobs) })
  if (failure) throw new Error(`${compiler}: ${failure}`)
  console.log(`${name}: ${(statSync(output).size / 2 ** 20).toFixed(1)} MiB`)
}

module.exports = { platforms: Object.keys(compilers).map(fileOf) }

if (require.main === module)
  main().catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
