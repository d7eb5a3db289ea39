// Scratch memory of an evaluation of a dense net.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "core/trace_plan.h"
#include "cpu/closed_trace.h"
#include "cpu/net_gradient.h"
#include "cpu/tile_field.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

struct TileActivations final : Activations {
  TracePlan trace;
  Regularisers regularisers;

  /// The passes of a bottleneck's tangents through the decoder and the encoder.
  std::unique_ptr<TileActivations> decoder, probe;

  Evaluation evaluation;  ///< the last one's
  Columns columns;

  /// Entry l has (a, ȧ) after l layers, (z, u) and σ'(z) behind them; entry 0 is the input.
  std::vector<AlignedFloats> outputs, preactivations, slopes;
  std::vector<AlignedFloats> closed_tangents, closed_cotangents;  ///< of hidden layers 1, 2
  AlignedFloats closed_product;                                   ///< M d₁
  /// Where a context moves a layer: g, and g ⊙ (b + V c) + s, [feature][rows of the tile].
  std::vector<AlignedFloats> row_gates, row_offsets;
  /// Low-rank terms of an amortised context: x U of each layer, and its cotangent.
  std::vector<AlignedFloats> low_rank, low_rank_bars;
  const float* terms = nullptr;  ///< of the context, which the evaluation was made with
  /// What the layers left, from the last on: two arrays that take turns, or with low-rank terms,
  /// whose cotangents are made of it, one a layer and one of the input.
  std::vector<AlignedFloats> cotangents;
  AlignedFloats sums, gate_sums;  ///< [feature][kLanes]
  AlignedFloats summed;           ///< both, over lanes
  /// The array after l layers: of a tape one each; else two take turns, to stay in the first cache.
  AlignedFloats& output(int l, bool keep) { return outputs[keep || l < 2 ? l : 1 + (l - 1) % 2]; }

  AlignedFloats transposed;        ///< a block of aᵀ
  AlignedFloats matrix;            ///< M̄ or P of one tile
  AlignedFloats regulariser_sums;  ///< [R][rows of the tile]
};

/// Where the sums of each layer's W̄ lie, to be added to or read.
inline std::vector<WeightSums> weight_sums(const std::vector<Layer>& net, NetGradient& gradient) {
  std::vector<WeightSums> sums;
  for (std::size_t l = 0; l < net.size(); ++l) {
    float* const weight = gradient.layers[l].weight.begin().data();
    const int stride = net[l].sums_stride();
    if (net[l].sums_transposed())
      sums.push_back({weight, 1, stride});
    else
      sums.push_back({weight, stride, 1});
  }
  return sums;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
