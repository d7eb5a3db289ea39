// The divergence as (εᵀJ)ε: cotangents ε pass the layers in reverse.
#pragma once

#include "cpu/backward_pass.h"

namespace ffjord::cpu::FFJORD_INSTRUCTION_SET {

/// (εᵀJ) ε over the activations that run_layers kept: v ← Wᵀ(g ⊙ v) ⊙ σ', ε at first. Adds up one
/// probe.
inline void DenseTileNet::evaluate_vjp(const NetTime& time, const TileArrays& arrays,
                                       TileActivations& memory) const {
  const Columns& columns = memory.columns;
  const std::size_t rows = this->rows();
  const int probes = memory.trace.probes;
  for (int k = 0; k < probes; ++k) {
    const float* eps = arrays.eps + std::size_t(k) * dimension_ * rows;
    Panels v = panels(memory.cotangents[0], columns, features_at(layer_count()));
    for (int g = 0; g < strips_; ++g)
      for (int i = 0; i < dimension_; ++i)
        store(v.column(g) + i * kFeatureStride, load(eps + i * rows + g * kLanes));
    Reverse reverse{time, {}, memory, nullptr, 0, nullptr};
    int current = 0;
    for (int l = layer_count() - 1; l >= 0; --l) {
      pull_back_activation(reverse, l, v, {});
      if (own_gates(time, l)) pull_back_own_gates(reverse, l, v);
      const Panels next = panels(memory.cotangents[1 - current], columns, features_at(l));
      multiply(backward_matrix(time, l), v, next, columns);
      if (layers_[l].expanded()) contract_input(reverse, l, next);
      v = next;
      current = 1 - current;
    }
    for (int g = 0; g < strips_; ++g) {
      const std::size_t row = std::size_t(g) * kLanes;
      Vec sum = {};
      for (int i = 0; i < dimension_; ++i)
        sum = fma(load(v.column(g) + i * kFeatureStride), load(eps + i * rows + row), sum);
      sum = sum * splat(1.f / probes);
      if (k > 0)
        sum = sum + load(arrays.divergence + row);
      else if (residual_)
        sum = sum - splat(float(dimension_));
      store(arrays.divergence + row, sum);
    }
  }
}

}  // namespace ffjord::cpu::FFJORD_INSTRUCTION_SET
