// Checks the sources of native/cuda: node scripts/check-kernels.js [OBJECTS]
// - only device/launch.h and device/intrinsics.h know of the emulator, so that all else is the same for both;
// - where nvcc is found: kernels marked by a line `// hot` above them spill no registers, and ptxas adds no waits to
//   products by warpgroups;
// - where nvdisasm and cuobjdump are found too: kernels keep to scripts/kernel-limits.js, which has a row for each hot one.
// Reads the folder of objects that scripts/nvcc.js has compiled, or else compiles what is asked about. --only SOURCE, such
// as net/layer_forward.cu, asks about one.
const { mkdtempSync, readdirSync, readFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { basename, join, resolve } = require('node:path')
const { parseArgs } = require('node:util')
const { disassembler, disassembly, disassemblyOfObject } = require('./disassemble.js')
const { countsOf, judge, kernelsOf } = require('./kernel-counts.js')
const limits = require('./kernel-limits.js')
const { identifier, ptxasReport, release } = require('./nvcc.js')

const root = resolve(__dirname, '..')
const folder = join(root, 'native/cuda')
const { values: options, positionals } = parseArgs({
  options: { only: { type: 'string', multiple: true } },
  allowPositionals: true
})
const objects = positionals[0]
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

/** Why counts are not held against limits; undefined where they are. */
function reasonAgainstCounting() {
  if (!disassembler()) return 'no nvdisasm and cuobjdump, which come with a CUDA toolkit and in PyPI’s triton'
  if (release() !== limits.release) return `counts are of nvcc ${limits.release}, and here is ${release()}`
}

/** The text of a source's machine code, by the tools found. */
function codeOf(name, cubin) {
  const tools = disassembler()
  return objects
    ? disassemblyOfObject(tools, join(objects, `${basename(name)}.o`))
    : disassembly(tools, cubin)
}

const shown = ({ blocks, registers, ...counts }) =>
  [
    `${registers} registers`,
    `${blocks} blocks`,
    ...Object.entries(counts).map(([key, n]) => `${key} ${n}`)
  ].join(', ')

/** Holds a source's kernels against the table. */
function holdAgainstLimits(name, report, cubin) {
  const code = kernelsOf(codeOf(name, cubin))
  for (const row of limits.kernels.filter(({ source }) => source === name)) {
    const instances = code.filter(
      ({ symbol }) => identifier(symbol) === row.kernel && row.instances.test(symbol)
    )
    const counts = instances.map((instance) => {
      const reported = report.find(({ symbol }) => symbol === instance.symbol)
      const found = countsOf(instance, reported, row)
      console.log(`${instance.symbol.slice(instance.symbol.indexOf(row.kernel))}: ${shown(found)}`)
      return found
    })
    const { problems: wrong, exceptions } = judge(row, counts)
    problems.push(...wrong.map((text) => `native/cuda/${name}: ${text}`))
    for (const text of exceptions) console.log(text)
    counted += instances.length
  }
}

let checked = 0
let counted = 0
const scratch = mkdtempSync(join(tmpdir(), 'ffjord-kernels-'))
const uncounted = release() ? reasonAgainstCounting() : undefined
for (const name of sources) {
  const hot = hotKernels(textOf(name))
  const marks = textOf(name).match(/^\/\/ hot\b/gm)?.length ?? 0
  if (marks !== hot.length) problems.push(`native/cuda/${name}: a mark '// hot' stands above no kernel`)
  const limited = limits.kernels.filter(({ source }) => source === name).map(({ kernel }) => kernel)
  for (const kernel of hot.filter((one) => !limited.includes(one)))
    problems.push(`native/cuda/${name}: scripts/kernel-limits.js has no row for the hot kernel ${kernel}`)
  const multiplies = textOf(name).includes('with_tile(') // ptxasReport sees waits that ptxas adds
  if ((hot.length === 0 && limited.length === 0 && !multiplies) || !name.endsWith('.cu')) continue
  if (options.only && !options.only.includes(name)) continue
  const cubin = join(scratch, 'code.cubin')
  const report = ptxasReport(join(folder, name), objects, cubin)
  if (!report) {
    console.log('no nvcc: neither spills of hot kernels nor limits are checked')
    break
  }
  for (const kernel of hot.filter((name) => !report.some((one) => one.kernel === name)))
    problems.push(`native/cuda/${name}: ptxas says nothing of the hot kernel ${kernel}`)
  for (const { kernel, registers, spilled } of report.filter(({ kernel }) => hot.includes(kernel))) {
    if (uncounted) console.log(`${name} ${kernel}: ${registers} registers, ${spilled} bytes spilled`)
    if (spilled > 0) problems.push(`native/cuda/${name}: the hot kernel ${kernel} spills ${spilled} bytes`)
    checked++
  }
  if (!uncounted && limited.length > 0) holdAgainstLimits(name, report, cubin)
}
rmSync(scratch, { recursive: true })
for (const { source } of limits.kernels)
  if (!sources.includes(source))
    problems.push(`scripts/kernel-limits.js names native/cuda/${source}, which is not there`)

if (uncounted) console.log(`limits of kernels are not checked: ${uncounted}`)
for (const problem of new Set(problems)) console.error(problem)
if (problems.length === 0)
  console.log(
    `native/cuda: ${sources.length} files, ${checked} hot kernels without spills, ${counted} within limits`
  )
process.exitCode = problems.length > 0 ? 1 : 0
