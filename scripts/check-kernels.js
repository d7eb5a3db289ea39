// Checks the sources of native/cuda: node scripts/check-kernels.js [OBJECTS]
// - only device/launch.h and device/intrinsics.h know of the emulator, so that all else is the same for both;
// - where nvcc is found: kernels marked by a line `// hot` above them spill no registers, and ptxas adds no waits to
//   products by warpgroups. Prints what ptxas says, of the folder of objects that scripts/nvcc.js has compiled, or else
//   by compiling what is asked about.
const { readdirSync, readFileSync } = require('node:fs')
const { join, resolve } = require('node:path')
const { ptxasReport } = require('./nvcc.js')

const root = resolve(__dirname, '..')
const folder = join(root, 'native/cuda')
const sources = readdirSync(folder, { recursive: true }).filter((name) => /\.(cu|h)$/.test(name))
const textOf = (name) => readFileSync(join(folder, name), 'utf8')
const problems = []

for (const name of sources) {
  if (/FFJORD_EMULATED|\bemulator::/.test(textOf(name)) && !/^device\/(launch|intrinsics)\.h$/.test(name))
    problems.push(
      `native/cuda/${name} tests for the emulator; only device/launch.h and device/intrinsics.h may`
    )
}

/** Names of the kernels that a comment line `// hot` or `// hot: …` marks. */
function hotKernels(text) {
  const kernel =
    /^\/\/ hot\b[^\n]*\n(?:\/\/[^\n]*\n)*(?:template[^\n]*\n)?__global__ void(?: __launch_bounds__\([^\n]*\))?\s+(\w+)\(/gm
  return [...text.matchAll(kernel)].map((match) => match[1])
}

let checked = 0
for (const name of sources) {
  const hot = hotKernels(textOf(name))
  const marks = textOf(name).match(/^\/\/ hot\b/gm)?.length ?? 0
  if (marks !== hot.length) problems.push(`native/cuda/${name}: a mark '// hot' stands above no kernel`)
  const multiplies = textOf(name).includes('with_tile(') // ptxasReport sees waits that ptxas adds
  if ((hot.length === 0 && !multiplies) || !name.endsWith('.cu')) continue
  const report = ptxasReport(join(folder, name), process.argv[2])
  if (!report) {
    console.log('no nvcc: spills of hot kernels are not checked')
    break
  }
  for (const kernel of hot.filter((name) => !report.some((one) => one.kernel === name)))
    problems.push(`native/cuda/${name}: ptxas says nothing of the hot kernel ${kernel}`)
  for (const { kernel, registers, spilled } of report.filter(({ kernel }) => hot.includes(kernel))) {
    console.log(`${name} ${kernel}: ${registers} registers, ${spilled} bytes spilled`)
    if (spilled > 0) problems.push(`native/cuda/${name}: the hot kernel ${kernel} spills ${spilled} bytes`)
    checked++
  }
}

for (const problem of problems) console.error(problem)
if (problems.length === 0)
  console.log(`native/cuda: ${sources.length} files, ${checked} hot kernels without spills`)
process.exitCode = problems.length > 0 ? 1 : 0
