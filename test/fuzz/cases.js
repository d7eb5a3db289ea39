// Runs cases of one kind in a process of its own, which may end in any way: node cases.js KIND SEED FIRST FOLDER SECONDS
const { closeSync, openSync, writeSync } = require('node:fs')
const { join } = require('node:path')
const ffjord = require('../../dist')
const randomOf = require('./random.js')
const { Mine } = require('./values.js')

const [, , kind, seed, first, folder, seconds] = process.argv
const mostMegabytes = 900

/** What is found goes to the parent a line each; its process may not live long enough for anything but a synchronous write. */
const say = (message) => writeSync(1, `${JSON.stringify(message)}\n`)
let number = Number(first)
let what = ''
const found = (problem) => say({ number, what, problem: String(problem).slice(0, 600) })
process.on('unhandledRejection', (error) => {
  if (!(error instanceof Mine)) found(`unhandled rejection: ${error?.stack ?? error}`)
})
process.on('uncaughtException', (error) => found(`uncaught: ${error?.stack ?? error}`))

/** Undefined for an error as they should be: of the library with a code and a remedy, or the caller's own. */
function complaint(error) {
  if (error instanceof Mine) return undefined
  if (!(error instanceof ffjord.FfjordError))
    return `an error without a code: ${error?.stack ?? String(error)}`
  if (error.code === 'INTERNAL') return `INTERNAL: ${error.message}`
  return /[;:,].+\w/.test(error.message) ? undefined : `a message without a remedy: ${error.message}`
}

async function main() {
  const run = await require(`./${kind}.js`)(ffjord, folder)
  const place = openSync(join(folder, 'place'), 'w')
  const until = Date.now() + 1000 * Number(seconds)
  for (; Date.now() < until; number++) {
    writeSync(place, String(number).padEnd(12), 0)
    try {
      await run(randomOf(seed, kind, number), (told) => {
        what = told
      })
    } catch (error) {
      const problem = complaint(error)
      if (problem) found(problem)
    }
    const megabytes = process.memoryUsage.rss() / 2 ** 20
    if (megabytes > mostMegabytes) {
      found(`memory grew to ${megabytes.toFixed(0)} MB`)
      number++
      break
    }
  }
  // What was left running may still reject.
  await new Promise((resolve) => setTimeout(resolve, 200))
  say({ next: number })
  closeSync(place)
}

main().then(
  () => process.exit(0),
  (error) => {
    found(`the kind cannot be tried: ${error?.stack ?? error}`)
    process.exit(0)
  }
)
