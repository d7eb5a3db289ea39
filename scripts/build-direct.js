// Builds the addon by calling the C++ compiler, for machines that have one but neither make nor python3. As node-gyp it
// adds the flags of the variable CXXFLAGS.
const { execFile } = require('node:child_process')
const { mkdirSync, readFileSync, renameSync, rmSync } = require('node:fs')
const { availableParallelism } = require('node:os')
const { dirname, join, resolve } = require('node:path')
const { promisify } = require('node:util')
const nvcc = require('./nvcc.js')
const run = promisify(execFile)

const root = resolve(__dirname, '..')

/** Compiles with `compiler` into `output`, for a platform as Node names it; resolves to undefined, or to why it failed. */
async function build(
  compiler,
  {
    output = join(root, 'build/Release/ffjord.node'),
    platform = process.platform,
    jobs = availableParallelism()
  } = {}
) {
  const objects = join(root, 'build', `direct-${platform}-${compiler.replace(/[^\w]+/g, '-')}`)
  const [program, ...leading] = compiler.split(' ') // CXX='ccache g++'
  const { variables } = JSON.parse(readFileSync(join(root, 'native/sources.gypi'), 'utf8'))
  const withCuda = nvcc.wantsCuda()
  const sources = Object.keys(variables)
    .filter((name) => name.endsWith('_sources') && (withCuda || name !== 'cuda_sources'))
    .flatMap((name) => variables[name])
  const flags = [
    ...leading,
    ...variables.compile_flags,
    ...(withCuda ? ['-DFFJORD_CUDA'] : []),
    ...['-O3', '-fPIC', '-DNDEBUG', '-DNODE_GYP_MODULE_NAME=ffjord', '-DBUILDING_NODE_EXTENSION'],
    `-I${join(root, 'native')}`,
    `-I${require('node-api-headers').include_dir}`,
    `-I${resolve(root, require('node-addon-api').include_dir)}`,
    ...(process.env.CXXFLAGS ?? '').split(/\s+/).filter(Boolean)
  ]
  const objectOf = (source) => join(objects, `${source.replaceAll('/', '_')}.o`)

  rmSync(objects, { recursive: true, force: true })
  mkdirSync(objects, { recursive: true })
  mkdirSync(dirname(output), { recursive: true })
  try {
    const queue = sources.values()
    const compileNext = async () => {
      for (const source of queue) {
        console.log(`  ${source}`)
        if (source.endsWith('.cu')) nvcc.compile(join(root, source), objectOf(source))
        else await run(program, [...flags, '-c', source, '-o', objectOf(source)], { cwd: root })
      }
    }
    await Promise.all(Array.from({ length: jobs }, compileNext))
    const linkFlags =
      platform === 'linux'
        ? [...variables.link_flags, `-Wl,--version-script=${join(root, 'native/exports.map')}`, '-s']
        : ['-undefined', 'dynamic_lookup']
    const linked = join(objects, 'ffjord.node')
    const inputs = [...sources.map(objectOf), ...(withCuda ? nvcc.libraries() : [])]
    await run(program, [...leading, '-shared', '-o', linked, ...inputs, ...linkFlags], { cwd: root })
    renameSync(linked, output)
    rmSync(objects, { recursive: true })
  } catch (error) {
    console.error(error.stderr || error.message)
    return 'failed, see above'
  }
}

module.exports = { build }
