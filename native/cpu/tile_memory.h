// Scratch memory of an evaluation of a dense net.
#pragma once

#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "core/trace_plan.h"
#include "cpu/closed_trace.h"
#include "cpu/net_gradient.h"
#include "cpu/tile_field.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// What an evaluation or its pullback needs while it runs.
struct TileScratch {
  /// What the layers left, from the last on: two arrays that take turns, or with low-rank terms,
  /// whose cotangents are made of it, one a layer and one of the input.
  std::vector<AlignedFloats> cotangents;
  std::vector<AlignedFloats> low_rank_bars;      ///< cotangents of x U of each layer
  std::vector<AlignedFloats> closed_cotangents;  ///< of hidden layers 1, 2
  AlignedFloats sums, gate_sums;                 ///< [feature][kLanes]
  AlignedFloats summed;                          ///< both, over lanes
  AlignedFloats transposed;                      ///< a block of aᵀ
  AlignedFloats matrix;                          ///< M̄ or P of one tile
};

struct TileActivations final : Activations, TileScratch {
  TracePlan trace;
  Regularisers regularisers;

  /// The passes of a bottleneck's tangents through the decoder and the encoder.
  std::unique_ptr<TileActivations> decoder, probe;

  Evaluation evaluation;  ///< the last one's
  Columns columns;

  /// Entry l has (a, ȧ) after l layers, (z, u) and σ'(z) behind them; entry 0 is the input.
  std::vector<AlignedFloats> outputs, preactivations, slopes;
  std::vector<AlignedFloats> closed_tangents;  ///< of hidden layers 1, 2
  AlignedFloats closed_product;                ///< M d₁
  /// Where a context moves a layer: g, and g ⊙ (b + V c) + s, [feature][rows of the tile].
  std::vector<AlignedFloats> row_gates, row_offsets;
  std::vector<AlignedFloats> low_rank;  ///< x U of each layer, of an amortised context
  const float* terms = nullptr;         ///< of the context, which the evaluation was made with
  AlignedFloats regulariser_sums;       ///< [R][rows of the tile]

  /// The array after l layers: of a tape one each; else two take turns, to stay in the first cache.
  AlignedFloats& output(int l, bool keep) { return outputs[keep || l < 2 ? l : 1 + (l - 1) % 2]; }

  std::size_t kept_floats() const {
    std::size_t floats = closed_product.capacity() + regulariser_sums.capacity();
    for (const auto* arrays : {&outputs, &preactivations, &slopes, &closed_tangents, &row_gates,
                               &row_offsets, &low_rank})
      for (const AlignedFloats& array : *arrays) floats += array.capacity();
    for (const auto* part : {&decoder, &probe})
      if (*part) floats += (*part)->kept_floats();
    return floats;
  }
};

inline void exchange_scratch(TileActivations& one, TileActivations& other) {
  std::swap<TileScratch>(one, other);
  if (one.decoder) exchange_scratch(*one.decoder, *other.decoder);
  if (one.probe) exchange_scratch(*one.probe, *other.probe);
}

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
