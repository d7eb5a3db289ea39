// The launches that the rows of gpu_times.cc are made of: which kernel in which shape, and how often its loops run.
//
// `trips` of a launch: tensor, float: of the innermost loops whose products are on the tensor cores, or by FFMA; around: of
// the loops around those, the innermost first; first: of loops that hold no product and lie in no other; else 1.

/** dopri5 at these nets and tolerances (measured.js), and evaluations of an attempt and of the start. */
const SMALL = { widths: [2, 64, 64, 64, 2], attempts: 18 }
const WIDE = { widths: [43, 860, 860, 43], attempts: 15 }
const STAGES = 6
const START = 2

const tiles = (count, size) => Math.ceil(count / size)
const mean = (values) => values.reduce((a, b) => a + b) / values.length

/**
 * Tiles of native/cuda/fused for the small net with one probe: rows, blocks of a solve and of a pullback that a
 * multiprocessor holds (by shared memory: lay_out of fused_net.cu gives 49, 72, 92 and 57 KB for a solve, 120, 168 and 206
 * for a pullback; the chain by its registers), and trips through a layer, the products' first.
 */
const depths = SMALL.widths.slice(0, -1)
const chunks = mean(depths.map((depth) => tiles(depth, 32)))
const vectors = { float: mean(depths.map((depth) => tiles(depth, 4))), around: [1, depths.length] }
const fragments = {
  tensor: mean(depths.map((depth) => tiles(depth, 8))) / chunks,
  around: [chunks, 1, depths.length]
}
const SHAPES = {
  4: { instance: 'FusedTileILi1ELi2ELi2E', rows: 4, blocks: 4, trips: vectors },
  16: { instance: 'FusedTensorTileILi2ELi2E', rows: 16, blocks: 3, trips: fragments },
  32: { instance: 'FusedTensorTileILi4ELi2E', rows: 32, blocks: 2, trips: fragments },
  64: { instance: 'FusedChainTileILi2E', rows: 64, blocks: 2, trips: { tensor: depths.length, around: [] } }
}
const MULTIPROCESSORS = 132
const FUSED_WARPS = 4

/** A fused solve: one launch, whose blocks are all there at once and take tile after tile. */
function fusedSolve(rowsOfTile, batch) {
  const { instance, rows, blocks, trips } = SHAPES[rowsOfTile]
  const count = tiles(batch, rows)
  const grid = Math.min(count, MULTIPROCESSORS * blocks)
  const phases = SMALL.attempts + START // begin, the trial, and the attempts, each with a barrier
  const evaluations = SMALL.attempts * STAGES + START
  const around = [...trips.around, evaluations / phases, tiles(count, grid), phases, 1]
  const chain = rowsOfTile === 64
  return {
    source: chain ? 'fused/fused_chain_solve.cu' : 'fused/fused_solve.cu',
    kernel: chain ? 'fused_chain_solve' : 'fused_solve',
    instance,
    grid,
    warps: FUSED_WARPS,
    blocks,
    trips: { ...trips, around }
  }
}

/** Its pullback: launches of 264 blocks with at most 16 tiles each; a chain has that of tiles of 16. */
function fusedPullback(rowsOfTile, batch) {
  const { instance, rows, trips } = SHAPES[rowsOfTile === 64 ? 16 : rowsOfTile]
  const count = tiles(batch, rows)
  const grid = Math.min(count, 264)
  const outer = trips.tensor ? { float: 2 * rows } : {} // rows of a value and a tangent in the weights' products
  const of = (tilesOfBlock) => ({
    source: 'fused/fused_pullback.cu',
    kernel: 'fused_pullback',
    instance,
    grid,
    warps: FUSED_WARPS,
    blocks: 1,
    trips: { ...trips, ...outer, around: [...trips.around, STAGES, SMALL.attempts, tilesOfBlock] }
  })
  const launches = []
  for (let left = tiles(count, grid); left > 0; left -= 16) launches.push(of(Math.min(left, 16)))
  return launches
}

/** The tile of a product as tiling.h chooses it, and its trips. */
function product(rows, units, depth, arithmetic) {
  const large = rows > 32 && units > 32
  const half = large && depth >= 32 && arithmetic === 'fp16x3'
  const size = large ? 64 : 32
  const chunksOf = tiles(depth, 32)
  return {
    instance: half ? 'TileILi64ELi64ENS0_14WarpgroupHalf3' : `TileILi${size}ELi${size}ENS0_7Float32`,
    size,
    half,
    trips: half ? { tensor: chunksOf, around: [1] } : { float: Math.min(32, depth), around: [chunksOf, 1] }
  }
}
/** Of rows: not of the pixels of images. */
const ofRows = '(?!.*GeometryE1)'

