// The machine code of a source of the CUDA engine, as `nvdisasm -c` prints it. The tools come with a CUDA toolkit, and in
// the wheel of the Python package triton.
const { spawnSync } = require('node:child_process')
const { existsSync, mkdtempSync, readdirSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { basename, delimiter, dirname, join, resolve } = require('node:path')
const { REPORTED } = require('./nvcc.js')

const asText = { encoding: 'utf8', maxBuffer: 2 ** 30 }

/** The folders that may hold the tools, in the order in which they are asked. */
function folders() {
  const ofTriton = "import importlib.util as u; s = u.find_spec('triton'); print(s.origin if s else '')"
  const triton = spawnSync('python3', ['-c', ofTriton], asText).stdout?.trim()
  return [
    ...(process.env.PATH ?? '').split(delimiter),
    join(process.env.CUDA_HOME ?? '/usr/local/cuda', 'bin'),
    ...(triton ? [join(dirname(triton), 'backends/nvidia/bin')] : [])
  ]
}

/** Where nvdisasm and cuobjdump are; undefined where one of them is missing. */
function disassembler() {
  const all = folders()
  const find = (name) => all.map((folder) => join(folder, name)).find((file) => existsSync(file))
  const [nvdisasm, cuobjdump] = ['nvdisasm', 'cuobjdump'].map(find)
  return nvdisasm && cuobjdump ? { nvdisasm, cuobjdump } : undefined
}

function run(tool, options, cwd) {
  const { status, stdout, stderr } = spawnSync(tool, options, { ...asText, cwd })
  if (status !== 0) throw new Error(`${basename(tool)} ${options.join(' ')} failed:\n${stderr}`)
  return stdout
}

/** The code of a cubin. */
function disassembly({ nvdisasm }, cubin) {
  return run(nvdisasm, ['-c', cubin])
}

/** The code in an object for the architecture whose registers count. */
function disassemblyOfObject(tools, object) {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-cubins-'))
  try {
    run(tools.cuobjdump, ['-xelf', `sm_${REPORTED}`, resolve(object)], folder)
    return readdirSync(folder)
      .map((name) => disassembly(tools, join(folder, name)))
      .join('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

module.exports = { disassembler, disassembly, disassemblyOfObject }
