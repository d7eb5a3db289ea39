// npm run bench:gpu -- --predict: the rows of gpu_times.cc as the model of time-model.js predicts them for the sources at
// hand, beside what a card measured at commit f94dbc3, with the inputs of the prediction.
//   node bench/gpu/predict.js [--objects FOLDER] [--cubins FOLDER]
// Machine code is read from a folder of objects that scripts/nvcc.js has compiled, or compiled into one of cubins
// (build-cmake/predict), which takes minutes; what is there and no older than the sources is used again.
//   --count NAME   writes the counts of sources as those of f94dbc3 to bench/gpu/NAME.json instead
//   --fit          prints the constants of the model that come nearest to what was measured, by the counts of f94dbc3
const { readFileSync, writeFileSync } = require('node:fs')
const { join } = require('node:path')
const { parseArgs } = require('node:util')
const { counter, row, tellInputs } = require('./inputs-table.js')
const { nameOf } = require('./launch-counts.js')
const { folders, machineCode } = require('./machine-code.js')
const { COMMIT, kernels, times } = require('./measured.js')
const { launchesOf, timesOf } = require('./rows.js')
const { cyclesOf, FITTED, microseconds } = require('./time-model.js')

const { values: options } = parseArgs({
  options: { ...folders, count: { type: 'string' }, fit: { type: 'boolean' } }
})
const codeOf = machineCode(options)

const counts = counter(codeOf)

/** Counts of f94dbc3. */
const kept = () => JSON.parse(readFileSync(join(__dirname, `counts-${COMMIT}.json`), 'utf8'))

/** Whether today's sources still have a way that was measured. */
const isThere = ({ tile }) => tile !== 64
/** Of all rows; those that are measured alone too, where it is f94dbc3 that is counted. */
const everyLaunch = (before) => [
  ...(before ? kernels.map(({ launch }) => launch) : []),
  ...times
    .filter((row) => before || isThere(row))
    .flatMap((row) => Object.values(launchesOf(row, before)).flat())
]
const number = (value) => (value < 100 ? value.toFixed(1) : Math.round(value).toLocaleString('en'))
const wayOf = ({ tile, arithmetic }) =>
  tile === 0 ? `by layer, ${arithmetic}` : tile === 64 ? 'in registers' : `tiles of ${tile}`

function predict() {
  console.log(
    'Times of the CUDA engine on an H200 as **predicted** by bench/gpu/time-model.js from the machine code of these'
  )
  console.log(
    `sources, beside what was measured at ${COMMIT}. No card has run this. A prediction may be off by a factor of two.\n`
  )
  row([
    'net',
    'way',
    'batch',
    'an attempt, µs: predicted',
    'measured',
    'an iteration, µs: predicted',
    'measured'
  ])
  row(['---', '---', '---', '---', '---', '---', '---'])
  for (const measured of times) {
    const { attempt, iteration } = isThere(measured) ? timesOf(measured, counts) : {}
    const net = measured.net === 'small' ? '2-64-64-64-2' : '43-860-860-43'
    row([
      net,
      wayOf(measured),
      measured.batch.toLocaleString('en'),
      attempt ? number(attempt) : 'no longer there',
      number(measured.attempt),
      iteration ? number(iteration) : '',
      number(measured.iteration)
    ])
  }
  console.log(
    '\nIts inputs, a launch a line: instructions of a warp on the longest way with all trips, and with each loop once.\n'
  )
  const launches = new Map(everyLaunch(false).map((launch) => [`${nameOf(launch)} ${launch.grid}`, launch]))
  tellInputs(launches.values(), counts, (launch) => microseconds(cyclesOf(counts(launch), launch)))
  console.log(`\nKernels of ${COMMIT} alone, by its counts: what the model reproduces.\n`)
  row(['kernel', 'predicted, µs', 'measured, µs'])
  row(['---', '---', '---'])
  for (const { name, launch, us } of kernels)
    row([name, number(microseconds(cyclesOf(kept()[nameOf(launch)], launch))), number(us)])
}

/** The constants whose largest ratio to what was measured, either way, is least. */
function fit() {
  const countsKept = (launch) => kept()[nameOf(launch)]
  const apart = (predicted, measured) => Math.abs(Math.log(predicted / measured))
  const worst = (fitted) =>
    Math.max(
      ...kernels.map(({ launch, us }) =>
        apart(microseconds(cyclesOf(countsKept(launch), launch, false, fitted)), us)
      ),
      ...times.flatMap((measured) => {
        const { attempt, iteration } = timesOf(measured, countsKept, true, fitted)
        return [apart(attempt, measured.attempt), apart(iteration, measured.iteration)]
      })
    )
  // From constant to constant, in steps that become smaller.
  let best = { ...FITTED }
  for (let step = 0.5; step > 0.02; step /= 1.3)
    for (let round = 0; round < 20; ++round)
      for (const name of Object.keys(best))
        for (const factor of [1 - step, 1 + step]) {
          const other = { ...best, [name]: best[name] * factor }
          if (worst(other) < worst(best)) best = other
        }
  console.log(
    best,
    'largest ratio',
    Math.exp(worst(best)).toFixed(2),
    'and as they stand',
    Math.exp(worst(FITTED)).toFixed(2)
  )
}

try {
  if (options.fit) {
    fit()
  } else if (options.count) {
    const all = Object.fromEntries(everyLaunch(true).map((launch) => [nameOf(launch), counts(launch)]))
    writeFileSync(join(__dirname, `${options.count}.json`), `${JSON.stringify(all, undefined, 2)}\n`)
  } else predict()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
