// The kernels of a source of native/cuda, as machine code for sm_90a.
const { existsSync, mkdirSync, readdirSync, statSync } = require('node:fs')
const { basename, join, resolve } = require('node:path')

const root = resolve(__dirname, '../..')
const { disassembler, disassembly, disassemblyOfObject } = require(join(root, 'scripts/disassemble.js'))
const { ptxasReport } = require(join(root, 'scripts/nvcc.js'))
const { kernelsOf } = require(join(root, 'scripts/sass.js'))

/**
 * @param {{ objects?: string, cubins: string }} folders of objects that scripts/nvcc.js has compiled, or of cubins, into which
 *   is compiled what is not there or older than the sources
 * @returns {(source: string) => object[]} the kernels of a source, read once
 */
function machineCode({ objects, cubins }) {
  const codes = new Map()
  const textOf = (source) => {
    const tools = disassembler()
    if (!tools) throw new Error('no nvdisasm and cuobjdump: a CUDA toolkit has them, and PyPI’s triton')
    const name = basename(source, '.cu')
    if (objects) return disassemblyOfObject(tools, join(objects, `${name}.cu.o`))
    const cubin = join(cubins, `${name}.cubin`)
    if (!existsSync(cubin) || statSync(cubin).mtimeMs < newestSource()) {
      mkdirSync(cubins, { recursive: true })
      console.error(`compiling ${source}`)
      if (!ptxasReport(join(root, 'native/cuda', source), undefined, cubin)) throw new Error('no nvcc')
    }
    return disassembly(tools, cubin)
  }
  return (source) => {
    if (!codes.has(source)) codes.set(source, kernelsOf(textOf(source)))
    return codes.get(source)
  }
}

function newestSource() {
  const folders = ['cuda', 'core'].map((folder) => join(root, 'native', folder))
  const files = folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true }).map((name) => join(folder, name))
  )
  return Math.max(...files.filter((name) => /\.(cu|h)$/.test(name)).map((name) => statSync(name).mtimeMs))
}

/** What --objects and --cubins of a command say. */
const folders = {
  objects: { type: 'string' },
  cubins: { type: 'string', default: join(root, 'build-cmake/predict') }
}

module.exports = { folders, machineCode }
