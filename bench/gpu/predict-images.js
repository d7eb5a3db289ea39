// node bench/gpu/predict-images.js [--objects FOLDER] [--cubins FOLDER]
// What the model of time-model.js predicts for the multiscale flow of MNIST on an H200 at 200 images: f and divergence of all
// ten CNFs once, and a training iteration of RNODE's recipe, 16 evaluations a CNF that are kept for their pullback. With its
// inputs. As predict.js does for dense nets; no card has run convolutions, so that nothing holds the model for them.
const { parseArgs } = require('node:util')
const { evaluation, MNIST, pullback, SHORT } = require('./image-launches.js')
const { countsOf, nameOf } = require('./launch-counts.js')
const { folders, machineCode } = require('./machine-code.js')
const { cyclesOf, microseconds, WAITS, wavesOf } = require('./time-model.js')

const BATCH = 200
const EVALUATIONS = 16
/** µs of a short kernel of a pullback, as rows.js has it for dense nets. */
const SHORT_KERNEL = 5

const codeOf = machineCode(parseArgs({ options: folders }).values)
const counted = new Map()
function counts(launch) {
  const name = nameOf(launch)
  if (!counted.has(name)) counted.set(name, countsOf(codeOf(launch.source), launch))
  return counted.get(name)
}
const microsecondsOf = (launch) => microseconds(cyclesOf(counts(launch), launch, true))

const total = (values) => values.reduce((sum, value) => sum + value, 0)
const row = (cells) => console.log(`| ${cells.join(' | ')} |`)

function predict() {
  const nets = MNIST.nets.map((net) => ({
    evaluation: evaluation(net, MNIST.hidden, BATCH),
    pullback: pullback(net, MNIST.hidden, BATCH)
  }))
  const forward = total(
    nets.map(
      ({ evaluation: launches }) =>
        total(launches.map(microsecondsOf)) + (launches.length + SHORT.evaluation) * WAITS.kernel
    )
  )
  const short = SHORT.pullback(MNIST.hidden.length + 1) * SHORT_KERNEL
  const backward = total(nets.map(({ pullback: launches }) => total(launches.map(microsecondsOf)) + short))
  const flops = (name) => total(nets.flatMap((net) => net[name].map((launch) => launch.flops)))
  console.log(
    'Predicted by bench/gpu/time-model.js from the machine code of these sources, for an H200 that has not run them: a'
  )
  console.log(
    `factor of two either way for dense nets, more here. MNIST's multiscale flow, 64-64-64, ${BATCH} images.\n`
  )
  row(['what', 'GFLOP', 'predicted, ms'])
  row(['---', '---', '---'])
  const cells = (name, gigaflops, us) => row([name, gigaflops.toFixed(0), (us / 1000).toFixed(1)])
  cells('f and divergence of all ten CNFs, once', flops('evaluation') / 1e9, forward)
  cells('their pullback, once', flops('pullback') / 1e9, backward)
  cells(
    `a training iteration, ${EVALUATIONS} evaluations a CNF, tape kept`,
    (EVALUATIONS * (flops('evaluation') + flops('pullback'))) / 1e9,
    EVALUATIONS * (forward + backward)
  )
  console.log('\nIts inputs, a launch of the first net of each place a line:\n')
  const names = [
    'blocks',
    'warps',
    'waves',
    'instructions',
    'once',
    'waits',
    'tensor clocks',
    'bytes a thread',
    'predicted, µs'
  ]
  row(['kernel', 'trips', ...names])
  row(Array(2 + names.length).fill('---'))
  for (const [i, { evaluation: f, pullback: back }] of nets.entries()) {
    if (i % 2 === 1) continue
    for (const launch of [...f, ...back]) {
      const { issued, once, waits, tensorClocks, bytes } = counts(launch)
      row([
        `${launch.kernel} ${launch.instance}`,
        JSON.stringify(launch.trips).replaceAll('"', ''),
        launch.grid,
        launch.warps,
        wavesOf(launch).toFixed(2),
        ...[issued, once, waits, tensorClocks, bytes].map((count) => count.toLocaleString('en')),
        microsecondsOf(launch).toFixed(1)
      ])
    }
  }
}

try {
  predict()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
