// The launches of convolutional nets whose layers are 3 × 3 of stride 1 (native/cuda/net/branches.cu, layer_pass.cu, layer_pullback.cu): which
// kernel in which shape, as launches.js has those of dense nets. Wide layers multiply over taps and channels, of few units
// taps are units, and of few channels the products are in float32 (native/cuda/net/octet_way.cu).
const { MULTIPROCESSORS, octets, rowsInside, unitsOfTile } = require('./launches.js')

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
const CHANNELS = 1 + TANGENTS
/** kMostTapUnits; lines of a tile; depth of a slab, and of what shares a scale. */
const [FEW, LINES, SLAB, CHUNK] = [16, 64, 32, 64]
const WARPS = 8
/** Of taps, of which a block has two. */
const PAIRS = 5

const tiles = (count, size) => Math.ceil(count / size)
const products = (rows, depth, units, channels = CHANNELS) => 2 * channels * rows * depth * units

/** Tiles of an image's lines (row_lines.h). */
const lineTiles = ({ side, batch }) => tiles(side + 2 + batch * (side + 1) ** 2, LINES)

/** One thread an entry. */
const flat = (source, kernel, threads, instance = '') => ({
  source,
  kernel,
  instance,
  grid: tiles(threads, 256),
  warps: WARPS,
  blocks: 8,
  trips: {},
  flops: 0
})

/** The product of a layer and what follows it, `direction` forward or backward. */
function octetLayer(direction, { rows, depth, units, ...image }) {
  const grid = lineTiles(image) * tiles(units, unitsOfTile(units))
  const source = `net/octet_${direction}.cu`
  const flops = products(rows, TAPS * depth, units)
  // Forward a trip has two rows; octets of both channels are split eight lanes a line.
  const forward = direction === 'forward'
  const rowsOfTile = rowsInside(depth <= FEW ? 64 : units)
  const inside = {
    activating: forward ? rowsOfTile / 2 : rowsOfTile,
    splitting: rowsOfTile / 4,
    other: 0
  }
  if (depth <= FEW)
    return [
      {
        source,
        kernel: `few_channels_${direction}`,
        instance: '',
        grid: lineTiles(image) * tiles(units, 64),
        warps: WARPS,
        blocks: 3, // by shared memory of 76 KiB, or by registers
        trips: { float: 3, around: [depth, CHANNELS, 1], inside: { ...inside, other: depth } },
        flops
      }
    ]
  if (units <= FEW)
    return [
      tapUnits({ rows, depth, units, ...image }, CHANNELS),
      {
        ...flat(source, `finish_octet_${direction}`, 0, `ILi${FEW}E`),
        grid: lineTiles(image),
        trips: { inside: (LINES * FEW) / 256 }
      }
    ]
  const trips = { tensor: TAPS * tiles(depth, SLAB), around: [1], inside }
  return [{ source, ...octets(`octet_${direction}`, units), grid, trips, flops }]
}

/** A product whose taps are units. */
function tapUnits({ rows, depth, units, ...image }, channels) {
  const all = TAPS * units
  return {
    source: 'net/octet_tile.cu',
    ...octets('octet_slice', all),
    grid: lineTiles(image) * tiles(all, unitsOfTile(all)) * tiles(channels, 2),
    trips: { tensor: tiles(depth, SLAB), around: [], first: rowsInside(all) },
    flops: products(rows, depth, all, channels)
  }
}

