// A model of what a launch takes on an H200, from its machine code and its shape, for where there is no card: no more than
// a prediction. It is fitted to the kernels of measured.js, and holds for them and for whole solves within a factor of two
// (test/gpu-prediction.test.ts), which is all that it is good for: to see whether a change can pay before a card is at hand.
//
// A warp goes in order: an instruction waits for one before it, and each new one for the instruction cache.
//   cycles = begin + share · (fetch · once + rounds · (issued · (wait + crowd · warps a scheduler) + latency · waits))
// or what its products take on the tensor cores, or what L2 moves, where that is more.
// `issued`: instructions of a warp on the longest way through the kernel (scripts/sass.js), `once` with each loop gone
// through once; of both a warp takes `share`, as it passes by cases that it has not. `waits`: for what it loads from global
// memory. `rounds`: of blocks on a multiprocessor. Where kernels keep the tensor cores busy, nothing has been measured yet:
// their part is what the clocks of the products say, and so a floor.

/** Of the card: multiprocessors, schedulers of each, clock in MHz under load, bytes a cycle out of L2. */
const CARD = { multiprocessors: 132, schedulers: 4, megahertz: 1900, bytesACycle: 2900 }
/** Fitted by `node bench/gpu/predict.js --fit`. */
const FITTED = { begin: 1800, share: 0.55, fetch: 7.6, warm: 3.2, wait: 6, crowd: 0.28, latency: 225 }
/** µs, measured by gpu_peaks.cu on the card: a launch that is waited for, a trip of a device loop, each further kernel of
 *  it, a barrier of the grid. */
const WAITS = { launch: 8.1, trip: 4.5, kernel: 0.49, barrier: 1 }

/**
 * @param {{ issued: number, once: number, waits: number, tensorClocks: number, bytes: number }} counts of a warp, but for
 *   the bytes of a thread
 * @param {{ grid: number, warps: number, blocks: number }} shape blocks of the grid, warps of a block, blocks that a
 *   multiprocessor holds
 * @param warm whether its code has run before: Nsight Compute empties the caches for each kernel
 */
function cyclesOf(counts, { grid, warps, blocks }, warm = false, fitted = FITTED) {
  const rounds = Math.ceil(grid / (CARD.multiprocessors * blocks))
  const together = Math.min(blocks, Math.ceil(grid / CARD.multiprocessors))
  const crowd = Math.ceil((together * warps) / CARD.schedulers)
  const issuing =
    rounds * (counts.issued * (fitted.wait + fitted.crowd * crowd) + fitted.latency * counts.waits)
  const multiplying = rounds * crowd * counts.tensorClocks
  const moving = (counts.bytes * 32 * warps * grid) / CARD.bytesACycle
  const running = fitted.share * ((warm ? fitted.warm : fitted.fetch) * counts.once + issuing)
  return fitted.begin + Math.max(running, multiplying, moving)
}

const microseconds = (cycles) => cycles / CARD.megahertz

/** The waves of a launch. */
const wavesOf = ({ grid, blocks }) => grid / (CARD.multiprocessors * blocks)

module.exports = { CARD, cyclesOf, FITTED, microseconds, WAITS, wavesOf }
