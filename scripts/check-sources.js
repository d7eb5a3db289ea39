// Says which C++ files are on disk but not in native/sources.gypi, and the other way round.
const { readdirSync, readFileSync } = require('node:fs')
const { join, resolve } = require('node:path')

const root = resolve(__dirname, '..')
const { variables } = JSON.parse(readFileSync(join(root, 'native/sources.gypi'), 'utf8'))
const groups = Object.keys(variables).filter((name) => name.endsWith('_sources'))

const listed = groups.flatMap((group) => variables[group])
const onDisk = readdirSync(join(root, 'native'), { recursive: true })
  .filter((path) => /\.(cc|cu)$/.test(path))
  .map((path) => `native/${path}`)

const problems = [
  ...onDisk.filter((path) => !listed.includes(path)).map((path) => `${path} is not listed`),
  ...listed
    .filter((path) => !onDisk.includes(path))
    .map((path) => `${path} is listed, but there is no such file`),
  ...listed.filter((path, i) => listed.indexOf(path) !== i).map((path) => `${path} is listed twice`),
  ...groups.flatMap((group) =>
    variables[group]
      .filter((path) => !path.startsWith(`native/${group.replace('_sources', '')}/`))
      .map((path) => `${path} does not belong into ${group}`)
  )
]
for (const problem of problems) console.error(`native/sources.gypi: ${problem}`)
if (problems.length === 0) console.log(`native/sources.gypi lists all ${listed.length} sources`)
process.exitCode = problems.length > 0 ? 1 : 0
