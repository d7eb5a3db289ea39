// The launches that the rows of gpu_times.cc are made of: which kernel in which shape, and how often its loops run.
//
// `trips` of a launch: tensor, float: of the innermost loops whose products are on the tensor cores, or by FFMA; around: of
// the loops around those, the innermost first; of loops that hold no product, first: of those that lie in no other, inside:
// of those that do and hold no further one, a number or one each of those that activate, split into halves, and of others,
// as a launch with one tangent does not run all of them; else 1.

/** dopri5 at these nets and tolerances (measured.js), and evaluations of an attempt and of the start. */
const SMALL = { widths: [2, 64, 64, 64, 2], attempts: 18 }
const WIDE = { widths: [43, 860, 860, 43], attempts: 15 }
const STAGES = 6
const START = 2

const tiles = (count, size) => Math.ceil(count / size)
const mean = (values) => values.reduce((a, b) => a + b) / values.length

/**
 * Tiles of native/cuda/fused for the small net with one probe: rows, blocks of a solve that a multiprocessor holds (by
 * shared memory: lay_out of fused_net.cu; the chain of f94dbc3 by its registers), and trips through a layer, the products'
 * first.
 */
const depths = SMALL.widths.slice(0, -1)
const chunks = mean(depths.map((depth) => tiles(depth, 32)))
const vectors = { float: mean(depths.map((depth) => tiles(depth, 4))), around: [1, depths.length] }
const tf32 = {
  tensor: mean(depths.map((depth) => tiles(depth, 8))) / chunks,
  around: [chunks, 1, depths.length]
}
const narrow = { instance: 'FusedTileILi1ELi2ELi2E', rows: 4, blocks: 4, trips: vectors }
const tensor16 = { instance: 'FusedTensorTileILi2ELi2E', rows: 16, blocks: 3, trips: tf32 }
const tensor32 = { instance: 'FusedTensorTileILi4ELi2E', rows: 32, blocks: 2, trips: tf32 }
const chain = {
  instance: 'FusedChainTileILi2E',
  rows: 64,
  blocks: 2,
  trips: { tensor: depths.length, around: [] }
}
/** All layers count as the longest; a tile of many rows has four parts. */
const fewRows = {
  instance: 'FusedFragmentTileILi4ELi2ELi8E',
  rows: 8,
  blocks: 4,
  trips: { tensor: depths.length, around: [] }
}
const manyRows = {
  instance: 'FusedFragmentTileILi4ELi2ELi32E',
  rows: 32,
  blocks: 2,
  trips: { tensor: 4, around: [depths.length] }
}
/** A pullback's weight gradients go through 16 rows, four at a time. */
const fragmentsBack = { ...fewRows, pullback: '_fragment', trips: { ...fewRows.trips, inside: 4 } }
/** By FFJORD_CUDA_OPTIONS' fused. */
const SOLVES = { 4: narrow, 16: fewRows, 32: manyRows }
const SOLVES_BEFORE = { 4: narrow, 16: tensor16, 32: tensor32, 64: chain }
const PULLBACKS = { 4: narrow, 16: fragmentsBack, 32: fragmentsBack }
const PULLBACKS_BEFORE = { 4: narrow, 16: tensor16, 32: tensor32, 64: tensor16 }
const MULTIPROCESSORS = 132
const FUSED_WARPS = 4

/** A fused solve: one launch, whose blocks are all there at once and take tile after tile. */
function fusedSolve(rowsOfTile, batch, before = false) {
  const { instance, rows, blocks, trips } = (before ? SOLVES_BEFORE : SOLVES)[rowsOfTile]
  const count = tiles(batch, rows)
  const grid = Math.min(count, MULTIPROCESSORS * blocks)
  const phases = SMALL.attempts + START // begin, the trial, and the attempts, each with a barrier
  const evaluations = SMALL.attempts * STAGES + START
  const around = [...trips.around, evaluations / phases, tiles(count, grid), phases, 1]
  const kind = /Chain/.test(instance) ? '_chain' : /Fragment/.test(instance) ? '_fragment' : ''
  return {
    source: `fused/fused${kind}_solve.cu`,
    kernel: `fused${kind}_solve`,
    instance,
    grid,
    warps: FUSED_WARPS,
    blocks,
    trips: { ...trips, around }
  }
}