function layerForward(batch, depth, units, arithmetic) {
  const { instance, size, half, trips } = product(batch, units, depth, arithmetic)
  return {
    source: 'net/layer_forward.cu',
    kernel: 'layer_forward',
    instance: `${instance}${ofRows}`,
    grid: tiles(batch, size) * tiles(units, size),
    warps: size === 64 ? 8 : 2,
    blocks: half ? 1 : 2,
    trips
  }
}

/** z̄ of a layer of so many units, from one above it of `depth`; 0: the output's. */
function layerBackward(batch, depth, units, arithmetic) {
  const { instance, size, half, trips } = product(batch, units, depth, arithmetic)
  return {
    source: 'net/layer_backward.cu',
    kernel: 'layer_backward',
    instance: `${instance}${ofRows}`,
    grid: tiles(batch, size) * tiles(units, size),
    warps: size === 64 ? 8 : 2,
    blocks: half ? 1 : 1,
    trips: { ...trips, ...(depth === 0 ? { float: 0, around: [0, 0] } : {}) }
  }
}

function outerProducts(batch, out, width, arithmetic) {
  const size = out > 32 && width > 32 ? 64 : 32
  const tilesOf = tiles(out, size) * tiles(width, size)
  const slices = Math.max(1, Math.min(Math.floor(264 / tilesOf), tiles(batch, 64), 64))
  const sliceRows = tiles(batch, slices)
  const { instance, half, trips } = product(
    size === 64 ? 64 : 32,
    size === 64 ? 64 : 32,
    2 * sliceRows,
    arithmetic
  )
  return {
    source: 'net/weight_gradient.cu',
    kernel: 'outer_products',
    instance: `${instance}.*Li1E${ofRows}`,
    grid: tilesOf * tiles(batch, sliceRows),
    warps: size === 64 ? 8 : 2,
    blocks: half ? 3 : 4,
    trips: half ? { tensor: trips.tensor, around: [] } : trips
  }
}

const flat = (source, kernel, instance, threads, warps, trips = {}) => ({
  source,
  kernel,
  instance,
  grid: tiles(threads, 32 * warps),
  warps,
  blocks: 16,
  trips
})

const setGates = (units) => flat('net/net_time.cu', 'set_gates', '', units, 4)
/** Lanes of a row: 1, 8 or 32 (row_lanes.h). */
function writeRowRates(batch, dimension) {
  const lanes = dimension <= 4 ? 1 : dimension <= 32 ? 8 : 32
  return flat('net/field.cu', 'write_row_rates', `ILi${lanes}E`, batch * lanes, 4)
}
const finishAttempt = (batch, channels) =>
  flat('step/step_rows.cu', 'finish_attempt', '', 4 * batch, 4, { first: tiles(channels, 4) })
const judgeAttempts = () => flat('step/control.cu', 'judge_attempts', '', 128, 4)
const acceptStep = (batch, channels) =>
  flat('step/step_rows.cu', 'accept_step', '', batch * channels, 4, { first: 0 })

const pairs = (widths) => widths.slice(1).map((out, l) => [widths[l], out])
const total = (values) => values.reduce((a, b) => a + b, 0)

/** Launches of an evaluation, layer by layer. */
function evaluation(widths, batch, arithmetic) {
  return [
    setGates(total(widths.slice(1))),
    ...pairs(widths).map(([width, out]) => layerForward(batch, width, out, arithmetic)),
    writeRowRates(batch, widths[0])
  ]
}

/** Launches that end an attempt: of f94dbc3 three, of today's sources one. A state is z and Δlogp. */
function verdictBefore(widths, batch) {
  return [finishAttempt(batch, widths[0] + 1), judgeAttempts(), acceptStep(batch, widths[0] + 1)]
}
function verdict(widths, batch) {
  const channels = widths[0] + 1
  const blocks = 2
  const count = tiles(batch, 8)
  const grid = Math.min(count, MULTIPROCESSORS * blocks)
  return [
    {
      source: 'step/conclude.cu',
      kernel: 'conclude_attempts',
      instance: `ILi${channels % 4 === 0 ? 4 : 1}ELb1E`,
      grid,
      warps: 8,
      blocks,
      trips: { first: tiles(count, grid) }
    }
  ]
}

/** Launches that pull an evaluation back, but for short ones (OTHERS of predict.js). */
function pullEvaluation(widths, batch, arithmetic) {
  return pairs(widths).flatMap(([width, out], l) => [
    layerBackward(batch, widths[l + 2] ?? 0, out, arithmetic),
    outerProducts(batch, out, width, arithmetic)
  ])
}

module.exports = {
  acceptStep,
  evaluation,
  finishAttempt,
  fusedPullback,
  fusedSolve,
  judgeAttempts,
  layerBackward,
  layerForward,
  outerProducts,
  pullEvaluation,
  setGates,
  SMALL,
  STAGES,
  START,
  verdict,
  verdictBefore,
  WIDE,
  writeRowRates
}
