// Checks the built site: every link and anchor leads somewhere, and nothing is loaded from elsewhere.
const { existsSync, readdirSync, readFileSync, statSync } = require('node:fs')
const { join, relative, resolve } = require('node:path')

const site = resolve(__dirname, '../build/site')
const files = readdirSync(site, { recursive: true }).filter((name) => name.endsWith('.html'))
const ids = new Map(
  files.map((name) => [
    name,
    new Set([...readFileSync(join(site, name), 'utf8').matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))
  ])
)
const problems = []
let links = 0
for (const name of files) {
  const text = readFileSync(join(site, name), 'utf8')
  for (const [, attribute, value] of text.matchAll(/ (href|src)="([^"]+)"/g)) {
    if (/^(https?:|mailto:|data:)/.test(value)) {
      if (attribute === 'src') problems.push(`${name} loads ${value}`)
      continue
    }
    links++
    const [path, hash] = value.split('#')
    const file =
      path === '' ? name : relative(site, join(site, path.startsWith('/') ? path : join(name, '..', path)))
    const page = file === '' ? 'index.html' : file
    if (!existsSync(join(site, page)) || !statSync(join(site, page)).isFile())
      problems.push(`${name}: ${value} is not there`)
    else if (hash && ids.has(page) && !ids.get(page).has(decodeURIComponent(hash)))
      problems.push(`${name}: ${value} has no such heading`)
  }
  for (const [, value] of text.matchAll(/<(?:link|script)[^>]+(?:href|src)="(https?:[^"]+)"/g))
    problems.push(`${name} loads ${value}`)
}
for (const one of new Set(problems)) console.error(one)
if (problems.length === 0)
  console.log(
    `${files.length} pages, ${links} links: all lead somewhere, and nothing is loaded from elsewhere`
  )
process.exitCode = problems.length > 0 ? 1 : 0
