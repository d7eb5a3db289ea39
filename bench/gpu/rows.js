// The time of a row of gpu_times.cc, by its launches and the model.
const {
  evaluation,
  evaluationBefore,
  fusedPullback,
  fusedSolve,
  pullEvaluation,
  pullEvaluationBefore,
  SMALL,
  STAGES,
  START,
  verdict,
  verdictBefore,
  WIDE
} = require('./launches.js')
const { cyclesOf, FITTED, microseconds, WAITS } = require('./time-model.js')

/** µs of what an iteration launches beside its solve and pullback: rows, noise, the loss, the optimizer. As measured with the
 *  small net at 100 rows: 3,273 − 882 − 2,280. */
const REST_OF_ITERATION = 111
/** Kernels of a pulled evaluation that launches.js leaves out, and µs of one: seeds, rates, sums of slices and units. */
const SHORT_KERNELS = 9
const SHORT_KERNEL = 5
/** Kernels of an attempt that it leaves out: begin_attempts, finish_trip. */
const SHORT_IN_ATTEMPT = 2

const total = (values) => values.reduce((a, b) => a + b, 0)

/** All launches of a row, for which counts are needed; `before`: of the sources of f94dbc3. */
function launchesOf({ net, tile, batch, arithmetic }, before = false) {
  if (tile > 0)
    return { solve: [fusedSolve(tile, batch, before)], pullback: fusedPullback(tile, batch, before) }
  const { widths } = net === 'small' ? SMALL : WIDE
  return {
    evaluation: (before ? evaluationBefore : evaluation)(widths, batch, arithmetic),
    verdict: (before ? verdictBefore : verdict)(widths, batch),
    pullback: (before ? pullEvaluationBefore : pullEvaluation)(widths, batch, arithmetic)
  }
}

/**
 * @param row of measured.js
 * @param {(launch) => { issued: number, once: number, bytes: number }} countsOf
 * @param before whether the counts are of f94dbc3
 * @returns µs of an attempt and of a training iteration
 */
function timesOf(row, countsOf, before = false, fitted = FITTED) {
  const us = (launch) => microseconds(cyclesOf(countsOf(launch), launch, true, fitted))
  const sum = (launches) => total(launches.map(us))
  const { attempts } = row.net === 'small' ? SMALL : WIDE
  const launches = launchesOf(row, before)
  let solve
  let pullback
  if (row.tile > 0) {
    solve = sum(launches.solve) + (attempts + START) * WAITS.barrier + WAITS.launch
    pullback = sum(launches.pullback)
  } else {
    const evaluated = sum(launches.evaluation) + launches.evaluation.length * WAITS.kernel
    const judged =
      sum(launches.verdict) +
      launches.verdict.length * WAITS.kernel +
      SHORT_IN_ATTEMPT * SHORT_KERNEL +
      WAITS.trip
    solve = attempts * (STAGES * evaluated + judged) + START * evaluated + 2 * WAITS.launch
    pullback = attempts * STAGES * (sum(launches.pullback) + SHORT_KERNELS * SHORT_KERNEL)
  }
  return { attempt: solve / attempts, iteration: solve + pullback + REST_OF_ITERATION }
}

module.exports = { launchesOf, timesOf }
