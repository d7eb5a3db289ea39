// Compiles one source of the CUDA engine: node scripts/nvcc.js SOURCE OBJECT
// Asked for by FFJORD_CUDA=1, as nvcc takes minutes for what most machines have no use for. FFJORD_CUDA_ARCHITECTURES
// narrows the cards it compiles for, e.g. to 80; by default all that a release serves.
const { spawnSync } = require('node:child_process')
const { existsSync, mkdirSync, readFileSync, realpathSync, writeFileSync } = require('node:fs')
const { basename, delimiter, dirname, join, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const asText = { encoding: 'utf8', maxBuffer: 2 ** 28 }
/** What the name of an object's report ends with. */
const REPORT = '.ptxas'
/** The architecture whose registers count. */
const REPORTED = '90a'

/** The CUDA toolkit: nvcc, and the runtime as a library to link in; undefined where there is none. */
function toolkit() {
  const onPath = (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'nvcc'))
    .filter((file) => existsSync(file))
    .map((file) => dirname(dirname(realpathSync(file))))
  const homes = [process.env.CUDA_HOME, process.env.CUDA_PATH, ...onPath, '/usr/local/cuda'].filter(Boolean)
  for (const home of homes) {
    const nvcc = join(home, 'bin/nvcc')
    const runtime = ['lib64', 'targets/x86_64-linux/lib', 'targets/sbsa-linux/lib', 'lib']
      .map((folder) => join(home, folder, 'libcudart_static.a'))
      .find((file) => existsSync(file))
    if (existsSync(nvcc) && runtime) return { nvcc, runtime }
  }
}

/** Whether this build shall hold the CUDA engine. Throws where it shall and cannot. */
function wantsCuda() {
  if (process.env.FFJORD_CUDA !== '1') return false
  if (toolkit()) return true
  throw new Error(
    'FFJORD_CUDA=1, but neither CUDA_HOME nor the PATH nor /usr/local/cuda holds nvcc and libcudart_static.a'
  )
}

/**
 * '80-real' is code for sm_80, '80-virtual' PTX that later cards compile for themselves, '80' both. Code for sm_90 is that
 * for sm_90a: kernels use what compute capability 9.0 has alone (native/cuda/product/products.cu).
 */
function codesFor(architecture) {
  if (architecture === '90') return ['90a-real', '90-virtual'].map(codeFor)
  return [codeFor(architecture === '90-real' ? '90a-real' : architecture)]
}
function codeFor(architecture) {
  const [number, kind] = architecture.split('-')
  const real = kind === 'virtual' ? [] : [`sm_${number}`]
  const virtual = kind === 'real' ? [] : [`compute_${number}`]
  return `-gencode=arch=compute_${number},code=[${[...real, ...virtual].join(',')}]`
}

/** What nvcc is called with; native/cuda/cuda.cmake reads the same lists. */
function flags() {
  const { variables } = JSON.parse(readFileSync(join(root, 'native/sources.gypi'), 'utf8'))
  const asked = process.env.FFJORD_CUDA_ARCHITECTURES?.split(/[;, ]+/)
  const architectures = asked ?? variables.cuda_architectures
  return [...variables.cuda_flags, ...architectures.flatMap(codesFor), '-O3', '-DNDEBUG', '-Xcompiler=-fPIC']
}

/** What the addon is then linked with: the runtime goes into it, so that it loads without a driver. */
function libraries() {
  return [toolkit().runtime, '-lrt', '-ldl']
}

/** Compiles, and leaves what ptxas says of the kernels beside the object. */
function compile(source, object) {
  mkdirSync(dirname(object), { recursive: true })
  const options = [...flags(), '-Xptxas=-v', `-I${join(root, 'native')}`, '-c', source, '-o', object]
  const { status, stderr, error } = spawnSync(toolkit().nvcc, options, {
    ...asText,
    stdio: ['ignore', 'inherit', 'pipe']
  })
  if (status !== 0) throw new Error(`nvcc failed on ${source}:\n${error?.message ?? stderr}`)
  writeFileSync(`${object}${REPORT}`, stderr)
  const others = stderr
    .split('\n')
    .filter((line) => line && !/^ptxas info|bytes stack frame|Compile time/.test(line))
  for (const line of others) console.error(line)
}

/**
 * What ptxas says of each kernel of a source, for one architecture: its name, registers, bytes spilled. It is read from the
 * folder of objects that `compile` has made, or said anew, with the code in the file `cubin`; undefined where there is no
 * nvcc.
 */
function ptxasReport(source, objects, cubin = '/dev/null') {
  if (!toolkit()) return undefined
  const stderr = objects
    ? readFileSync(join(objects, `${basename(source)}.o${REPORT}`), 'utf8')
    : saidByPtxas(source, cubin)
  // Where ptxas cannot see that a warpgroup's sums are left alone while its products run.
  const waits = stderr.split('\n').filter((line) => /\(C75\d\d\)/.test(line))
  if (waits.length > 0) throw new Error(`ptxas adds waits to products of ${source}:\n${waits.join('\n')}`)
  const properties = new RegExp(
    `Compiling entry function '(\\S+)' for 'sm_${REPORTED}'\\s+ptxas info\\s*: Function properties for \\S+\\s+` +
      '\\d+ bytes stack frame, (\\d+) bytes spill stores, (\\d+) bytes spill loads\\s+ptxas info\\s*: Used (\\d+) registers',
    'g'
  )
  return [...stderr.matchAll(properties)].map(([, symbol, stores, loads, registers]) => ({
    symbol,
    kernel: identifier(symbol),
    registers: Number(registers),
    spilled: Math.max(Number(stores), Number(loads))
  }))
}

function saidByPtxas(source, cubin) {
  const { variables } = JSON.parse(readFileSync(join(root, 'native/sources.gypi'), 'utf8'))
  const options = [...variables.cuda_flags, `-arch=sm_${REPORTED}`, '-O3', `-I${join(root, 'native')}`]
  const { status, stderr } = spawnSync(
    toolkit().nvcc,
    [...options, '-Xptxas=-v', '-cubin', source, '-o', cubin],
    asText
  )
  if (status !== 0) throw new Error(`nvcc failed on ${source}:\n${stderr}`)
  return stderr
}

/** The last name of a mangled one: _ZN6ffjord4cuda6gatherEPKf → gather. */
function identifier(symbol) {
  let rest = symbol.replace(/^_ZN?/, '')
  let last = symbol
  for (let length = /^\d+/.exec(rest); length; length = /^\d+/.exec(rest)) {
    last = rest.slice(length[0].length, length[0].length + Number(length[0]))
    rest = rest.slice(length[0].length + Number(length[0]))
  }
  return last
}

/** The release of nvcc, such as 13.0; undefined where there is none. */
function release() {
  const { nvcc } = toolkit() ?? {}
  return nvcc && /release ([\d.]+)/.exec(spawnSync(nvcc, ['--version'], asText).stdout)?.[1]
}

module.exports = { compile, identifier, libraries, ptxasReport, release, REPORTED, wantsCuda }

if (require.main === module) compile(process.argv[2], process.argv[3])
