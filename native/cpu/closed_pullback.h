// The pullback of closed-form traces on a tile (closed_trace.h).
#pragma once

#include <algorithm>
#include <utility>
#include <vector>

#include "cpu/dense_tile_net.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// d̄₂ = v M d₁, d̄₁ = v Mᵀd₂, or d̄₁ = v c, with v = div̄; then M̄ = Σ v d₂ d₁ᵀ, c̄ = Σ v d₁ into
/// memory.matrix.
inline void DenseTileNet::prepare_closed(Reverse& reverse) const {
  TileActivations& memory = reverse.memory;
  const ClosedTrace& closed = closed_trace(reverse.time);
  const Columns& columns = memory.columns;
  const float* divergence_bar = reverse.arrays.divergence;
  const auto v = [&](int g) {
    return divergence_bar ? load(divergence_bar + std::size_t(g) * kLanes) : Vec{};
  };
  const Layer& first = layers_[0];
  const Panels d1 = panels(memory.closed_tangents[0], columns, features_at(1));
  const Panels d1_bar = panels(memory.closed_cotangents[0], columns, features_at(1));
  if (layer_count() == 2) {
    memory.matrix.assign(first.out(), 0.f);
    for (int j = 0; j < first.out(); ++j) {
      Vec c_bar = {};
      for (int g = 0; g < strips_; ++g) {
        const std::size_t at = d1.offset(g) + std::size_t(j) * kFeatureStride;
        c_bar = fma(v(g), load(d1.data + at), c_bar);
        store(d1_bar.data + at, v(g) * splat(closed.c[j]));
      }
      memory.matrix[j] = sum_of_lanes(c_bar);
    }
    return;
  }
  const Layer& middle = layers_[1];
  const Panels d2 = panels(memory.closed_tangents[1], columns, features_at(2));
  const Panels d2_bar = panels(memory.closed_cotangents[1], columns, features_at(2));
  const Panels product = panels(memory.closed_product, columns, features_at(2));
  const Panels weighted = panels(memory.cotangents[1], columns, features_at(2));  // v d₂
  for (int j = 0; j < middle.out(); ++j)
    for (int g = 0; g < strips_; ++g) {
      const std::size_t at = d2.offset(g) + std::size_t(j) * kFeatureStride;
      store(d2_bar.data + at, v(g) * load(product.data + at));
      store(weighted.data + at, v(g) * load(d2.data + at));
    }
  multiply(closed.m_transposed, weighted, d1_bar, columns);
  NetGradient* gradient = reverse.gradient;
  float* m_bar = nullptr;
  bool begun = true;
  if (gradient && !gradient->m_bar.values.empty()) {
    m_bar = gradient->m_bar.values.data();
    begun = std::exchange(gradient->m_bar.begun, true);
  } else if (layers_.back().gated()) {
    memory.matrix.assign(std::size_t(middle.out()) * padded_features(first.out()), 0.f);
    m_bar = memory.matrix.data();
  }
  if (m_bar)
    accumulate_weight_gradient(weighted, middle.out(), d1, first.out(), columns, m_bar, begun,
                               memory.transposed.data());
}

/// Chains M̄ or c̄ of this tile to the weights and the output's gate, where they cannot wait for
/// others.
inline void DenseTileNet::finish_closed(Reverse& reverse) const {
  const Layer& last = layers_.back();
  const bool two = layer_count() == 3;
  if (two && !last.gated()) return;
  std::vector<WeightSums> sums;
  if (reverse.gradient) sums = weight_sums(layers_, *reverse.gradient);
  const float* gate = output_gate(reverse.time);
  const ClosedTrace& closed = closed_trace(reverse.time);
  const float* matrix = reverse.memory.matrix.data();
  const std::vector<float> gate_bar =
      two ? pull_back_closed_two(layers_, closed, gate, matrix, sums)
          : pull_back_closed_one(layers_, gate, matrix, sums);
  if (!last.gated()) return;
  for (int i = 0; i < dimension_; ++i) {
    const float g = gate[std::size_t(i) * kLanes];
    const float logit_bar = g * (1 - g) * gate_bar[i];
    reverse.t_bar += double(last.gate_weight[i]) * logit_bar;
    if (!reverse.gradient) continue;
    reverse.gradient->layers.back().gate_weight[i] += reverse.time.t * logit_bar;
    reverse.gradient->layers.back().gate_bias[i] += logit_bar;
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