/** Its pullback: launches of 264 blocks with at most 16 tiles each. */
function fusedPullback(rowsOfTile, batch, before = false) {
  const { instance, rows, trips, pullback = '' } = (before ? PULLBACKS_BEFORE : PULLBACKS)[rowsOfTile]
  const count = tiles(batch, rows)
  const grid = Math.min(count, 264)
  const outer = before && trips.tensor ? { float: 2 * rows } : {} // rows of a value and a tangent in the weights' products
  const of = (tilesOfBlock) => ({
    source: `fused/fused${pullback}_pullback.cu`,
    kernel: `fused${pullback}_pullback`,
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

/** The tile of a product that splits what it loads, as tiling.h chooses it, and its trips. */
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

/**
 * Products of prepared operands (native/cuda/net/octet_*.cu): what a block does with a tile of 64 rows around its products
 * goes through the rows of a thread, `inside`.
 */
const OCTET_WARPS = 8
const CHANNELS = 2 // a value and a tangent
const unitsOfTile = (units) => (units > 64 ? 128 : 64)
const takesOctets = (batch, depth, arithmetic) => arithmetic === 'fp16x3' && batch > 32 && depth >= 32
/** Blocks by shared memory: five stages of 33 KiB, or three of 25 KiB for 64 units. */
const octets = (kernel, units, arithmetic = 'WarpgroupHalf3') => ({
  kernel,
  instance: `${arithmetic}ELi${unitsOfTile(units)}E`,
  warps: OCTET_WARPS,
  blocks: unitsOfTile(units) === 64 ? 2 : 1
})
/** slices_of of octet_tile.h. */
function slicesOf(depth, units) {
  const chunksOf = tiles(depth, 64)
  const most = Math.floor(8 / tiles(units, unitsOfTile(units)))
  const slabs = 2 * tiles(chunksOf, Math.max(1, Math.min(most, tiles(chunksOf, 2))))
  return { slabs, count: tiles(tiles(depth, 32), slabs) }
}
const rowsInside = (units) => 64 / (256 / unitsOfTile(units))

function splitRows(batch, depth) {
  const grid = tiles(batch, 64) * tiles(depth, 64) * CHANNELS
  return { ...flat('net/split.cu', 'split_row_octets', '', 256 * grid, OCTET_WARPS, { first: 2 }), blocks: 8 }
}
function octetSlice(batch, depth, units, channels) {
  const { slabs, count } = slicesOf(depth, units)
  const tilesOf = tiles(batch, 64) * tiles(units, unitsOfTile(units))
  return {
    source: 'net/octet_tile.cu',
    ...octets('octet_slice', units),
    grid: tilesOf * count * tiles(channels, 2),
    trips: { tensor: slabs, around: [], first: rowsInside(units) }
  }
}
/** Products and what follows them, or the latter alone behind slices of the depth. */
function octetLayer(direction, batch, depth, units) {
  const size = unitsOfTile(units)
  const source = `net/octet_${direction}.cu`
  const grid = tiles(batch, 64) * tiles(units, size)
  const finish = {
    ...flat(source, `finish_octet_${direction}`, `ILi${size}E`, 256 * grid, OCTET_WARPS, {
      inside: rowsInside(units)
    }),
    blocks: 2
  }
  if (depth === 0) return [finish]
  if (slicesOf(depth, units).count > 1) return [octetSlice(batch, depth, units, CHANNELS), finish]
  const trips = { tensor: tiles(depth, 32), around: [1], inside: rowsInside(units) }
  return [{ source, ...octets(`octet_${direction}`, units), grid, trips }]
}
function octetOuter(batch, out, width) {
  const tilesOf = tiles(out, 128) * tiles(width, unitsOfTile(width))
  const chunksOf = CHANNELS * tiles(batch, 64)
  const slices = Math.max(1, Math.min(Math.floor(MULTIPROCESSORS / tilesOf), Math.floor(chunksOf / 4)))
  const split = (units) =>
    flat(
      'net/octet_outer.cu',
      'split_column_octets',
      'GeometryE0',
      tiles(tiles(units, unitsOfTile(units)) * unitsOfTile(units), 128) * 128 * chunksOf,
      4
    )
  return [
    split(out),
    split(width),
    {
      source: 'net/octet_outer.cu',
      ...octets('octet_outer', width),
      grid: tilesOf * slices,
      trips: { tensor: 2 * tiles(chunksOf, slices), around: [], inside: rowsInside(width) }
    }
  ]
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

/** Launches of an evaluation, layer by layer; of f94dbc3, and of today's sources. */
function evaluationBefore(widths, batch, arithmetic) {
  return [
    setGates(total(widths.slice(1))),
    ...pairs(widths).map(([width, out]) => layerForward(batch, width, out, arithmetic)),
    writeRowRates(batch, widths[0])
  ]
}
function evaluation(widths, batch, arithmetic) {
  const launches = [setGates(total(widths.slice(1)))]
  pairs(widths).forEach(([width, out], l) => {
    if (takesOctets(batch, width, arithmetic)) {
      if (l === 0 || !takesOctets(batch, widths[l - 1], arithmetic)) launches.push(splitRows(batch, width))
      launches.push(...octetLayer('forward', batch, width, out))
    } else {
      launches.push(layerForward(batch, width, out, 'float32'))
    }
  })
  return [...launches, writeRowRates(batch, widths[0])]
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

/** Launches that pull an evaluation back, but for short ones (rows.js); of f94dbc3, and of today's sources. */
function pullEvaluationBefore(widths, batch, arithmetic) {
  return pairs(widths).flatMap(([width, out], l) => [
    layerBackward(batch, widths[l + 2] ?? 0, out, arithmetic),
    outerProducts(batch, out, width, arithmetic)
  ])
}
function pullEvaluation(widths, batch, arithmetic) {
  const launches = []
  let areSplit = false // the cotangents that come from above
  for (let l = widths.length - 2; l >= 0; --l) {
    const [width, out, above = 0] = widths.slice(l)
    if (arithmetic === 'fp16x3' && batch > 32 && out > 32 && (above === 0 || above >= 32)) {
      if (above > 0 && !areSplit) launches.push(splitRows(batch, above))
      launches.push(...octetLayer('backward', batch, above, out))
      areSplit = true
    } else {
      launches.push(layerBackward(batch, above, out, 'float32'))
      areSplit = false
    }
    launches.push(
      ...(takesOctets(batch, Math.min(out, width) - 1, arithmetic)
        ? octetOuter(batch, out, width)
        : [outerProducts(batch, out, width, 'float32')])
    )
  }
  return areSplit ? [...launches, octetSlice(batch, widths[1], widths[0], 1)] : launches
}

module.exports = {
  acceptStep,
  evaluation,
  evaluationBefore,
  finishAttempt,
  fusedPullback,
  fusedSolve,
  judgeAttempts,
  layerBackward,
  layerForward,
  MULTIPROCESSORS,
  octets,
  outerProducts,
  pullEvaluation,
  pullEvaluationBefore,
  rowsInside,
  setGates,
  SMALL,
  STAGES,
  START,
  unitsOfTile,
  verdict,
  verdictBefore,
  WIDE,
  writeRowRates
}
