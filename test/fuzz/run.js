// Hostile arguments, model files and tables, against the built package:
//   node test/fuzz/run.js [--seconds 120] [--seed N] [--kinds calls,models,tables] [--first CASE]
// Prints its seed, then what it found: signals, hangs, memory out of proportion, errors without a code, unhandled
// rejections, and corrupt data that were accepted. Exits with 0 where there is nothing of it.
const { spawn } = require('node:child_process')
const { mkdtempSync, readFileSync, rmSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')
const { parseArgs } = require('node:util')

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
    kinds: { type: 'string', default: 'calls,models,tables' },
    first: { type: 'string', default: '0' }
  }
})
/** A case that takes longer hangs; it is long because other processes may take the cores. */
const hangSeconds = 60
/** A kind with so many is told by these. */
const mostFindings = 40

async function fuzz(kind, seconds) {
  const folder = mkdtempSync(join(tmpdir(), 'ffjord-fuzz-'))
  const findings = []
  const until = Date.now() + 1000 * seconds
  let first = Number(values.first)
  try {
    while (Date.now() < until && findings.length < mostFindings) {
      const left = String(Math.ceil((until - Date.now()) / 1000))
      const { messages, end } = await child([kind, values.seed, String(first), folder, left], folder)
      const at = placeIn(folder)
      findings.push(...messages.filter(({ problem }) => problem))
      if (end) findings.push({ number: at, problem: end })
      const next = messages.find(({ next }) => next !== undefined)?.next
      first = next ?? at + 1
      if (next === undefined && !end) break
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
  return { tried: first - Number(values.first), findings }
}

function placeIn(folder) {
  try {
    return Number(readFileSync(join(folder, 'place'), 'utf8'))
  } catch {
    return 0
  }
}

/** Resolves to what the process said, and to how it ended where that is a finding. */
function child(args, folder) {
  return new Promise((resolve) => {
    // Whatever a case writes under a name without a folder goes there.
    const options = { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] }
    const child = spawn(
      process.execPath,
      ['--max-old-space-size=1024', join(__dirname, 'cases.js'), ...args],
      options
    )
    let said = ''
    let complained = ''
    child.stdout.on('data', (data) => {
      said += data
    })
    child.stderr.on('data', (data) => {
      complained = (complained + data).slice(-1500)
    })
    let hangs = false
    let last = { place: -1, since: Date.now() }
    const watch = setInterval(() => {
      const place = placeIn(folder)
      if (place !== last.place) last = { place, since: Date.now() }
      else if (Date.now() - last.since > 1000 * hangSeconds) {
        hangs = true
        child.kill('SIGKILL')
      }
    }, 500)
    child.on('close', (code, signal) => {
      clearInterval(watch)
      const messages = said
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line))
      const end = hangs
        ? `hangs for ${hangSeconds} s`
        : code === 0
          ? undefined
          : `the process ended with ${signal ?? `code ${code}`}: ${complained}`
      resolve({ messages, end })
    })
  })
}

async function main() {
  console.log(`seed ${values.seed}`)
  const kinds = values.kinds.split(',')
  let count = 0
  for (const kind of kinds) {
    const { tried, findings } = await fuzz(kind, Number(values.seconds) / kinds.length)
    console.log(`${kind}: ${tried} tried, ${findings.length} findings`)
    for (const { number, what = '', problem } of findings)
      console.log(
        `  --kinds ${kind} --seed ${values.seed} --first ${number}  (${what})\n    ${problem.replaceAll('\n', '\n    ')}`
      )
    count += findings.length
    if (tried === 0) count++
  }
  process.exit(count > 0 ? 1 : 0)
}

main()