/** The weight gradient of a layer: both operands split along the pixels, and their product (octet_outer.cu, tap_outer.cu). */
function weightGradient({ rows, depth, units, ...image }) {
  const flops = products(rows, TAPS * depth, units)
  if (depth > FEW && units > FEW) return tapOuter({ depth, units, flops, ...image })
  const few = Math.min(depth, units)
  const [wide, atTaps] = [Math.max(depth, units), TAPS * few]
  const chunks = CHANNELS * tiles(rows, CHUNK)
  const count = tiles(wide, 128) * tiles(atTaps, unitsOfTile(atTaps))
  const slices = Math.max(1, Math.min(Math.floor(MULTIPROCESSORS / count), Math.floor(chunks / 4)))
  const split = (padded, geometry) => ({
    ...flat('net/octet_outer.cu', 'split_column_octets', 0, `GeometryE${geometry}`),
    grid: tiles(padded, 128) * chunks,
    warps: 4,
    blocks: 4
  })
  return [
    split(tiles(wide, 64) * 64, 0),
    split(tiles(atTaps, unitsOfTile(atTaps)) * unitsOfTile(atTaps), 1),
    {
      source: 'net/octet_outer.cu',
      ...octets('octet_outer', atTaps),
      grid: count * slices,
      trips: { tensor: 2 * tiles(chunks, slices), around: [], first: rowsInside(atTaps) },
      flops
    }
  ]
}
function tapOuter({ depth, units, flops, side, batch }) {
  const images = CHANNELS * batch
  const octetsOfImage = tiles((side + 1) * tiles(side + 1, 8), 8) * 8
  const chunks = (images * octetsOfImage) / 8
  const count = PAIRS * tiles(depth, 64) * tiles(units, unitsOfTile(units))
  const slices = Math.max(1, Math.min(Math.floor(264 / count), Math.floor(chunks / 4)))
  const split = (channels, copies) => ({
    ...flat('net/tap_outer.cu', 'split_pixel_octets', 0, `ILi${copies}E`),
    grid: images * tiles(channels, 64),
    trips: { first: octetsOfImage / 4 }
  })
  return [
    split(depth, 3),
    split(units, 1),
    {
      source: 'net/tap_outer.cu',
      ...octets('tap_outer', units),
      grid: count * slices,
      trips: { tensor: 2 * tiles(chunks, slices), around: [], first: rowsInside(units) },
      flops
    }
  ]
}

/** The layers of a net on `batch` images, the first one first. */
function layersOf([channels, side], hidden, batch) {
  const widths = [channels, ...hidden, channels]
  return widths
    .slice(1)
    .map((units, l) => ({ rows: batch * side * side, depth: widths[l], units, side, batch }))
}

const entries = ([channels, side], batch) => CHANNELS * batch * channels * side * side

/** Of a net's f and divergence, but for its times and rates, which are short. */
function evaluation(net, hidden, batch) {
  const ends = (kernel) => flat('net/images.cu', kernel, entries(net, batch))
  return [
    ends('gather_images'),
    ...layersOf(net, hidden, batch).flatMap((layer) => octetLayer('forward', layer)),
    ends('scatter_images')
  ]
}

/** Of what pulls it back, but for sums over pixels, slices and units, which are short. */
function pullback(net, hidden, batch) {
  const layers = layersOf(net, hidden, batch)
  const [first, last] = [layers[0], layers.at(-1)]
  return [
    flat('net/images.cu', 'gather_images', entries(net, batch)),
    // The cotangents of the last layer are there; those of each other come from the layer above, transposed.
    {
      source: 'net/layer_backward.cu',
      kernel: 'layer_backward',
      instance: 'TileILi32ELi32ENS0_7Float32.*GeometryE1',
      grid: tiles(last.rows, 32) * tiles(last.units, 32),
      warps: 2,
      blocks: 2,
      trips: { float: 0, around: [0, 0] },
      flops: 0
    },
    ...layers
      .slice(1)
      .flatMap((above, l) =>
        octetLayer('backward', { ...above, depth: above.units, units: layers[l].units })
      ),
    ...layers.flatMap(weightGradient),
    tapUnits({ ...first, depth: first.units, units: first.depth }, 1),
    flat('net/octet_tile.cu', 'add_octet_slices', entries(net, batch) / CHANNELS),
    flat('net/images.cu', 'scatter_images', entries(net, batch) / CHANNELS)
  ]
}

/** Short kernels: an evaluation's times and rates, and its pullback's seeds, the cotangents of its output, and of each layer
 *  sums of t̄ over pixels, of two kinds for the planes of t, of slices and of units. */
const SHORT = { evaluation: 2, pullback: (layers) => 2 + 5 * layers }

module.exports = { evaluation, MNIST, pullback, SHORT }
