// Runs at `npm install`: nothing to do where a prebuilt binary loads, else compiles the addon.
//   node scripts/install.js            compile only if no prebuilt binary loads
//   node scripts/install.js --force    compile in any case
// It compiles with npm's own node-gyp where make and python3 are at hand, else it calls the compiler itself. Nothing
// is downloaded: the headers come with node-api-headers, and native/gyp stands in for Node's source tree.
const { spawnSync } = require('node:child_process')
const { existsSync } = require('node:fs')
const { delimiter, dirname, join, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const isWindows = process.platform === 'win32'
const force = process.argv.includes('--force') || process.env.npm_config_build_from_source === 'true'

function loadsPrebuilt() {
  process.env.PREBUILDS_ONLY = '1'
  try {
    require('node-gyp-build')(root) // really loads it, which finds a libc that is too old as well
    return true
  } catch {
    return false
  }
}

function onPath(names) {
  const folders = (process.env.PATH ?? '').split(delimiter).filter(Boolean)
  return names.find((name) => folders.some((folder) => existsSync(join(folder, name))))
}

/** npm's own node-gyp, else one that is installed beside this package, else the one npm keeps beside node. */
function findNodeGyp() {
  const installed = () => {
    try {
      return require.resolve('node-gyp/bin/node-gyp.js')
    } catch {
      return join(dirname(process.execPath), '../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
    }
  }
  return [process.env.npm_config_node_gyp, installed()].find((path) => path && existsSync(path))
}

function buildWithNodeGyp(compiler) {
  const nodeGyp = findNodeGyp()
  const missing = [
    nodeGyp ? undefined : 'node-gyp',
    onPath(['make']) ? undefined : 'make',
    onPath(['python3', 'python']) ? undefined : 'python3'
  ].filter(Boolean)
  if (!isWindows && missing.length > 0) return `not possible without ${missing.join(' and ')}`
  const commands = force ? ['rebuild'] : ['configure', 'build']
  const options = [
    '-j',
    'max',
    '--loglevel',
    'warn',
    ...(isWindows ? [] : ['--nodedir', join(root, 'native/gyp')])
  ]
  const { status, error } = spawnSync(process.execPath, [nodeGyp, ...commands, ...options], {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ...(compiler ? { CXX: compiler } : {}) }
  })
  return status === 0 ? undefined : `failed (${error?.message ?? `exit code ${status}, see above`})`
}

async function main() {
  const inRepository = existsSync(join(root, '.git')) // where the sources change, they rule
  if (!force && !inRepository && loadsPrebuilt()) return 0

  const compiler = process.env.CXX || onPath(['g++', 'clang++', 'c++'])
  const outcomes = []
  if (compiler || isWindows) {
    console.log('ffjord: compiling the native addon, which takes a minute or two')
    const gyp = buildWithNodeGyp(compiler)
    if (gyp === undefined) return 0
    outcomes.push(`node-gyp: ${gyp}`)
    if (!isWindows) {
      const direct = await require('./build-direct.js').build(compiler)
      if (direct === undefined) return 0
      outcomes.push(`${compiler} called directly: ${direct}`)
    }
  } else {
    outcomes.push('no C++ compiler on the PATH (looked for $CXX, g++, clang++, c++)')
  }

  console.error(`
ffjord: no prebuilt binary loads on ${process.platform}-${process.arch}, and compiling did not work:
${outcomes.map((line) => `  - ${line}`).join('\n')}

What to do:
  - install a C++20 compiler (g++ 11 or newer, or clang 14 or newer) and the headers of its C library:
      Debian, Ubuntu: apt-get install g++ make python3        Fedora: dnf install gcc-c++ make python3
      Alpine:         apk add g++ make python3                 macOS: xcode-select --install
    then: npm rebuild ffjord
  - have several compilers? name one: CXX=g++-12 npm rebuild ffjord
  - in a container, compile in a stage that has a compiler and copy node_modules from it
`)
  return 1
}

main().then((code) => {
  process.exitCode = code
})
