// What a tarball weighs by platform: node scripts/check-tarball.js FILE [--some]
// Refused where a platform is missing (unless --some), or where it is so large that the binaries belong into packages of their own.
const { execFileSync } = require('node:child_process')
const { statSync } = require('node:fs')
const { platforms } = require('./prebuild.js')

const most = 30 * 2 ** 20
const [file, some] = process.argv.slice(2)
const mebibytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`
const lines = execFileSync('tar', ['-tvzf', file], { encoding: 'utf8' }).trim().split('\n')
const size = (name) =>
  Number(
    lines
      .find((line) => line.endsWith(` package/${name}`))
      ?.trim()
      .split(/\s+/)[2]
  )

const missing = []
for (const name of platforms) {
  const bytes = size(name)
  if (bytes) console.log(`${name}: ${mebibytes(bytes)}`)
  else missing.push(name)
}
const whole = statSync(file).size
console.log(
  `${file}: ${mebibytes(whole)} packed, ${lines.length} files${missing.length > 0 ? `, without ${missing.join(', ')}` : ''}`
)
if (missing.length > 0 && some !== '--some') process.exitCode = 1
if (whole > most) {
  console.error(`more than ${mebibytes(most)}: move the binaries to optional packages, one a platform`)
  process.exitCode = 1
}
