// Which solves a single launch can hold, and what lies where in a block's shared memory: the whole
// net, the rows of a tile with all their stages, and for a pullback the sums of the gradients.
#pragma once

#include <optional>

#include "cuda/fused/fused_chain_tile.h"
#include "cuda/fused/fused_tensor_tile.h"
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

  /// Whether a chain multiplies the layer's input in float32: a fragment of sixteen would be mostly
  /// empty.
  __host__ __device__ bool has_few_inputs(int l) const { return l == 0 && dimension <= 4; }
};

/// Norms that are kept at a time. Phases of a solve take the first two in turn, as a block may
/// be ahead of another by one.
enum Slot : int { kEven = 0, kOdd = 1, kChange = 2, kSlots = 3 };

/// Offsets in floats, each a multiple of four.
struct FusedLayout {
  int weights[FusedNet::kMostLayers] = {};  ///< W (in, out), padded both ways
  int largest_weights = 0;  ///< bits of |W| [layers][warps]; where products are of FP16
  int transposed[FusedNet::kMostLayers] = {};  ///< Wᵀ (out, in), padded; pullbacks
  int sums[FusedNet::kMostLayers] = {};        ///< W̄ (in, out), padded; pullbacks
  int unit_sums = 0;                           ///< [kUnitSums][units]; pullbacks
  /// [channels][rows][stride], layer by layer in turn; of a chain the first alone, for its output.
  int activations[2] = {};
  int bars[2] = {};                        ///< their cotangents; pullbacks
  int plain_bars = 0, logit_bars = 0;      ///< z̄ and q̄ [rows][stride]; pullbacks of gated nets
  int time = 0;                            ///< [groups]
  int gates = 0, offsets = 0, shifts = 0;  ///< [groups][units]
  int eps = 0;                             ///< [tangents][rows][D]
  int point = 0;                           ///< [rows][D]
  int state = 0;                           ///< [rows][S]
  int end = 0;                             ///< [rows][S]; solves
  int stages = 0;                          ///< [stages][rows][S]
  int bar = 0, rate_bar = 0;               ///< [rows][S]; pullbacks
  int point_bars = 0;                      ///< [stages][rows][D]; pullbacks
  int groups = 0;                          ///< Group [groups]
  int row_parts = 0;                       ///< NormPart [rows]; solves
  int parts = 0;       ///< NormPart [slots][groups]; [threads], over row_parts, of a joint norm
  int row_sums = 0;    ///< double [rows]: Σ h h̄ + t t̄; pullbacks
  int time_parts = 0;  ///< t̄ [warps][rows]; pullbacks
  int size = 0;
  std::size_t bytes() const { return size * sizeof(float); }
};

enum class FusedShape { Narrow, Broad, Tensor16, Tensor32, Chain64 };

/// Calls start(tile) with the tile of so many tangents, of any shape but a chain.
template <class Start>
void with_fused_tile(FusedShape shape, int tangents, const Start& start) {
  const auto of_channels = [&]<int channels>() {
    switch (shape) {
      case FusedShape::Narrow:
        return start(FusedTile<1, 2, channels>());
      case FusedShape::Broad:
        return start(FusedTile<4, 4, channels>());
      case FusedShape::Tensor16:
        return start(FusedTensorTile<2, channels>());
      case FusedShape::Tensor32:
        return start(FusedTensorTile<4, channels>());
      case FusedShape::Chain64:
        return;  // with_chain_tile has it
    }
  };
  switch (tangents) {
    case 1:
      return of_channels.template operator()<2>();
    case 2:
      return of_channels.template operator()<3>();
    default:
      return of_channels.template operator()<4>();
  }
}

/// So many tangents fit into a chain's registers.
inline constexpr int kMostChainTangents = 2;

/// Calls start(tile) with the chain of so many tangents; chains are for solves alone.
template <class Start>
void with_chain_tile(int tangents, const Start& start) {
  if (tangents == 1)
    start(FusedChainTile<2>());
  else
    start(FusedChainTile<3>());
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
