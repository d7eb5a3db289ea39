// Which solves a single launch can hold, and what lies where in a block's shared memory: the whole
// net, the rows of a tile with all their stages, and for a pullback the sums of the gradients.
#pragma once

#include <optional>

#include "cuda/fused/fused_fragment_tile.h"
#include "cuda/fused/fused_tile.h"
#include "cuda/net/block_call.h"

namespace ffjord::cuda {

/// A net and what is made of it, small enough to be a kernel's argument.
struct FusedNet {
  static constexpr int kMostLayers = 5;
  Layer layers[kMostLayers];
  int layer_count = 0, units = 0, dimension = 0;
  int stride = 0;  ///< of a row of activations
  bool gated = false, residual = false;
  int tangents = 0;   ///< K
  bool unit = false;  ///< tangents are unit vectors, not ε
  float weight = 1;   ///< of a tangent: 1/K of a probe, 1 of a unit vector
  RegulariserList regularisers;
  float direction = 1;                ///< of the regularisers' rates
  const float* parameters = nullptr;  ///< of the block
  const float* packed = nullptr;      ///< weights.h

  /// Whether fragments take the layer's input in float32: a step of sixteen would be mostly empty.
  __host__ __device__ bool has_few_inputs(int l) const { return l == 0 && dimension <= 4; }
};

/// Norms that are kept at a time. Phases of a solve take the first two in turn, as a block may
/// be ahead of another by one.
enum Slot : int { kEven = 0, kOdd = 1, kChange = 2, kSlots = 3 };

/// Offsets in floats, each a multiple of four.
struct FusedLayout {
  int weights[FusedNet::kMostLayers] = {};     ///< W (in, out), padded both ways
  int downs = 0;                               ///< [layers], undo the scales of W; of fragments
  int operands = 0;                            ///< Tile::Operand [2][parts]; of fragments
  int transposed[FusedNet::kMostLayers] = {};  ///< Wᵀ (out, in), padded; pullbacks
  int sums[FusedNet::kMostLayers] = {};        ///< W̄ (in, out), padded; pullbacks
  /// [kUnitSums][units]; pullbacks. Of fragments [layers][kinds][threads][4].
  int unit_sums = 0;
  /// Factors of weight gradients, [2][channels][rows][units + 4], and what a warp's units add to z̄,
  /// [warps][D][rows]; pullbacks by fragments.
  int outer_bars = 0, outer_inputs = 0, input_parts = 0;
  /// [channels][rows][stride], layer by layer in turn; of fragments the first, for their output.
  int activations[2] = {};
  int bars[2] = {};                    ///< their cotangents; pullbacks
  int plain_bars = 0, logit_bars = 0;  ///< z̄ and q̄ [rows][stride]; pullbacks of gated nets
  int time = 0;                        ///< [groups]
  /// [groups][units]; of fragments what they are made of, {a, q} and {b, w} [layers][units][2].
  int gates = 0, offsets = 0, shifts = 0;
  int eps = 0;                ///< [tangents][rows][D]
  int point = 0;              ///< [rows][D]
  int state = 0;              ///< [rows][S]
  int end = 0;                ///< [rows][S]; solves
  int stages = 0;             ///< [stages][rows][S]
  int bar = 0, rate_bar = 0;  ///< [rows][S]; pullbacks
  int point_bars = 0;         ///< [stages][rows][D]; pullbacks
  int groups = 0;             ///< Group [groups]
  int row_parts = 0;          ///< NormPart [rows]; solves
  int parts = 0;       ///< NormPart [slots][groups]; [threads], over row_parts, of a joint norm
  int row_sums = 0;    ///< double [rows]: Σ h h̄ + t t̄; pullbacks
  int time_parts = 0;  ///< t̄ [warps][rows]; pullbacks
  int size = 0;
  std::size_t bytes() const { return size * sizeof(float); }
};

enum class FusedShape {
  Narrow,  ///< float32, a row a warp
  Broad,   ///< float32, rows together
  FewRows64,
  FewRows128,  ///< fragments, for nets at most so wide
  ManyRows64,
  ManyRows128  ///< the same, of solves alone
};
constexpr bool in_fragments(FusedShape shape) { return shape >= FusedShape::FewRows64; }

namespace detail {

template <class Start>
void with_channels(int tangents, const Start& start) {
  switch (tangents) {
    case 1:
      return start.template operator()<2>();
    case 2:
      return start.template operator()<3>();
    default:
      return start.template operator()<4>();
  }
}

}  // namespace detail

/// Calls start(tile) with the tile of so many tangents, Narrow or Broad.
template <class Start>
void with_float_tile(FusedShape shape, int tangents, const Start& start) {
  detail::with_channels(tangents, [&]<int channels>() {
    if (shape == FusedShape::Narrow)
      start(FusedTile<1, 2, channels>());
    else
      start(FusedTile<4, 4, channels>());
  });
}
/// Whether registers hold what eight warps have of so many tangents.
constexpr bool has_wide_fragments(int tangents, bool pullback) {
  return pullback ? tangents == 1 : tangents != 2;
}

namespace detail {

template <int channels>
inline constexpr int kFewRows = channels % 2 == 0 ? 8 : 16;

template <int channels, int rows, bool pullback, class Start>
void with_fragments(bool wide, const Start& start) {
  if constexpr (has_wide_fragments(channels - 1, pullback))
    if (wide) return start(FusedFragmentTile<8, channels, rows>());
  start(FusedFragmentTile<4, channels, rows>());
}

}  // namespace detail

/// The same of fragments: of a pullback,
template <class Start>
void with_pulled_fragments(FusedShape shape, int tangents, const Start& start) {
  detail::with_channels(tangents, [&]<int channels>() {
    constexpr int rows = detail::kFewRows<channels>;
    detail::with_fragments<channels, rows, true>(shape == FusedShape::FewRows128, start);
  });
}
/// and of a solve.
template <class Start>
void with_fragment_tile(FusedShape shape, int tangents, const Start& start) {
  const bool few = shape == FusedShape::FewRows64 || shape == FusedShape::FewRows128;
  const bool wide = shape == FusedShape::FewRows128 || shape == FusedShape::ManyRows128;
  detail::with_channels(tangents, [&]<int channels>() {
    constexpr int rows = detail::kFewRows<channels>;
    if (few)
      detail::with_fragments<channels, rows, false>(wide, start);
    else
      detail::with_fragments<channels, 32, false>(wide, start);
  });
}

/// How a block call is cut for the fused kernels.
struct FusedPlan {
  FusedNet net;
  FusedLayout layout;
  Grouping grouping;
  FusedShape shape = FusedShape::Narrow;
  int tiles = 0;
  int groups_a_tile = 1;  ///< they have as many rows each
  int channels = 0;       ///< S of a state
};

/// The plan of a solve (of its pullback), or none where one launch cannot hold it: layers of other
/// kinds, more than kMostLayers of them or over 128 units wide, swish, a context or a bottleneck's
/// noise, a trace in closed form, by VJP or with more than three tangents, the torchdiffeq
/// controller, weights beyond the card's shared memory.
std::optional<FusedPlan> plan_fused_solve(const BlockCall& call);
std::optional<FusedPlan> plan_fused_pullback(const BlockCall& call);

}  // namespace ffjord::cuda
