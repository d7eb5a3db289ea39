// How much the kernels that take a solve's time may issue, and how large they may be. A row names instances of a kernel by
// what their mangled names hold; the worst of them counts. A count above a limit fails scripts/check-kernels.js, unless the
// row has an exception that says what was counted, and since when: that may shrink, but not grow, and goes when no longer
// needed.
//
//   issueShare   instructions of a warp in the loop of the tensor-core products, over the clocks that these take there
//   conversions, divisions, predicates   in that loop, a warp
//   layer, meanLayer   instructions of a warp for a layer of 64 → 64, and in the mean of the layers of 2-64-64-64-2
//   codeKiB      of an instance
//   spilled      bytes
//   blocks       a multiprocessor holds at least, as far as registers and threads go

const every = { codeKiB: 64, spilled: 0 }
/** Products of wide nets: a few predicates end the loop and its waits, and none belongs to an entry. */
const wide = { ...every, issueShare: 0.6, conversions: 0, divisions: 0, predicates: 8 }
const small = { ...every, layer: 180, meanLayer: 130 }

const since = '2026-11-30'
const splits = 'each tile loads its operands entry by entry, with bounds, and splits them anew'
const general = 'one kernel serves every activation, kind of layer and way of stepping'
const chunkScales =
  'both operands of a sum over rows have scales for each chunk, which are undone entry by entry'
const halfTiles = 'a tile of 64 units has half the products for the same copies and waits'
const fragments = 'warps load fragments of both operands themselves'
const taps = 'where a tap ends, copies of A begin anew'
const withTaps = '2026-12-01'
const wholeRows =
  'a warp goes through the whole depth of its rows, loads weights from shared memory and knows no width'
const rationalTanh =
  'a tanh that keeps its digits near 0 takes 14 instructions, splitting by rows and steps 75, and one kernel serves every activation'

const halves = { threads: 256, products: 'tensor', limits: wide }
const floats = { threads: 256, products: 'float32', limits: every }
const fused = { threads: 128, limits: every }
/** Ways through a layer of the tiles of native/cuda/fused: stripes of 64 units, vectors of the depth. */
const vectors = (depth) => [1, Math.ceil(depth / 4)]

