// Checks that a prebuilt binary runs where we say it does: node scripts/check-binary.js FILE, with OBJDUMP one that reads it.
// It may need nothing but the C library, none newer than package.json's config.glibc, and exports only the entry
// points that Node looks for.
const { execFileSync } = require('node:child_process')
const { config } = require('../package.json')

const file = process.argv[2]
const objdump = (option) =>
  execFileSync(process.env.OBJDUMP ?? 'objdump', [option, file], { encoding: 'utf8' })
const isNewer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0

const libraries = [...objdump('-p').matchAll(/NEEDED\s+(\S+)/g)].map((match) => match[1])
const symbols = objdump('-T').split('\n')
const versions = symbols.flatMap((line) => line.match(/GLIBC_([\d.]+)/)?.[1] ?? [])
const floor = versions.reduce((a, b) => (isNewer(b, a) ? b : a), '0')
// Of local symbols, as those of sections are, nobody outside sees any.
const exported = symbols
  .filter((line) => /^[0-9a-f]+ [^l].*\s(\.text|\.data|\.bss|\.rodata)\s/.test(line))
  .map((line) => line.trim().split(/\s+/).at(-1))

const foreign = libraries.filter(
  (name) => !/^(libc|libm|libpthread|libdl|librt|ld-linux-(?:x86-64|aarch64))\.so|^libc\.musl-/.test(name)
)
const unexpected = exported.filter(
  (name) => !/^(napi_register_module_v1|node_api_module_get_api_version_v1)$/.test(name)
)
const problems = [
  ...(foreign.length > 0 ? [`needs ${foreign.join(', ')}`] : []),
  ...(isNewer(floor, config.glibc)
    ? [`needs glibc ${floor}, but package.json promises ${config.glibc}`]
    : []),
  ...(unexpected.length > 0
    ? [`exports ${unexpected.slice(0, 5).join(', ')} (${unexpected.length} in all)`]
    : [])
]
for (const problem of problems) console.error(`${file} ${problem}`)
const libc = floor === '0' ? '' : `, glibc ${floor} or newer`
if (problems.length === 0) console.log(`${file} needs only ${libraries.join(', ')}${libc}`)
process.exitCode = problems.length > 0 ? 1 : 0
