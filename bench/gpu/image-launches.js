// The launches of convolutional nets whose layers are 3 × 3 of stride 1 (native/cuda/net/branches.cu, layer_pass.cu): which
// kernel in which shape, as launches.js has those of dense nets. Rows are the pixels of all images, the depth is (tap, channel).

/** The ten CNFs of the multiscale flow of MNIST: channels and side of five places, two nets each, 64-64-64 within. */
const MNIST = {
  hidden: [64, 64, 64],
  nets: [
    [1, 28],
    [4, 14],
    [2, 14],
    [8, 7],
    [4, 7]
  ].flatMap((net) => [net, net])
}
const TAPS = 9
const TANGENTS = 1
/** Rows and units of a tile, depth of a chunk (native/cuda/product/tiling.h), and the most blocks of outer products. */
const [LARGE, SMALL, CHUNK] = [64, 32, 32]
const BLOCKS_OF_OUTER = 264
const MOST_SLICES = 64

const tiles = (count, size) => Math.ceil(count / size)
const OF_PIXELS = '.*GeometryE1'

/** The tile of a product of so many rows and units, and its trips. `around`: of the loops around that of the chunks. */
function tile(isLarge, depth, around = [1]) {
  const size = isLarge ? LARGE : SMALL
  const chunks = tiles(depth, CHUNK)
  const byTensors = isLarge && depth >= CHUNK
  return {
    instance:
      (byTensors ? 'TileILi64ELi64ENS0_14WarpgroupHalf3' : `TileILi${size}ELi${size}ENS0_7Float32`) +
      OF_PIXELS,
    size,
    warps: isLarge ? 8 : 2,
    byTensors,
    trips: byTensors
      ? { tensor: chunks, around, first: 1 }
      : { float: Math.min(CHUNK, depth), around: [chunks, ...around], first: 1 }
  }
}
const isLarge = (rows, units) => rows > SMALL && units > SMALL

function rowProduct(source, kernel, { rows, depth, units, channels = 1 + TANGENTS }) {
  const { size, byTensors, ...shape } = tile(isLarge(rows, units), depth)
  return {
    source,
    kernel,
    ...shape,
    grid: tiles(rows, size) * tiles(units, size),
    blocks: byTensors ? 1 : 2,
    flops: 2 * channels * rows * depth * units
  }
}

/** What launch a layer's weight gradient takes: (out, taps · in) summed over pixels and both channels, in slices of the pixels. */
function outerProducts({ rows, depth, units }) {
  const large = units > SMALL && depth > SMALL
  const size = large ? LARGE : SMALL
  const count = tiles(units, size) * tiles(depth, size)
  const slices = Math.max(1, Math.min(Math.floor(BLOCKS_OF_OUTER / count), tiles(rows, 64), MOST_SLICES))
  const rowsOfSlice = tiles(rows, slices)
  const { byTensors, size: _, ...shape } = tile(large, (1 + TANGENTS) * rowsOfSlice, [])
  return {
    source: 'net/weight_gradient.cu',
    kernel: 'outer_products',
    ...shape,
    instance: shape.instance.replace(OF_PIXELS, `.*Li1E${OF_PIXELS}`),
    grid: count * tiles(rows, rowsOfSlice),
    blocks: byTensors ? 3 : 4,
    flops: 2 * (1 + TANGENTS) * rows * depth * units
  }
}

/** One thread an entry. */
const flat = (source, kernel, threads) => ({
  source,
  kernel,
  instance: '',
  grid: tiles(threads, 256),
  warps: 8,
  blocks: 8,
  trips: {},
  flops: 0
})

/** The layers of a net on `batch` images, the first one first. */
function layersOf([channels, side], hidden, batch) {
  const widths = [channels, ...hidden, channels]
  return widths.slice(1).map((units, l) => ({ rows: batch * side * side, depth: TAPS * widths[l], units }))
}

const entries = ([channels, side], batch) => (1 + TANGENTS) * batch * channels * side * side

/** Of a net's f and divergence, but for its times and rates, which are short. */
function evaluation(net, hidden, batch) {
  const ends = (kernel) => flat('net/images.cu', kernel, entries(net, batch))
  return [
    ends('gather_images'),
    ...layersOf(net, hidden, batch).map((layer) =>
      rowProduct('net/layer_forward.cu', 'layer_forward', layer)
    ),
    ends('scatter_images')
  ]
}

/** Of what pulls it back, but for sums over pixels, slices and units, which are short. */
function pullback(net, hidden, batch) {
  const layers = layersOf(net, hidden, batch)
  const [first] = layers
  return [
    flat('net/images.cu', 'gather_images', entries(net, batch)),
    // A layer's cotangents come from the product of the layer above, transposed; the last one has none.
    ...layers.slice(1).map(({ rows, units }, l) =>
      rowProduct('net/layer_backward.cu', 'layer_backward', {
        rows,
        depth: TAPS * units,
        units: layers[l].units
      })
    ),
    ...layers.map(outerProducts),
    rowProduct('net/multiply.cu', 'multiply_rows', {
      rows: first.rows,
      depth: TAPS * first.units,
      units: first.depth / TAPS,
      channels: 1
    }),
    flat('net/images.cu', 'scatter_images', entries(net, batch) / (1 + TANGENTS))
  ]
}

/** Short kernels: an evaluation's times and rates, and its pullback's seeds, the cotangents of its output, and of each layer
 *  sums of t̄ over pixels, of two kinds for the planes of t, of slices and of units. */
const SHORT = { evaluation: 2, pullback: (layers) => 2 + 5 * layers }

module.exports = { evaluation, MNIST, pullback, SHORT }