module.exports = {
  /** Of nvcc, by which exceptions were counted. */
  release: '13.0',
  kernels: [
    {
      source: 'net/layer_forward.cu',
      kernel: 'layer_forward',
      instances: /WarpgroupHalf3/,
      ...halves,
      blocks: 1,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 208, issueShare: 8.66, conversions: 48, predicates: 87 }
      }
    },
    {
      source: 'net/layer_forward.cu',
      kernel: 'layer_forward',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 210, issueShare: 8.46, conversions: 48, predicates: 90 }
      }
    },
    {
      source: 'net/layer_forward.cu',
      kernel: 'layer_forward',
      instances: /Float32/,
      ...floats,
      blocks: 2,
      exception: { since, why: general, counted: { codeKiB: 176 } }
    },
    {
      source: 'net/layer_backward.cu',
      kernel: 'layer_backward',
      instances: /WarpgroupHalf3/,
      ...halves,
      blocks: 1,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 254, issueShare: 8.67, conversions: 48, predicates: 95 }
      }
    },
    {
      source: 'net/layer_backward.cu',
      kernel: 'layer_backward',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 252, issueShare: 8.38, conversions: 48, predicates: 91 }
      }
    },
    {
      source: 'net/layer_backward.cu',
      kernel: 'layer_backward',
      instances: /Float32/,
      ...floats,
      blocks: 1,
      exception: { since, why: general, counted: { codeKiB: 215 } }
    },
    {
      source: 'net/weight_gradient.cu',
      kernel: 'outer_products',
      instances: /WarpgroupHalf3/,
      ...halves,
      blocks: 2,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 94.4, issueShare: 22.1, conversions: 144, divisions: 48, predicates: 310 }
      }
    },
    {
      source: 'net/weight_gradient.cu',
      kernel: 'outer_products',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since,
        why: splits,
        counted: { codeKiB: 95, issueShare: 21.92, conversions: 144, divisions: 48, predicates: 312 }
      }
    },
    {
      source: 'net/weight_gradient.cu',
      kernel: 'outer_products',
      instances: /Float32/,
      ...floats,
      blocks: 3,
      exception: { since, why: general, counted: { spilled: 16 } }
    },
    {
      source: 'net/octet_forward.cu',
      kernel: 'octet_forward',
      instances: /WarpgroupHalf3ELi128E/,
      ...halves,
      blocks: 1
    },
    {
      source: 'net/octet_forward.cu',
      kernel: 'octet_forward',
      instances: /WarpgroupHalf3ELi64E/,
      ...halves,
      blocks: 2,
      exception: { since: withTaps, why: `${halfTiles}; ${taps}`, counted: { issueShare: 0.677 } }
    },
    {
      source: 'net/octet_forward.cu',
      kernel: 'octet_forward',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since: withTaps,
        why: `${fragments}; ${taps}`,
        counted: { issueShare: 0.88, predicates: 11 }
      }
    },
    {
      source: 'net/octet_tile.cu',
      kernel: 'octet_slice',
      instances: /WarpgroupHalf3ELi128E/,
      ...halves,
      blocks: 1
    },
    {
      source: 'net/octet_tile.cu',
      kernel: 'octet_slice',
      instances: /WarpgroupHalf3ELi64E/,
      ...halves,
      blocks: 2,
      exception: { since, why: halfTiles, counted: { issueShare: 0.635 } }
    },
    {
      source: 'net/octet_tile.cu',
      kernel: 'octet_slice',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since: withTaps,
        why: `${fragments}; ${taps}`,
        counted: { issueShare: 0.927, predicates: 10 }
      }
    },
    {
      source: 'net/octet_backward.cu',
      kernel: 'octet_backward',
      instances: /WarpgroupHalf3ELi128E/,
      ...halves,
      blocks: 1
    },
    {
      source: 'net/octet_backward.cu',
      kernel: 'octet_backward',
      instances: /WarpgroupHalf3ELi64E/,
      ...halves,
      blocks: 2,
      exception: { since: withTaps, why: `${halfTiles}; ${taps}`, counted: { issueShare: 0.719 } }
    },
    {
      source: 'net/octet_backward.cu',
      kernel: 'octet_backward',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: {
        since: withTaps,
        why: `${fragments}; ${taps}`,
        counted: { issueShare: 0.88, predicates: 11 }
      }
    },
    {
      source: 'net/octet_outer.cu',
      kernel: 'octet_outer',
      instances: /WarpgroupHalf3ELi128E/,
      ...halves,
      blocks: 1,
      exception: { since: withTaps, why: `${chunkScales}; ${taps}`, counted: { issueShare: 0.688 } }
    },
    {
      source: 'net/octet_outer.cu',
      kernel: 'octet_outer',
      instances: /WarpgroupHalf3ELi64E/,
      ...halves,
      blocks: 2,
      exception: { since: withTaps, why: `${halfTiles}; ${taps}`, counted: { issueShare: 0.932 } }
    },
    {
      source: 'net/octet_outer.cu',
      kernel: 'octet_outer',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: { since, why: fragments, counted: { issueShare: 1.193 } }
    },
    {
      source: 'net/tap_outer.cu',
      kernel: 'tap_outer',
      instances: /WarpgroupHalf3ELi128E/,
      ...halves,
      blocks: 1,
      exception: { since: withTaps, why: chunkScales, counted: { issueShare: 0.68 } }
    },
    {
      source: 'net/tap_outer.cu',
      kernel: 'tap_outer',
      instances: /WarpgroupHalf3ELi64E/,
      ...halves,
      blocks: 2,
      exception: { since: withTaps, why: `${halfTiles}; ${chunkScales}`, counted: { issueShare: 0.896 } }
    },
    {
      source: 'net/tap_outer.cu',
      kernel: 'tap_outer',
      instances: /5Half3/,
      ...halves,
      blocks: 1,
      exception: { since: withTaps, why: fragments, counted: { issueShare: 1.198 } }
    },
    {
      source: 'net/octet_forward.cu',
      kernel: 'few_channels_forward',
      instances: /few/,
      threads: 256,
      products: 'float32',
      limits: every,
      blocks: 4
    },
    {
      source: 'net/octet_backward.cu',
      kernel: 'few_channels_backward',
      instances: /few/,
      threads: 256,
      products: 'float32',
      limits: every,
      blocks: 3
    },
    {
      source: 'fused/fused_solve.cu',
      kernel: 'fused_solve',
      instances: /FusedTileILi1ELi2ELi2E/,
      ...fused,
      products: 'float32',
      limits: small,
      trips: vectors,
      blocks: 6,
      exception: { since, why: wholeRows, counted: { codeKiB: 194, layer: 765, meanLayer: 645 } }
    },
    {
      source: 'fused/fused_solve.cu',
      kernel: 'fused_solve',
      instances: /FusedTileILi1ELi2ELi[34]E/,
      ...fused,
      products: 'float32',
      blocks: 6,
      exception: { since, why: general, counted: { codeKiB: 195 } }
    },
    {
      source: 'fused/fused_solve.cu',
      kernel: 'fused_solve',
      instances: /FusedTileILi4ELi4ELi2E/,
      ...fused,
      products: 'float32',
      limits: small,
      trips: vectors,
      blocks: 3,
      exception: { since, why: wholeRows, counted: { codeKiB: 246, layer: 4216, meanLayer: 3616 } }
    },
    {
      source: 'fused/fused_solve.cu',
      kernel: 'fused_solve',
      instances: /FusedTileILi4ELi4ELi[34]E/,
      ...fused,
      products: 'float32',
      blocks: 3,
      exception: { since, why: general, counted: { codeKiB: 250 } }
    },
    {
      source: 'fused/fused_fragment_solve.cu',
      kernel: 'fused_fragment_solve',
      instances: /ILi4ELi2ELi8E/,
      ...fused,
      products: 'tensor',
      limits: small,
      fragments: true,
      blocks: 4,
      exception: {
        since: '2026-12-01',
        why: rationalTanh,
        counted: { codeKiB: 107.25, layer: 290, meanLayer: 261.25 }
      }
    },
    {
      source: 'fused/fused_fragment_solve.cu',
      kernel: 'fused_fragment_solve',
      instances: /ILi4ELi2ELi32E/,
      ...fused,
      products: 'tensor',
      limits: small,
      fragments: true,
      blocks: 3,
      exception: {
        since: '2026-12-01',
        why: rationalTanh,
        counted: { codeKiB: 107.75, layer: 274, meanLayer: 247 }
      }
    },
    {
      source: 'fused/fused_fragment_solve.cu',
      kernel: 'fused_fragment_solve',
      instances: /ILi4ELi[34]E/,
      ...fused,
      products: 'tensor',
      blocks: 3,
      exception: { since: '2026-12-01', why: general, counted: { codeKiB: 135.625 } }
    },
    {
      source: 'fused/fused_fragment_solve.cu',
      kernel: 'fused_fragment_solve',
      instances: /ILi8E/,
      ...fused,
      threads: 256,
      products: 'tensor',
      blocks: 1,
      exception: { since: '2026-12-01', why: general, counted: { codeKiB: 124.25 } }
    },
    {
      source: 'fused/fused_fragment_pullback.cu',
      kernel: 'fused_fragment_pullback',
      instances: /FragmentTileILi4E/,
      ...fused,
      products: 'tensor',
      blocks: 1,
      exception: { since: '2026-12-01', why: general, counted: { codeKiB: 205.25 } }
    },
    {
      source: 'fused/fused_fragment_pullback.cu',
      kernel: 'fused_fragment_pullback',
      instances: /FragmentTileILi8E/,
      ...fused,
      threads: 256,
      products: 'tensor',
      blocks: 1,
      exception: { since: '2026-12-01', why: general, counted: { codeKiB: 154.25 } }
    },
    {
      source: 'fused/fused_pullback.cu',
      kernel: 'fused_pullback',
      instances: /FusedTileILi/,
      ...fused,
      products: 'float32',
      blocks: 3,
      exception: { since, why: general, counted: { codeKiB: 415 } }
    }
  ]
}
