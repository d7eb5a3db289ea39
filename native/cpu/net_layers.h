// The layers of a dense net as the kernels read them.
#pragma once

#include <algorithm>
#include <vector>

#include "core/flow_block.h"
#include "cpu/product.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// A layer of the plan, z = g(t) ⊙ (W(t) a + b) + s t, with its weights as the kernels read them.
struct Layer : LayerPlan {
  const float* parameters = nullptr;  ///< flat buffer of the flow

  PackedMatrix forward, backward;  ///< W (out, depth), Wᵀ (depth, out); of hyper: in the time slot
  std::vector<float> bias, shift, gate_weight, gate_bias;  ///< zero where the kind has none; the
                                                           ///< gates' up to whole vectors
  float beta = 1;

  /// Entries of bias and shift.
  int units() const { return out(); }
  /// Sums of W̄ are kept as (depth, out) where that leaves less padding.
  bool sums_transposed() const { return depth() < out(); }
  int sums_stride() const { return padded_features(sums_transposed() ? out() : depth()); }
  std::size_t transformed_size() const { return 0; }
  std::size_t sums_size() const {
    return hyper() ? 0 : std::size_t(sums_transposed() ? depth() : out()) * sums_stride();
  }

  /// W (out, in) in PyTorch's layout, without the column of t.
  const float* weight() const { return parameters + weight_offset(); }

  void pack();
};

inline void Layer::pack() {
  bias.assign(out(), 0.f);
  shift.assign(out(), 0.f);
  gate_weight.assign(round_up(out(), kLanes), 0.f);
  gate_bias.assign(round_up(out(), kLanes), 0.f);
  if (offsets.beta != kAbsent) beta = parameters[offsets.beta];
  if (hyper()) return;

  const float* w = weight();
  const int stride = weight_stride();
  const float* w1 = expanded() ? parameters + offsets.weight1 : nullptr;
  const auto element = [&](int row, int k) {
    const std::size_t at = std::size_t(row) * stride + (k < in() ? k : k - in());
    return k < in() ? w[at] : w1[at] - w[at];
  };
  forward.pack(out(), depth(), element);
  backward.pack_transposed(depth(), out(), element);

  const auto copy = [&](std::size_t offset, std::vector<float>& to) {
    if (offset != kAbsent) std::copy_n(parameters + offset, out(), to.begin());
  };
  copy(offsets.bias, bias);
  copy(offsets.gate_weight, gate_weight);
  copy(offsets.gate_bias, gate_bias);
  for (int j = 0; j < out(); ++j) shift[j] = shift_weight(parameters, j);
}

inline std::vector<Layer> make_layers(const BlockContext<float>& context) {
  std::vector<Layer> layers;
  for (const LayerPlan& plan : context.offsets.net.layers) {
    Layer& layer = layers.emplace_back();
    static_cast<LayerPlan&>(layer) = plan;
    layer.parameters = context.parameters.data();
  }
  return layers;
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
