// node bench/gpu/predict-images.js [--objects FOLDER] [--cubins FOLDER]
// What the model of time-model.js predicts for the multiscale flow of MNIST on an H200 at 200 images: f and divergence of all
// ten CNFs once, and a training iteration of RNODE's recipe, 16 evaluations a CNF that are kept for their pullback. With its
// inputs. As predict.js does for dense nets; no card has run convolutions, so that nothing holds the model for them.
const { parseArgs } = require('node:util')
const { evaluation, MNIST, pullback, SHORT } = require('./image-launches.js')
const { counter, row, tellInputs } = require('./inputs-table.js')
const { folders, machineCode } = require('./machine-code.js')
const { cyclesOf, microseconds, WAITS } = require('./time-model.js')

const BATCH = 200
const EVALUATIONS = 16
/** µs of a short kernel of a pullback, as rows.js has it for dense nets. */
const SHORT_KERNEL = 5

const counts = counter(machineCode(parseArgs({ options: folders }).values))
const microsecondsOf = (launch) => microseconds(cyclesOf(counts(launch), launch, true))

const total = (values) => values.reduce((sum, value) => sum + value, 0)

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
  tellInputs(
    nets.filter((_, i) => i % 2 === 0).flatMap(({ evaluation: f, pullback: back }) => [...f, ...back]),
    counts,
    microsecondsOf
  )
}

try {
  predict()
} catch (error) {
  console.error(error.message)
  process.exitCode = 1
}
