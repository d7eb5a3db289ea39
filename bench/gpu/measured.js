// What was measured on an NVIDIA H200 (driver 580.159, CUDA 13.0, 2026-11-29) with the engine of commit f94dbc3: kernels alone
// by Nsight Compute 2025.3 (elapsed cycles, µs; the clock was not fixed), rows by bench/native/gpu_times.cc with 0.15 s a row.
// counts-f94dbc3.json has what warps issued there.
const {
  acceptStep,
  finishAttempt,
  fusedPullback,
  fusedSolve,
  judgeAttempts,
  layerBackward,
  layerForward,
  outerProducts,
  setGates,
  writeRowRates
} = require('./launches.js')

const COMMIT = 'f94dbc3'
const rows = 1000
const half = 'fp16x3'

/** Kernels of 43-860-860-43 at 1,000 rows with one probe, and of 2-64-64-64-2. */
const kernels = [
  { name: 'layer_forward 43 → 860', launch: layerForward(rows, 43, 860, half), cycles: 142445, us: 73.98 },
  { name: 'layer_forward 860 → 860', launch: layerForward(rows, 860, 860, half), cycles: 386792, us: 214.46 },
  { name: 'layer_forward 860 → 43', launch: layerForward(rows, 860, 43, half), cycles: 190474, us: 103.71 },
  {
    name: 'layer_backward of the output, 43',
    launch: layerBackward(rows, 0, 43, half),
    cycles: 98031,
    us: 49.54
  },
  { name: 'layer_backward 43 → 860', launch: layerBackward(rows, 43, 860, half), cycles: 184137, us: 94.3 },
  { name: 'outer_products 860 × 43', launch: outerProducts(rows, 860, 43, half), cycles: 56633, us: 31.52 },
  {
    name: 'outer_products 860 × 860',
    launch: outerProducts(rows, 860, 860, half),
    cycles: 782779,
    us: 436.74
  },
  { name: 'set_gates', launch: setGates(1763), cycles: 9425, us: 4.8 },
  { name: 'write_row_rates', launch: writeRowRates(rows, 43), cycles: 8172, us: 4.16 },
  { name: 'finish_attempt', launch: finishAttempt(rows, 44), cycles: 57493, us: 29.09 },
  { name: 'judge_attempts', launch: judgeAttempts(), cycles: 13276, us: 6.75 },
  { name: 'accept_step', launch: acceptStep(rows, 44), cycles: 8392, us: 4.26 },
  {
    name: 'fused_solve in tiles of 4, 100 rows',
    launch: fusedSolve(4, 100, true),
    cycles: 1702922,
    us: 860.13
  },
  {
    name: 'fused_pullback in tiles of 4, 100 rows',
    launch: fusedPullback(4, 100, true)[0],
    cycles: 4517931,
    us: 2280
  },
  { name: 'fused_chain_solve, 10,000 rows', launch: fusedSolve(64, 10000, true), cycles: 4638672, us: 2540 }
]

/** Rows of gpu_times: µs of an attempt and of a training iteration, by net, tile (0: by layer) and batch. */
const small = (tile, batch, attempt, iteration) => ({ net: 'small', tile, batch, attempt, iteration })
const wide = (arithmetic, attempt, iteration) => ({
  net: 'wide',
  tile: 0,
  arithmetic,
  batch: rows,
  attempt,
  iteration
})
const times = [
  small(4, 100, 49.1, 3267.3),
  small(4, 2000, 66.9, 10368.8),
  small(4, 10000, 296.1, 48290),
  small(4, 100000, 2794.5, 476735.9),
  small(16, 100, 97.8, 8445.1),
  small(16, 2000, 102, 8949.5),
  small(16, 10000, 248, 39622.7),
  small(16, 100000, 1937.9, 369669.9),
  small(32, 100, 166.5, 15745.2),
  small(32, 2000, 176.3, 17592.3),
  small(32, 10000, 363.7, 53444.6),
  small(32, 100000, 2192.2, 441627.4),
  small(64, 100, 127.8, 15122.2),
  small(64, 2000, 133.1, 16656.4),
  small(64, 10000, 147.8, 49462.1),
  small(64, 100000, 896.9, 418265.2),
  ...[
    [100, 555.1, 41445.5],
    [2000, 631.2, 50686.6],
    [10000, 840.7, 98154.8],
    [100000, 4499.3, 780323.5]
  ].map(([batch, attempt, iteration]) => ({ ...small(0, batch, attempt, iteration), arithmetic: half })),
  wide('float32', 3616.9, 197475.9),
  wide(half, 2181.7, 121068.2)
]

module.exports = { COMMIT, kernels, times }
